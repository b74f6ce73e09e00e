// rt_sigreturn reads its frame at rsp: a detour that moves rsp or pushes before
// it returns to nowhere. The interrupted registers come back too.
// #Build: glibc, pie, musl
// #Expect: 20000 handlers returned
#include "hazard.h"

static volatile int seen;
static void handler(int number, siginfo_t *info, void *context) {
  (void)number, (void)info, (void)context;
  seen++;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGUSR1, &action, NULL)) die("sigaction");
  pid_t pid = getpid();
  for (int i = 0; i < 20000; i++) {
    // In one expression with values in callee- and caller-saved registers.
    long r = i, answer;
    __asm__ volatile("mov %[v], %%r8\n mov %[v], %%r12\n syscall\n"
                     "sub %%r12, %%r8\n add %%rax, %%r8\n"
                     : "=a"(answer)
                     : "a"(SYS_kill), "D"(pid), "S"(SIGUSR1), [v] "r"(r)
                     : "rcx", "r11", "r8", "r12", "memory");
    if (answer) die("kill: %ld", answer);
    if (seen != i + 1) die("signal %d arrived late", i);
  }
  puts("20000 handlers returned");
}
