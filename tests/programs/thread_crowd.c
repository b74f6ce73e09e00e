// More threads at once than any fixed table holds: each waits its turn, none is
// refused, none gets another's answer.
// #Build: glibc, pie, musl, trixie
// #Limit: 30
// #Expect: 1000 threads read 20000 values
#include "hazard.h"
#include <sys/resource.h>

static pthread_barrier_t barrier;
static const char *path;
static const char *other;

static void *reader(void *unused) {
  (void)unused;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 20; i++) {
    long wrong = wrong_value(path);
    if (wrong) die("a thread got %ld", wrong);
    if (access(MISSING, F_OK) == 0 || errno != ENOENT) die("the missing file is there");
    if (access(other, F_OK)) die("the redirected file is not there");
  }
  return NULL;
}

int main(void) {
  path = EMULATED;
  other = REDIRECTED;
  struct rlimit limit = {8192, 8192};
  if (setrlimit(RLIMIT_NOFILE, &limit)) die("setrlimit");
  static pthread_t threads[1000];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  pthread_barrier_init(&barrier, NULL, 1000);
  for (int i = 0; i < 1000; i++)
    if ((errno = pthread_create(&threads[i], &small, reader, NULL))) die("pthread_create %d", i);
  for (int i = 0; i < 1000; i++) pthread_join(threads[i], NULL);
  puts("1000 threads read 20000 values");
}
