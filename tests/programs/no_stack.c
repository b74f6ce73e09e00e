// The kernel does not look at rsp: a system call is fine on the last bytes above a
// guard page, and with rsp pointing nowhere. A detour that pushes, or that
// reserves room below, dies or writes over its neighbour.
// #Build: glibc, pie, musl
// #Expect: calls without a stack answered
#include "hazard.h"

// long on_stack(const struct call *, void *rsp): makes the call with that rsp.
__asm__(".text\n.globl on_stack\n.type on_stack,@function\non_stack:\n"
        "  push %rbx\n  push %rbp\n  mov %rsp, %rbp\n  mov %rdi, %rbx\n  mov %rsi, %rsp\n"
        "  mov 8(%rbx), %rax\n  mov 16(%rbx), %rdi\n  mov 24(%rbx), %rsi\n  mov 32(%rbx), %rdx\n"
        "  mov 40(%rbx), %r10\n  mov 48(%rbx), %r8\n  mov 56(%rbx), %r9\n"
        "  syscall\n"
        "  mov %rbp, %rsp\n  pop %rbp\n  pop %rbx\n  ret\n.size on_stack, .-on_stack\n");
long on_stack(const struct call *, void *rsp);

int main(void) {
  struct call calls[] = CALLS;
  char *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED || mprotect(area, 4096, PROT_NONE)) die("mmap");
  void *const stacks[] = {area + 4096, area + 4104, area, (void *)16, (void *)0x7ffffffff001,
                          (void *)-16, (void *)0x8000000000000000,
                          NULL, (void *)-1};
  memset(area + 4096, 0x3c, 4096);
  for (size_t s = 0; s < sizeof stacks / sizeof *stacks; s++)
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
      settle(&calls[i], on_stack(&calls[i], stacks[s]));
  for (int i = 4096; i < 8192; i++)
    if (area[i] != 0x3c) die("byte %d of the stack page was written", i - 4096);
  puts("calls without a stack answered");
}
