// The kernel preserves xmm, the upper halves of ymm, mxcsr, and the x87 state.
// zpoline and syscall_intercept lose xmm.
// #Build: glibc, pie, musl
// #Expect: vector registers intact
#include "hazard.h"

struct vectors {
  unsigned char ymm[16][32];
  unsigned mxcsr;
  unsigned short control;
  unsigned short status;
  double x87[3];
} __attribute__((aligned(32)));

// long probe_sse/probe_avx(const struct call *, struct vectors *): loads all of it,
// makes the call, stores all of it.
#define PROBE(name, move, stride, last)                                                       \
  __asm__(".text\n.globl " name "\n.type " name ",@function\n" name ":\n"                     \
          "  push %rbx\n  push %r12\n  mov %rdi, %rbx\n  mov %rsi, %r12\n"                    \
          "  sub $16, %rsp\n  stmxcsr (%rsp)\n  fnstcw 8(%rsp)\n"                             \
          "  ldmxcsr 512(%r12)\n  fldcw 516(%r12)\n"                                          \
          "  fldl 520(%r12)\n  fldl 528(%r12)\n  fldl 536(%r12)\n"                            \
          "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                                  \
          "  " move " 32*\\n(%r12), %" stride "\\n\n  .endr\n"                                \
          "  mov 8(%rbx), %rax\n  mov 16(%rbx), %rdi\n  mov 24(%rbx), %rsi\n"                 \
          "  mov 32(%rbx), %rdx\n  mov 40(%rbx), %r10\n  mov 48(%rbx), %r8\n"                 \
          "  mov 56(%rbx), %r9\n"                                                             \
          "  syscall\n"                                                                       \
          "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                                  \
          "  " move " %" stride "\\n, 32*\\n(%r12)\n  .endr\n"                                \
          "  stmxcsr 512(%r12)\n  fnstcw 516(%r12)\n  fnstsw 518(%r12)\n"                     \
          "  fstpl 536(%r12)\n  fstpl 528(%r12)\n  fstpl 520(%r12)\n"                         \
          "  ldmxcsr (%rsp)\n  fldcw 8(%rsp)\n  add $16, %rsp\n"                              \
          "  " last "\n"                                                                      \
          "  pop %r12\n  pop %rbx\n  ret\n.size " name ", .-" name "\n");
PROBE("probe_sse", "movups", "xmm", "nop")
PROBE("probe_avx", "vmovups", "ymm", "vzeroupper")
long probe_sse(const struct call *, struct vectors *);
long probe_avx(const struct call *, struct vectors *);

int main(void) {
  struct call calls[] = CALLS;
  int avx = __builtin_cpu_supports("avx");
  for (int round = 0; round < 50; round++)
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
      struct vectors before, after;
      memset(&before, 0, sizeof before);
      for (int r = 0; r < 16; r++)
        for (int b = 0; b < 32; b++) before.ymm[r][b] = (unsigned char)(r * 16 + b + round);
      before.mxcsr = 0x7f80;   // round towards zero, every exception masked
      before.control = 0x0c7f; // round towards zero, 24-bit precision
      before.x87[0] = 1.5, before.x87[1] = 2.25, before.x87[2] = -3.125;
      before.status = 5 << 11; // three values pushed
      after = before;
      long answer = (avx ? probe_avx : probe_sse)(&calls[i], &after);
      if (memcmp(before.ymm, after.ymm, sizeof before.ymm)) die("%s: a vector register changed", calls[i].name);
      if (before.mxcsr != after.mxcsr) die("%s: mxcsr %#x", calls[i].name, after.mxcsr);
      if (before.control != after.control) die("%s: x87 control word %#x", calls[i].name, after.control);
      if (before.status != (after.status & 0x3800)) die("%s: x87 stack %#x", calls[i].name, after.status);
      if (memcmp(before.x87, after.x87, sizeof before.x87)) die("%s: x87 values", calls[i].name);
      settle(&calls[i], answer);
    }
  puts("vector registers intact");
}
