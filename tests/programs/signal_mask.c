// A hook that blocks signals while it works must not undo what the call itself
// does to the mask, nor leave its own behind, nor swallow a signal.
// #Build: glibc, pie, musl
// #Expect: signal mask as the program set it
#include "hazard.h"
#include <poll.h>

static volatile int seen;
static void handler(int number) {
  (void)number;
  seen++;
}

static unsigned long mask_now(void) {
  unsigned long mask = 0;
  raw(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&mask, 8, 0, 0);
  return mask;
}

int main(void) {
  const char *path = EMULATED;
  struct call calls[] = CALLS;
  signal(SIGUSR1, handler);
  unsigned long one = 1UL << (SIGUSR1 - 1), odd = one | 1UL << (SIGHUP - 1) | 1UL << 40, none = 0, old = 7;
  if (mask_now()) die("a signal is blocked from the start");
  for (int round = 0; round < 2; round++) {
    unsigned long want = round ? odd : 0;
    raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&want, 0, 8, 0, 0);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
      const struct call *c = &calls[i];
      settle(c, raw(c->number, c->a, c->b, c->c, c->d, c->e, c->f));
      if (mask_now() != want) die("%s: mask %#lx, not %#lx", c->name, mask_now(), want);
    }
  }
  raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&one, (long)&old, 8, 0, 0);
  if (old != odd) die("the old mask was %#lx", old);
  // Blocked: it stays pending over served calls, and arrives with the unblock.
  kill(getpid(), SIGUSR1);
  must_be_42(path, "with a signal pending");
  if (seen) die("a blocked signal arrived");
  raw(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&one, 0, 8, 0, 0);
  if (seen != 1) die("the pending signal did not arrive");
  // Calls that take a mask for their own time.
  for (int kind = 0; kind < 3; kind++) {
    raw(SYS_rt_sigprocmask, SIG_BLOCK, (long)&one, 0, 8, 0, 0);
    kill(getpid(), SIGUSR1);
    struct { const void *mask; size_t size; } pair = {&none, 8};
    struct timespec long_time = {50, 0};
    long answer = 0;
    if (kind == 0) answer = raw(SYS_rt_sigsuspend, (long)&none, 8, 0, 0, 0, 0);
    if (kind == 1) answer = raw(SYS_ppoll, 0, 0, (long)&long_time, (long)&none, 8, 0);
    if (kind == 2) answer = raw(SYS_pselect6, 0, 0, 0, 0, (long)&long_time, (long)&pair);
    if (answer != -EINTR) die("kind %d answered %ld", kind, answer);
    if (seen != 2 + kind) die("kind %d: %d signals", kind, seen);
    if (mask_now() != one) die("kind %d: mask %#lx", kind, mask_now());
  }
  kill(getpid(), SIGUSR1);
  if (raw(SYS_rt_sigtimedwait, (long)&one, 0, 0, 8, 0, 0) != SIGUSR1) die("rt_sigtimedwait");
  puts("signal mask as the program set it");
}
