// A signal without SA_RESTART ends a blocking call with EINTR, no matter where its
// instruction was moved to, and not before the handler ran.
// #Build: glibc, pie, musl, trixie
// #Expect: interrupted 70 times
#include "hazard.h"
#define FUTEX_WAIT 0 // musl comes without the kernel's headers
#include <poll.h>
#include <sys/time.h>

static volatile int seen;
static void handler(int number) {
  (void)number;
  seen++;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  if (sigaction(SIGALRM, &action, NULL)) die("sigaction");
  char fifo[64];
  snprintf(fifo, sizeof fifo, "/tmp/procsys-fifo-%d", getpid());
  if (mkfifo(fifo, 0600)) die("mkfifo");
  int ends[2];
  if (pipe(ends)) die("pipe");
  int total = 0;
  for (int round = 0; round < 10; round++)
    for (int kind = 0; kind < 7; kind++) {
      int before = seen;
      // Repeated, so that a signal that comes before the call blocks is no hang.
      struct itimerval timer = {{0, 3000}, {0, 3000}}, off = {{0, 0}, {0, 0}};
      struct timespec long_time = {100, 0}, left = {0, 0};
      struct pollfd fd = {ends[0], POLLIN, 0};
      char byte;
      int word = 1;
      long answer = 0;
      setitimer(ITIMER_REAL, &timer, NULL);
      switch (kind) {
      case 0: answer = raw(SYS_read, ends[0], (long)&byte, 1, 0, 0, 0); break;
      case 1: answer = raw(SYS_open, (long)fifo, O_RDONLY, 0, 0, 0, 0); break;
      case 2: answer = raw(SYS_openat, AT_FDCWD, (long)fifo, O_WRONLY, 0, 0, 0); break;
      case 3: answer = raw(SYS_nanosleep, (long)&long_time, (long)&left, 0, 0, 0, 0); break;
      case 4: answer = raw(SYS_poll, (long)&fd, 1, 100000, 0, 0, 0); break;
      case 5: answer = raw(SYS_futex, (long)&word, FUTEX_WAIT, 1, (long)&long_time, 0, 0); break;
      case 6: answer = raw(SYS_pause, 0, 0, 0, 0, 0, 0); break;
      }
      setitimer(ITIMER_REAL, &off, NULL);
      if (answer != -EINTR) die("kind %d answered %ld", kind, answer);
      if (seen == before) die("kind %d: interrupted by nothing", kind);
      if (kind == 3 && left.tv_sec != 99) die("nanosleep leaves %ld s", (long)left.tv_sec);
      total++;
    }
  unlink(fifo);
  printf("interrupted %d times\n", total);
}
