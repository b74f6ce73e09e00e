// A bad pointer is EFAULT from the kernel, never a signal from a hook that read
// it, also when a rule wants to look at the path or fill the buffer.
// #Build: glibc, pie, musl
// #Expect: bad pointers answered
#include "hazard.h"

static void show(const char *name, const char *what, long answer) {
  if (answer >= 0) die("%s of %s succeeded", name, what);
  printf("%s of %s: %ld\n", name, what, answer);
}

int main(void) {
  char *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED || munmap(area + 4096, 4096)) die("mmap");
  memset(area, '/', 4096);
  const char *emulated = EMULATED;
  size_t length = strlen(emulated);
  // A path that begins as a known one and runs into the hole.
  char *cut = area + 4096 - length;
  memcpy(cut, emulated, length);
  struct {
    const char *name;
    char *pointer;
  } bad[] = {{"NULL", NULL},
             {"page zero", (char *)64},
             {"the unmapped page", area + 4096},
             {"the page edge", area + 4095},
             {"the cut path", cut},
             {"a kernel address", (char *)0xffffffff81000000},
             {"a hole in the address space", (char *)0x8000000000000000},
             {"the last byte", (char *)-1}};
  struct stat st;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    long p = (long)bad[i].pointer;
    const char *what = bad[i].name;
    show("open", what, raw(SYS_open, p, O_RDONLY, 0, 0, 0, 0));
    show("openat", what, raw(SYS_openat, AT_FDCWD, p, O_RDONLY, 0, 0, 0));
    show("openat2", what, raw(SYS_openat2, AT_FDCWD, p, (long)"", 24, 0, 0));
    show("stat", what, raw(SYS_stat, p, (long)&st, 0, 0, 0, 0));
    show("lstat", what, raw(SYS_lstat, p, (long)&st, 0, 0, 0, 0));
    show("newfstatat", what, raw(SYS_newfstatat, AT_FDCWD, p, (long)&st, 0, 0, 0));
    show("statx", what, raw(SYS_statx, AT_FDCWD, p, 0, 0x7ff, (long)area, 0));
    show("access", what, raw(SYS_access, p, R_OK, 0, 0, 0, 0));
    show("faccessat", what, raw(SYS_faccessat, AT_FDCWD, p, R_OK, 0, 0, 0));
    show("faccessat2", what, raw(SYS_faccessat2, AT_FDCWD, p, R_OK, 0, 0, 0));
    show("readlink", what, raw(SYS_readlink, p, (long)area, 16, 0, 0, 0));
    show("statfs", what, raw(SYS_statfs, p, (long)area, 0, 0, 0, 0));
    show("execve", what, raw(SYS_execve, p, 0, 0, 0, 0, 0));
    show("mount", what, raw(SYS_mount, p, p, p, 0, p, 0));
    // The path is good, the buffer is not.
    if (p != (long)area + 4095 && p != (long)cut) {
      show("stat into", what, raw(SYS_stat, (long)emulated, p, 0, 0, 0, 0));
      show("newfstatat into", what, raw(SYS_newfstatat, AT_FDCWD, (long)emulated, p, 0, 0, 0));
      show("statfs into", what, raw(SYS_statfs, (long)emulated, p, 0, 0, 0, 0));
      show("stat of the redirected into", what, raw(SYS_stat, (long)REDIRECTED, p, 0, 0, 0, 0));
    }
  }
  show("openat at a bad fd", "a relative path", raw(SYS_openat, 999, (long)"file", O_RDONLY, 0, 0, 0));
  show("openat at a bad fd", "an empty path", raw(SYS_openat, 999, (long)"", O_RDONLY, 0, 0, 0));
  puts("bad pointers answered");
}
