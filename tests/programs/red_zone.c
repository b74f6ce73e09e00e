// A leaf function owns the 128 bytes below rsp, also over a system call.
// zpoline and lazypoline overwrite them.
// #Build: glibc, pie, musl
// #Expect: red zone intact
#include "hazard.h"

// long red_zone(const struct call *, unsigned *broken): fills the red zone, makes
// the call, counts the slots that changed.
__asm__(".text\n.globl red_zone\n.type red_zone,@function\nred_zone:\n"
        "  push %rbx\n  push %r12\n"
        "  mov %rdi, %rbx\n  mov %rsi, %r12\n"
        "  mov $0x7e57ab1e00000000, %rcx\n"
        "  .set slot, 1\n  .rept 16\n"
        "  lea slot(%rcx), %r11\n  mov %r11, -8*slot(%rsp)\n"
        "  .set slot, slot+1\n  .endr\n"
        "  mov 8(%rbx), %rax\n  mov 16(%rbx), %rdi\n  mov 24(%rbx), %rsi\n  mov 32(%rbx), %rdx\n"
        "  mov 40(%rbx), %r10\n  mov 48(%rbx), %r8\n  mov 56(%rbx), %r9\n"
        "  syscall\n"
        "  mov $0x7e57ab1e00000000, %rcx\n  xor %edx, %edx\n"
        "  .set slot, 1\n  .rept 16\n"
        "  lea slot(%rcx), %r11\n  cmp %r11, -8*slot(%rsp)\n"
        "  setne %r8b\n  movzbl %r8b, %r8d\n  add %r8d, %edx\n"
        "  .set slot, slot+1\n  .endr\n"
        "  mov %edx, (%r12)\n"
        "  pop %r12\n  pop %rbx\n  ret\n.size red_zone, .-red_zone\n");
long red_zone(const struct call *, unsigned *broken);

int main(void) {
  struct call calls[] = CALLS;
  for (int round = 0; round < 50; round++)
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
      unsigned broken = 99;
      long answer = red_zone(&calls[i], &broken);
      if (broken) die("%s: %u slots of the red zone changed", calls[i].name, broken);
      settle(&calls[i], answer);
    }
  puts("red zone intact");
}
