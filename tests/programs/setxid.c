// glibc's setuid signals every thread and waits for each: one that is inside a
// call with signals blocked must come out and answer.
// #Build: glibc, musl, trixie
// #Expect: 40 changes reached every thread
#include "hazard.h"
#include <sys/fsuid.h>

static const char *path;
static volatile int stop;

static void *busy(void *unused) {
  (void)unused;
  while (!stop) {
    long wrong = wrong_value(path);
    if (wrong) die("a busy thread got %ld", wrong);
  }
  return NULL;
}

int main(void) {
  path = EMULATED;
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    if ((errno = pthread_create(&threads[i], NULL, busy, NULL))) die("pthread_create");
  for (int i = 0; i < 40; i++)
    if (setresuid(getuid(), geteuid(), geteuid())) die("setresuid");
  stop = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  puts("40 changes reached every thread");
}
