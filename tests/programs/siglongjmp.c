// A handler may leave by siglongjmp: then the interrupted call never comes back
// to release what it held. Thousands of jumps must not use anything up, and
// the signal mask must be the one that was saved.
// #Build: glibc, pie, musl, trixie
// #Limit: 30
// #Expect: jumped out 3000 times
#include "hazard.h"
#include <setjmp.h>
#include <sys/time.h>

static sigjmp_buf back;
static volatile int armed;

static void handler(int number) {
  (void)number;
  if (armed) siglongjmp(back, 1);
}

int main(void) {
  const char *path = EMULATED;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  if (sigaction(SIGALRM, &action, NULL)) die("sigaction");
  struct itimerval timer = {{0, 200}, {0, 200}};
  if (setitimer(ITIMER_REAL, &timer, NULL)) die("setitimer");
  volatile int jumps = 0;
  while (jumps < 3000) {
    if (sigsetjmp(back, 1) == 0) {
      armed = 1;
      for (;;) {
        long wrong = wrong_value(path);
        if (wrong) {
          armed = 0;
          die("after %d jumps: %ld", jumps, wrong);
        }
      }
    }
    armed = 0;
    jumps++;
    // A jump between open and close leaves the descriptor open.
    if (jumps % 100 == 0) syscall(SYS_close_range, 3, 0x7fffffff, 0);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (sigismember(&mask, SIGALRM) || sigismember(&mask, SIGUSR1)) die("after %d jumps: a signal is blocked", jumps);
  }
  puts("jumped out 3000 times");
}
