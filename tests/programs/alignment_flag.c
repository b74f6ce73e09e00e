// With the alignment-check flag set, a misaligned access of the hook would stop
// the program; the kernel itself takes no notice of the flag.
// #Build: glibc, pie
// #Expect: alignment flag respected
#include "hazard.h"

// long checked(const struct call *, long *flags): makes the call with AC set.
__asm__(".text\n.globl checked\n.type checked,@function\nchecked:\n"
        "  push %rbx\n  push %r12\n  mov %rdi, %rbx\n  mov %rsi, %r12\n"
        "  mov 8(%rbx), %rax\n  mov 16(%rbx), %rdi\n  mov 24(%rbx), %rsi\n  mov 32(%rbx), %rdx\n"
        "  mov 40(%rbx), %r10\n  mov 48(%rbx), %r8\n  mov 56(%rbx), %r9\n"
        "  pushq $0x40202\n  popfq\n"
        "  syscall\n"
        "  pushfq\n  popq (%r12)\n"
        "  pushq $0x202\n  popfq\n"
        "  pop %r12\n  pop %rbx\n  ret\n.size checked, .-checked\n");
long checked(const struct call *, long *flags);

int main(void) {
  struct call calls[] = CALLS;
  // Paths at every alignment, so that no reader of words is lucky.
  static char paths[8][4096];
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (int shift = 0; shift < 8; shift++) {
      struct call call = calls[i];
      long *path = call.number == SYS_openat || call.number == SYS_newfstatat ? &call.b : &call.a;
      if (*path > 4096) *path = (long)strcpy(paths[shift] + shift, (char *)*path);
      long flags = 0;
      long answer = checked(&call, &flags);
      if (!(flags & 0x40000)) die("%s: the flag is gone", call.name);
      settle(&call, answer);
    }
  puts("alignment flag respected");
}
