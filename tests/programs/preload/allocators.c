// Signals at 5 kHz during malloc and free, the handler opening files that the
// library serves. An allocator is not to be entered by the hook: its locks may be held
// by what was interrupted. With -DOWN the program brings its own malloc, which
// notices; another one (jemalloc, preloaded) would wait for itself for ever.
#include "../hazard.h"
#include <sys/time.h>

static const char *emulated, *redirected;
static volatile int seen, is_in_hook, entered;
static volatile long wrong;

#ifdef OWN
static volatile int interrupted;
static void on_malloc(void) { entered += is_in_hook; }
#include "own_malloc.h"
#endif

static void handler(int number) {
  (void)number;
  int saved = errno;
#ifdef OWN
  interrupted += is_inside;
#endif
  is_in_hook = 1;
  int fd = open(emulated, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) || stat(emulated, &st) || access(redirected, R_OK)) wrong = errno;
  if (fd >= 0) close(fd);
  fd = open(redirected, O_RDONLY | O_CLOEXEC);
  if (fd < 0) wrong = errno;
  else close(fd);
  is_in_hook = 0;
  seen++;
  errno = saved;
}

int main(void) {
  emulated = EMULATED, redirected = REDIRECTED;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  if (sigaction(SIGALRM, &action, NULL)) die("sigaction");
  struct itimerval timer = {{0, 200}, {0, 200}};
  if (setitimer(ITIMER_REAL, &timer, NULL)) die("setitimer");
  void *blocks[64] = {0};
  for (size_t i = 0; seen < 2000; i++) {
    free(blocks[i % 64]);
    blocks[i % 64] = malloc(16 + i % 3000);
    if (wrong) errno = wrong, die("the handler's calls");
  }
  if (entered) die("malloc was entered %d times by the hook", entered);
#ifdef OWN
  if (!interrupted) die("malloc was never interrupted");
#endif
  puts("2000 signals between malloc and free");
}
