// pthread_cancel of a thread blocked in open of a FIFO: the same two readers of the
// program counter as in cancel_read.c, for a call that is run out of line.
// #Build: glibc, pie, musl, trixie
// #Expect: 200 threads cancelled, 200 cleanups
#include "hazard.h"

static volatile int cleanups;
static char fifo[64];
static void cleanup(void *unused) {
  (void)unused;
  cleanups++;
}

static void *reader(void *unused) {
  (void)unused;
  pthread_cleanup_push(cleanup, NULL);
  if (open(fifo, O_RDONLY) != -2) die("open came back");
  pthread_cleanup_pop(0);
  return NULL;
}

int main(void) {
  snprintf(fifo, sizeof fifo, "/tmp/procsys-cancel-%d", getpid());
  if (mkfifo(fifo, 0600)) die("mkfifo");
  for (int i = 0; i < 200; i++) {
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, reader, NULL))) die("pthread_create");
    struct timespec pause = {0, i % 2 ? 500000 : 0};
    nanosleep(&pause, NULL);
    pthread_cancel(thread);
    void *result;
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED) die("thread %d was not cancelled", i);
  }
  unlink(fifo);
  printf("200 threads cancelled, %d cleanups\n", cleanups);
}
