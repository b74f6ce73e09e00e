// A hundred generations, each forked while its siblings' threads are inside a
// call: what vanished threads held adds up from parent to child and must not
// use up anything.
// #Build: glibc, musl
// #Limit: 30
// #Expect: 100 generations answered
#include "hazard.h"

static const char *path;

static void *busy(void *unused) {
  (void)unused;
  for (;;) {
    long wrong = wrong_value(path);
    if (wrong) _exit(2);
  }
  return NULL;
}

// The parent ends as soon as it has forked, and its busy threads with it: one
// generation is at work at a time, the last one reports through the pipe.
static void walk(int left, int report) {
  pthread_t threads[6];
  for (;; left--) {
    for (int i = 0; i < 6; i++)
      if (pthread_create(&threads[i], NULL, busy, NULL)) _exit(3);
    for (int i = 0; i < 10; i++)
      if (wrong_value(path)) _exit(4);
    if (left == 0) {
      if (write(report, "7", 1) != 1) _exit(5);
      _exit(0);
    }
    pid_t child = fork();
    if (child < 0) _exit(6);
    if (child > 0) _exit(0);
    alarm(30);
  }
}

int main(void) {
  path = EMULATED;
  int ends[2];
  if (pipe(ends)) die("pipe");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    close(ends[0]);
    walk(100, ends[1]);
  }
  close(ends[1]);
  char byte = 0;
  if (read(ends[0], &byte, 1) != 1 || byte != '7') die("the chain broke");
  puts("100 generations answered");
}
