// Threads cancelled in the middle of emulated opens: wherever the cancel finds
// them, the others must go on being answered.
// #Build: glibc, musl, trixie
// #Limit: 30
// #Expect: 300 cancelled, still answered
#include "hazard.h"

static const char *path;

static void *opener(void *unused) {
  (void)unused;
  for (;;) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die("emulated open");
    // Deferred until the next open, so that descriptors are not lost.
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    char text[4];
    if (read(fd, text, 2) != 2 || memcmp(text, "42", 2)) die("wrong value");
    close(fd);
    pthread_setcancelstate(state, &state);
  }
  return NULL;
}

int main(void) {
  path = EMULATED;
  for (int i = 0; i < 300; i++) {
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, opener, NULL))) die("pthread_create");
    struct timespec pause = {0, 1000 * (i % 300)};
    nanosleep(&pause, NULL);
    pthread_cancel(thread);
    void *result;
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED) die("thread %d was not cancelled", i);
    must_be_42(path, "the main thread");
  }
  puts("300 cancelled, still answered");
}
