// fork copies the memory but only the calling thread: what the other threads held
// in the middle of a call is held for ever in the child. Each child must get
// its answers all the same.
// #Build: glibc, pie, musl
// #Expect: 100 children answered
#include "hazard.h"

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
  for (int i = 0; i < 100; i++) {
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      alarm(20);
      for (int n = 0; n < 5; n++)
        if (wrong_value(path)) _exit(1);
      _exit(7);
    }
    int status;
    if (waitpid(child, &status, 0) != child) die("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) die("child %d: status %#x", i, status);
  }
  stop = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  puts("100 children answered");
}
