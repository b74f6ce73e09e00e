// Every start is a new layout, and half of these have no randomisation at all:
// what the patch adds must never meet the stack, the heap or the vdso. A
// start-up mmap of e9patch now and then hits the vdso.
// #Build: glibc, pie, musl
// #Expect: started 300 times
#include "hazard.h"
#include <sys/personality.h>

int main(int argc, char **argv) {
  int round = argc > 1 ? atoi(argv[1]) : 0;
  must_be_42(EMULATED, "a new image");
  if (round == 300) {
    puts("started 300 times");
    return 0;
  }
  if (personality(round % 2 ? ADDR_NO_RANDOMIZE : 0) < 0) die("personality");
  char next[16];
  snprintf(next, sizeof next, "%d", round + 1);
  execl("/proc/self/exe", argv[0], next, NULL);
  die("execl");
}
