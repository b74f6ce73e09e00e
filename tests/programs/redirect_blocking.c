// A redirected call may block for as long as it likes: a hundred of them, more
// than any table of slots, must not keep others from being answered.
// #Build: glibc, pie, musl, trixie
// #Expect: 100 blocked, others answered
#include "hazard.h"

static volatile int entered;
static const char *fifo;

static void *opener(void *unused) {
  (void)unused;
  __sync_fetch_and_add(&entered, 1);
  int fd = open(fifo, O_RDONLY);
  if (fd < 0) die("the redirected FIFO");
  return NULL;
}

int main(void) {
  fifo = redirected_fifo();
  const char *path = EMULATED;
  alarm(15);
  static pthread_t threads[100];
  for (int i = 0; i < 100; i++)
    if ((errno = pthread_create(&threads[i], NULL, opener, NULL))) die("pthread_create");
  while (entered < 100) sched_yield();
  struct timespec pause = {0, 100000000};
  nanosleep(&pause, NULL);
  for (int i = 0; i < 100; i++) must_be_42(path, "beside blocked calls");
  if (access(REDIRECTED, R_OK)) die("a redirected call beside blocked ones");
  int fd = open(fifo, O_RDWR);
  if (fd < 0) die("the FIFO's other end");
  for (int i = 0; i < 100; i++) pthread_join(threads[i], NULL);
  puts("100 blocked, others answered");
}
