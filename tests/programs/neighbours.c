// A detour is longer than `syscall`, so its neighbours move: jumps to the
// instruction before or after it, jumps and calls among the moved ones,
// addresses relative to them, and a second `syscall` right behind.
// #Build: glibc, pie
// #Expect: 12 shapes of surroundings
#include "hazard.h"

#define SHAPE(name, text) \
  __asm__(".text\n.globl " name "\n.type " name ",@function\n" name ":\n" text ".size " name ", .-" name "\n"); 
// Each is getppid() + a + 2*b, worked out around the instruction.
SHAPE("s_plain", "mov $110, %eax\n syscall\n add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n")
SHAPE("s_end", "push %rdi\n add %rsi, (%rsp)\n add %rsi, (%rsp)\n mov $110, %eax\n syscall\n add (%rsp), %rax\n pop %rcx\n ret\n")
SHAPE("s_target_after", "mov $110, %eax\n test %rsi, %rsi\n jz 1f\n mov $110, %eax\n syscall\n"
                        "2: add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n 1: mov $110, %eax\n syscall\n jmp 2b\n")
SHAPE("s_short_jump_after", "mov $110, %eax\n syscall\n jmp 1f\n ud2\n 1: add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n")
SHAPE("s_condition_after", "mov $110, %eax\n syscall\n cmp $-4095, %rax\n jae 1f\n add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n 1: ud2\n")
SHAPE("s_relative_before", "lea s_number(%rip), %rcx\n mov s_number(%rip), %eax\n syscall\n mov s_zero(%rip), %ecx\n"
                           " add %rcx, %rax\n add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n")
SHAPE("s_two_in_a_row", "mov $110, %eax\n syscall\n mov $110, %eax\n syscall\n add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n")
SHAPE("s_loop_back", "mov $3, %r8d\n 1: mov $110, %eax\n syscall\n dec %r8d\n jnz 1b\n add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n")
SHAPE("s_call_after", "mov $110, %eax\n syscall\n call s_helper\n add %rdi, %rax\n ret\n")
SHAPE("s_flags_over", "xor %eax, %eax\n cmp %rsi, %rsi\n stc\n mov $110, %eax\n syscall\n jnc 1f\n add %rdi, %rax\n"
                      " lea (%rax,%rsi,2), %rax\n ret\n 1: ud2\n")
SHAPE("s_string_after", "push %rdi\n push %rsi\n mov $110, %eax\n syscall\n xor %ecx, %ecx\n rep stosb\n pop %rsi\n pop %rdi\n"
                        " add %rdi, %rax\n lea (%rax,%rsi,2), %rax\n ret\n")
SHAPE("s_short_call_number", "push $110\n pop %rax\n syscall\n xchg %rax, %rdx\n lea (%rdi,%rsi,2), %rax\n add %rdx, %rax\n ret\n")
__asm__(".text\n.type s_helper,@function\ns_helper: lea (%rax,%rsi,2), %rax\n ret\n.size s_helper, .-s_helper\n"
        ".data\ns_number: .long 110\ns_zero: .long 0\n.text\n");
typedef long shape(long a, long b);
shape s_plain, s_end, s_target_after, s_short_jump_after, s_condition_after, s_relative_before, s_two_in_a_row,
    s_loop_back, s_call_after, s_flags_over, s_string_after, s_short_call_number;

int main(void) {
  shape *const shapes[] = {s_plain, s_end, s_target_after, s_short_jump_after, s_condition_after,
                           s_relative_before, s_two_in_a_row, s_loop_back, s_call_after, s_flags_over,
                           s_string_after, s_short_call_number};
  int count = sizeof shapes / sizeof *shapes;
  long parent = getppid();
  for (int i = 0; i < count; i++)
    for (long a = 0; a < 4; a++)
      for (long b = 0; b < 4; b++) {
        long answer = shapes[i](a, b);
        if (answer != parent + a + 2 * b) die("shape %d (%ld, %ld) gave %ld", i, a, b, answer);
      }
  printf("%d shapes of surroundings\n", count);
}
