// Signals in a redirected call that blocks: EINTR without SA_RESTART, on and on
// with it, and a handler that leaves by siglongjmp, more often than any table
// has slots.
// #Build: glibc, pie, musl, trixie
// #Expect: interrupted 20, restarted, left 200 times
#include "hazard.h"
#include <setjmp.h>
#include <sys/time.h>

static volatile int seen;
static volatile int leave;
static sigjmp_buf back;
static void handler(int number) {
  (void)number;
  seen++;
  if (leave) siglongjmp(back, 1);
}

static void timer(long microseconds) {
  struct itimerval value = {{0, microseconds}, {0, microseconds}};
  if (setitimer(ITIMER_REAL, &value, NULL)) die("setitimer");
}

int main(void) {
  const char *fifo = redirected_fifo(), *path = EMULATED;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  sigaction(SIGALRM, &action, NULL);
  for (int i = 0; i < 20; i++) {
    timer(2000);
    int before = seen;
    long fd = i % 2 ? raw(SYS_open, (long)fifo, O_RDONLY, 0, 0, 0, 0)
                    : raw(SYS_openat, AT_FDCWD, (long)fifo, O_RDONLY, 0, 0, 0);
    timer(0);
    if (fd != -EINTR || seen == before) die("the redirected open answered %ld", fd);
  }
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    struct timespec pause = {0, 60000000};
    nanosleep(&pause, NULL);
    _exit(open(fifo, O_WRONLY) < 0);
  }
  int before = seen;
  timer(2000);
  int fd = open(fifo, O_RDONLY);
  timer(0);
  if (fd < 0) die("the restarted open");
  if (seen < before + 3) die("the open did not wait");
  int status;
  if (waitpid(child, &status, 0) != child || status) die("the other end: %#x", status);
  close(fd);
  volatile int left = 0;
  while (left < 200) {
    if (sigsetjmp(back, 1) == 0) {
      leave = 1;
      timer(1000);
      fd = open(fifo, O_RDONLY);
      die("the open came back: %d", fd);
    }
    leave = 0;
    timer(0);
    left++;
    must_be_42(path, "after the jump");
  }
  printf("interrupted 20, restarted, left %d times\n", left);
}
