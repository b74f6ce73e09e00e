// Signals at 10 kHz during emulated opens, the handler on an alternate stack of
// the least size plus 1 KiB with a guard page below, itself opening an
// emulated file. libredirect, fakechroot and syscall_intercept crash here.
// #Build: glibc, pie, musl, trixie
// #Expect: survived 3000 signals
#include "hazard.h"
#include <sys/auxv.h>
#include <sys/time.h>

static const char *path;
static volatile int seen;
static volatile long handler_wrong;

static void handler(int number) {
  (void)number;
  int saved = errno;
  long wrong = wrong_value(path);
  if (wrong) handler_wrong = wrong;
  seen++;
  errno = saved;
}

int main(void) {
  path = EMULATED;
  long least = (long)getauxval(51 /* AT_MINSIGSTKSZ */);
  if (least < 2048) least = 2048;
  char *area = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED || mprotect(area + 4096, 61440, PROT_READ | PROT_WRITE)) die("mmap");
  stack_t alternate = {.ss_sp = area + 4096, .ss_flags = 0, .ss_size = (size_t)least + 1024};
  // libc may hold a higher opinion of the least size than the kernel does.
  if (syscall(SYS_sigaltstack, &alternate, NULL)) die("sigaltstack");
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  if (sigaction(SIGALRM, &action, NULL)) die("sigaction");
  struct itimerval timer = {{0, 100}, {0, 100}};
  if (setitimer(ITIMER_REAL, &timer, NULL)) die("setitimer");
  while (seen < 3000) {
    must_be_42(path, "under signals");
    if (access(MISSING, F_OK) == 0 || errno != ENOENT) die("the missing file is there");
    if (handler_wrong) die("the handler got %ld", handler_wrong);
  }
  puts("survived 3000 signals");
}
