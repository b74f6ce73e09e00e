// pthread_cancel of a thread blocked in read: musl looks whether the program
// counter is inside its own cancellable stretch, glibc unwinds from it.
// #Build: glibc, pie, musl, trixie
// #Expect: 200 threads cancelled, 200 cleanups
#include "hazard.h"

static volatile int cleanups;
static int ends[2];
static void cleanup(void *unused) {
  (void)unused;
  cleanups++;
}

static void *reader(void *unused) {
  (void)unused;
  char byte;
  pthread_cleanup_push(cleanup, NULL);
  if (read(ends[0], &byte, 1) != -2) die("read came back");
  pthread_cleanup_pop(0);
  return NULL;
}

int main(void) {
  if (pipe(ends)) die("pipe");
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
  printf("200 threads cancelled, %d cleanups\n", cleanups);
}
