// The kernel preserves every general register but rax, rcx, r11, and all flags.
// zpoline loses r10 and the carry flag; the e9patch hook and a ptrace tracer
// leave rsi changed after a redirect.
// #Build: glibc, pie, musl
// #Expect: registers and flags intact
#include "hazard.h"

struct registers {
  long rax, rdi, rsi, rdx, r10, r8, r9, rbx, rbp, r12, r13, r14, r15, flags, rsp, rsp_after;
};

__asm__(".text\n.globl probe\n.type probe,@function\nprobe:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  push %rdi\n"
        "  mov %rdi, %r11\n"
        "  mov %rsp, 112(%r11)\n"
        "  mov 0(%r11), %rax\n  mov 8(%r11), %rdi\n  mov 16(%r11), %rsi\n  mov 24(%r11), %rdx\n"
        "  mov 32(%r11), %r10\n  mov 40(%r11), %r8\n  mov 48(%r11), %r9\n  mov 56(%r11), %rbx\n"
        "  mov 64(%r11), %rbp\n  mov 72(%r11), %r12\n  mov 80(%r11), %r13\n  mov 88(%r11), %r14\n"
        "  mov 96(%r11), %r15\n"
        "  pushq 104(%r11)\n  popfq\n"
        "  syscall\n"
        "  mov %rsp, %rcx\n"
        "  pushfq\n"
        "  mov 8(%rsp), %r11\n"
        "  mov %rcx, 120(%r11)\n"
        "  popq 104(%r11)\n"
        "  pushq $0x202\n  popfq\n"
        "  mov %rax, 0(%r11)\n  mov %rdi, 8(%r11)\n  mov %rsi, 16(%r11)\n  mov %rdx, 24(%r11)\n"
        "  mov %r10, 32(%r11)\n  mov %r8, 40(%r11)\n  mov %r9, 48(%r11)\n  mov %rbx, 56(%r11)\n"
        "  mov %rbp, 64(%r11)\n  mov %r12, 72(%r11)\n  mov %r13, 80(%r11)\n  mov %r14, 88(%r11)\n"
        "  mov %r15, 96(%r11)\n"
        "  pop %rdi\n  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n  ret\n"
        ".size probe, .-probe\n");
void probe(struct registers *);

// Interrupts are always on (0x200) and bit 1 is always set; the rest of a row
// is carry 1, parity 4, adjust 10, zero 40, sign 80, direction 400,
// overflow 800, identification 200000.
static const long FLAGS[] = {0x202, 0x203, 0x206, 0x212, 0x242, 0x282, 0x602, 0xa02, 0x200202, 0x200ed7};

static const char *const NAMES[] = {"rdi", "rsi", "rdx", "r10", "r8",  "r9",   "rbx",
                                    "rbp", "r12", "r13", "r14", "r15", "flags"};

int main(void) {
  struct call calls[] = CALLS;
  for (size_t f = 0; f < sizeof FLAGS / sizeof *FLAGS; f++)
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
      const struct call *c = &calls[i];
      struct registers before = {c->number, c->a, c->b, c->c, c->d, c->e, c->f, 0x1b1b1b1b1b1b1b1b,
                                 0x2b2b2b2b2b2b2b2b, 0x1212121212121212, 0x1313131313131313,
                                 0x1414141414141414, 0x1515151515151515, FLAGS[f], 0, 0};
      struct registers after = before;
      probe(&after);
      for (int r = 1; r <= 13; r++)
        if (((long *)&after)[r] != ((long *)&before)[r])
          die("%s: %s was %#lx and is %#lx (flags %#lx)", c->name, NAMES[r - 1], ((long *)&before)[r],
              ((long *)&after)[r], FLAGS[f]);
      if (after.rsp != after.rsp_after) die("%s: rsp moved by %ld", c->name, after.rsp_after - after.rsp);
      settle(c, after.rax);
    }
  puts("registers and flags intact");
}
