// Steps through two system calls, one instruction after the other, and asks libgcc's
// unwinder at each for the callers. Around the calls are the instructions that a detour
// moves, and these push and pop.
#include <signal.h>
#include <stdio.h>
#include <unwind.h>

int main(void);
static int steps, lost;

static _Unwind_Reason_Code is_main(struct _Unwind_Context *context, void *found) {
  void *at = (void *)(_Unwind_GetIP(context) - 1);
  if (_Unwind_FindEnclosingFunction(at) == (void *)main) *(int *)found = 1;
  return _URC_NO_REASON;
}

static void stepped(int signal) {
  (void)signal;
  int found = 0;
  _Unwind_Backtrace(is_main, &found);
  steps++;
  lost += !found;
}

#define PUSH(r) "push %" #r "; .cfi_adjust_cfa_offset 8; .cfi_rel_offset " #r ", 0;"
#define POP(r) "pop %" #r "; .cfi_adjust_cfa_offset -8; .cfi_restore " #r ";"
#define FUNCTION(name, number)                                              \
  long name(void);                                                          \
  __asm__(".type " #name ", @function;" #name ": .cfi_startproc;"           \
          PUSH(rbx) PUSH(rbp) PUSH(r12) number "syscall;"                   \
          POP(r12) POP(rbp) POP(rbx) "ret; .cfi_endproc;"                   \
          ".size " #name ", . - " #name)
// What is behind the call is moved where its number is known, else what is before it.
FUNCTION(known, "mov $39, %eax;");
FUNCTION(unknown, "push $39; .cfi_adjust_cfa_offset 8; pop %rax; .cfi_adjust_cfa_offset -8;");

#define FLAGS(change) __asm__ volatile("pushfq; " change "; popfq" ::: "memory", "cc")

int main(void) {
  signal(SIGTRAP, stepped);
  FLAGS("orq $0x100, (%%rsp)");
  known();
  unknown();
  FLAGS("andq $~0x100, (%%rsp)");
  printf("%s, %d lost\n", steps > 20 ? "stepped" : "not stepped", lost);
}
