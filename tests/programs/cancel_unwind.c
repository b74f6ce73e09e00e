// With -fexceptions a cleanup runs as a landing pad: the unwinder needs to find
// its way from the program counter of the blocked call to the caller.
// #Build: glibc, pie, trixie
// #Flags: -fexceptions
// #Expect: unwound from read 50, from open 50
#include "hazard.h"

static volatile int cleanups[2];
static int ends[2];
static char fifo[64];

static void count(int *kind) { cleanups[*kind]++; }

static void *blocked(void *argument) {
  __attribute__((cleanup(count))) int kind = (int)(long)argument;
  char byte;
  if (kind == 0 && read(ends[0], &byte, 1) != -2) die("read came back");
  if (kind == 1 && open(fifo, O_RDONLY) != -2) die("open came back");
  return NULL;
}

int main(void) {
  if (pipe(ends)) die("pipe");
  snprintf(fifo, sizeof fifo, "/tmp/procsys-unwind-%d", getpid());
  if (mkfifo(fifo, 0600)) die("mkfifo");
  for (long i = 0; i < 100; i++) {
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, blocked, (void *)(i % 2)))) die("pthread_create");
    struct timespec pause = {0, 500000};
    nanosleep(&pause, NULL);
    pthread_cancel(thread);
    void *result;
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED) die("thread %ld was not cancelled", i);
  }
  unlink(fifo);
  printf("unwound from read %d, from open %d\n", cleanups[0], cleanups[1]);
}
