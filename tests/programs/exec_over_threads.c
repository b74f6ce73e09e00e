// execve from one thread kills the others wherever they are, inside a call too.
// #Build: glibc, pie, musl, trixie
// #Expect: replaced over busy threads 60 times
#include "hazard.h"

static const char *path;

static void *busy(void *unused) {
  (void)unused;
  for (;;) {
    long wrong = wrong_value(path);
    if (wrong) die("a busy thread got %ld", wrong);
  }
  return NULL;
}

int main(int argc, char **argv) {
  path = EMULATED;
  int round = argc > 1 ? atoi(argv[1]) : 0;
  must_be_42(path, "a new image");
  if (round == 60) {
    puts("replaced over busy threads 60 times");
    return 0;
  }
  pthread_t thread;
  for (int i = 0; i < 6; i++)
    if ((errno = pthread_create(&thread, NULL, busy, NULL))) die("pthread_create");
  for (int i = 0; i < 20; i++) must_be_42(path, "the main thread");
  char next[16];
  snprintf(next, sizeof next, "%d", round + 1);
  execl("/proc/self/exe", argv[0], next, NULL);
  die("execl");
}
