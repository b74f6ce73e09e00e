// A process that shares our memory (CLONE_VM) and is killed inside a call takes
// what it held with it: after hundreds of them the survivor must still be
// answered.
// #Build: glibc, pie
// #Limit: 30
// #Expect: 400 sharers killed, the survivor is answered
#include "hazard.h"
#include <sched.h>

static const char *path;
static volatile long rounds;

static int sharer(void *unused) {
  (void)unused;
  for (;;) {
    if (wrong_value(path)) rounds = -1000000000;
    rounds++;
  }
  return 0;
}

int main(void) {
  path = EMULATED;
  char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) die("mmap");
  for (int i = 0; i < 400; i++) {
    long before = rounds;
    pid_t child = clone(sharer, stack + 65536, CLONE_VM | SIGCHLD, NULL);
    if (child < 0) die("clone");
    while (rounds < before + 3 && rounds >= 0) sched_yield();
    // Not always at the same point of the loop.
    for (volatile int spin = 0; spin < i * 37 % 5000; spin++) {}
    kill(child, SIGKILL);
    int status;
    if (waitpid(child, &status, 0) != child) die("waitpid");
    if (rounds < 0) die("a sharer got a wrong value");
    must_be_42(path, "the survivor");
  }
  puts("400 sharers killed, the survivor is answered");
}
