// With SA_RESTART the kernel sends the program back to the very instruction: the
// call starts again with its own number and arguments, wherever it was moved
// to, and is answered in the end. The same after a stop and SIGCONT, where
// sleeps come back through restart_syscall.
// #Build: glibc, pie, musl, trixie
// #Expect: restarted and answered
#include "hazard.h"
#include <sys/mman.h>
#include <sys/time.h>

// What the parent tells its feeder: which blocking call it is about to make, how many
// signals it had seen by then, and how many now.
static volatile struct { int call, before, seen; } *told;
static void handler(int number) {
  (void)number;
  told->seen++;
}

static void about_to(int call) {
  told->before = told->seen;
  told->call = call;
}

// Until that call was interrupted some times.
static void wait_for(int call) {
  struct timespec pause = {0, 2000000};
  while (told->call != call || told->seen < told->before + 20) nanosleep(&pause, NULL);
}

// Feeds the parent's blocking calls after a while.
static void feeder(const char *fifo, int end) {
  wait_for(1);
  int fd = open(fifo, O_WRONLY);
  if (fd < 0) _exit(1);
  wait_for(2);
  if (write(end, "x", 1) != 1) _exit(2);
  _exit(0);
}

int main(void) {
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (told == MAP_FAILED) die("mmap");
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  if (sigaction(SIGALRM, &action, NULL)) die("sigaction");
  char fifo[64];
  snprintf(fifo, sizeof fifo, "/tmp/procsys-restart-%d", getpid());
  if (mkfifo(fifo, 0600)) die("mkfifo");
  int ends[2];
  if (pipe(ends)) die("pipe");
  for (int round = 0; round < 2; round++) {
    told->call = 0;
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) feeder(fifo, ends[1]);
    struct itimerval timer = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    about_to(1);
    long fd = round ? raw(SYS_open, (long)fifo, O_RDONLY, 0, 0, 0, 0)
                    : raw(SYS_openat, AT_FDCWD, (long)fifo, O_RDONLY, 0, 0, 0);
    if (fd < 0) die("open of the FIFO answered %ld", fd);
    if (told->seen < told->before + 20) die("the open did not wait");
    char byte = 0;
    about_to(2);
    long got = raw(SYS_read, ends[0], (long)&byte, 1, 0, 0, 0);
    if (got != 1 || byte != 'x') die("read answered %ld", got);
    if (told->seen < told->before + 20) die("the read did not wait");
    setitimer(ITIMER_REAL, &off, NULL);
    close((int)fd);
    int status;
    if (waitpid(child, &status, 0) != child || status) die("the feeder: %#x", status);
  }
  unlink(fifo);
  // A child that sleeps is stopped and continued; its sleep goes on.
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    struct timespec sleep = {0, 400000000};
    _exit(raw(SYS_nanosleep, (long)&sleep, 0, 0, 0, 0, 0) == 0 ? 7 : 1);
  }
  struct timespec pause = {0, 15000000};
  for (int i = 0; i < 4; i++) {
    int status;
    nanosleep(&pause, NULL);
    kill(child, SIGSTOP);
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) die("no stop: %#x", status);
    kill(child, SIGCONT);
  }
  int status;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
    die("the sleeper: %#x", status);
  puts("restarted and answered");
}
