// A handler that leaves by siglongjmp just as a call has taken a stack of the
// shim's and not yet said whose it is: after a fork the first write to that stack
// faults, and signals are delivered at a fault. Each such stack was lost, and after
// 64 of them every call waited for ever. Here the fault is made by taking away the
// right to write; the stacks are found by their symbol (stock has none).
// With every call on that path the handler could not give the right back.
// #Build: glibc, pie, musl, trixie
// #Without: every-call, served-every-call
// #Expect: 300 calls, still answered
#include "hazard.h"
#include <elf.h>
#include <setjmp.h>
#include <sys/auxv.h>

enum { LOCKS = 0x2000 };

static sigjmp_buf back;
static char *stacks;
static size_t length;

static void handler(int number) {
  (void)number;
  if (mprotect(stacks, length, PROT_READ | PROT_WRITE)) die("mprotect in the handler");
  siglongjmp(back, 1);
}

// Finds `procsys_slots` in this program's own symbols.
static void find_stacks(void) {
  int fd = open("/proc/self/exe", O_RDONLY);
  struct stat stat_of;
  if (fd < 0 || fstat(fd, &stat_of)) die("/proc/self/exe");
  const char *file = mmap(NULL, stat_of.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) die("mmap");
  close(fd);
  const Elf64_Ehdr *head = (const void *)file;
  const Elf64_Shdr *sections = (const void *)(file + head->e_shoff);
  // Where the file's first byte lies: the program headers come at e_phoff.
  char *base = (char *)getauxval(AT_PHDR) - head->e_phoff;
  if (head->e_type == ET_EXEC) base = NULL;
  for (int i = 0; i < head->e_shnum; i++) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char *names = file + sections[sections[i].sh_link].sh_offset;
    const Elf64_Sym *symbols = (const void *)(file + sections[i].sh_offset);
    for (size_t s = 0; s < sections[i].sh_size / sizeof *symbols; s++)
      if (!strcmp(names + symbols[s].st_name, "procsys_slots")) {
        stacks = base + symbols[s].st_value + LOCKS;
        length = symbols[s].st_size - LOCKS;
      }
  }
}

int main(void) {
  const char *path = EMULATED;
  find_stacks();
  signal(SIGSEGV, handler);
  volatile int left = 0;
  for (volatile int i = 0; i < 300; i++) {
    if (sigsetjmp(back, 1)) {
      left++;
      // One that is not left finds those that were.
      if (access(MISSING, F_OK) == 0) die("the missing file is there");
      continue;
    }
    if (stacks && mprotect(stacks, length, PROT_READ)) die("mprotect");
    if (access(MISSING, F_OK) == 0) die("the missing file is there");
    access(path, F_OK);
  }
  if (stacks && mprotect(stacks, length, PROT_READ | PROT_WRITE)) die("mprotect");
  if (stacks && left < 300) fprintf(stderr, "only %d calls were left\n", left);
  must_be_42(path, "after them");
  puts("300 calls, still answered");
}
