// The kernel looks at rsp to know whether a handler is on the alternate stack:
// a call made from another stack gets another answer.
// #Build: glibc, pie, musl
// #Expect: alternate stack known
#include "hazard.h"

static volatile long change, flags, open_answer;
static const char *path;

static void handler(int number) {
  (void)number;
  stack_t now, none = {.ss_flags = SS_DISABLE};
  open_answer = wrong_value(path);
  change = raw(SYS_sigaltstack, (long)&none, 0, 0, 0, 0, 0);
  raw(SYS_sigaltstack, 0, (long)&now, 0, 0, 0, 0);
  flags = now.ss_flags;
}

int main(void) {
  path = EMULATED;
  static char room[65536];
  stack_t alternate = {.ss_sp = room, .ss_size = sizeof room}, now;
  if (sigaltstack(&alternate, NULL)) die("sigaltstack");
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  if (open_answer) die("emulated open in the handler: %ld", open_answer);
  if (change != -EPERM || flags != SS_ONSTACK) die("in the handler: %ld, flags %ld", change, flags);
  if (sigaltstack(NULL, &now) || now.ss_flags != 0 || now.ss_sp != room) die("after it: flags %d", now.ss_flags);
  puts("alternate stack known");
}
