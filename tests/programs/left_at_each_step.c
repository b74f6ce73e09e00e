// A handler that leaves by siglongjmp at each single instruction of a call, one after
// the other, up to where the shim blocks signals: wherever it is left, what the call
// had taken by then must come back. Stepped by the processor's trap flag; each
// instruction is left forty times. A stack was lost at two of them (64 are all there are).
// #Build: glibc, pie, musl, trixie
// #Limit: 30
// #Expect: left at each instruction, still answered
#include "hazard.h"
#include <setjmp.h>
#include <ucontext.h>

enum { TRAP_FLAG = 0x100, SWEEPS = 20 };

static sigjmp_buf back;
static volatile long steps, leave_at;

// The call goes on without steps where it blocks signals: a trap there would kill.
static void handler(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (steps++ == leave_at) siglongjmp(back, 1);
  const unsigned char *next = (const void *)registers[REG_RIP];
  if (next[0] == 0x0f && next[1] == 0x05 && registers[REG_RAX] == SYS_rt_sigprocmask)
    registers[REG_EFL] &= ~TRAP_FLAG;
}

#define SET_FLAGS(operation) \
  __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n " operation ", (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" ::: "memory", "cc")

static const char *path;

static long missing(void) { return raw(SYS_access, (long)MISSING, F_OK, 0, 0, 0, 0); }

static long redirected(void) { return raw(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0, 0); }

// Makes the call once and says whether it was left.
static int left(long (*call)(void), long at) {
  if (sigsetjmp(back, 1)) {
    // One that is not left finds what was.
    call();
    return 1;
  }
  steps = 0;
  leave_at = at;
  SET_FLAGS("orl $0x100");
  long answer = call();
  SET_FLAGS("andl $~0x100");
  if ((call == missing) != (answer == -ENOENT)) die("answered %ld", answer);
  return 0;
}

int main(void) {
  path = REDIRECTED;
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  if (sigaction(SIGTRAP, &action, NULL)) die("sigaction");
  long (*const calls[])(void) = {missing, redirected};
  for (volatile int sweep = 0; sweep < SWEEPS; sweep++)
    for (volatile size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
      volatile long at = 0;
      while (left(calls[i], at)) at++;
      if (at < 5) die("only %ld steps", at);
      // Those that were left behind the open.
      raw(SYS_close_range, 3, 0x7fffffff, 0, 0, 0, 0);
    }
  must_be_42(EMULATED, "after them");
  puts("left at each instruction, still answered");
}
