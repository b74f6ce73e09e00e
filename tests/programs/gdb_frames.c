// A debugger on the patched file: breakpoints hold, and frames are found from a
// library function, from a call that is passed on, and from inside a served one.
// #Build: glibc
// #Expect: outer saw 42
#include "hazard.h"

__attribute__((noinline)) static int innermost(void) {
  int value = wrong_value(EMULATED) == 0 ? 42 : 0;
  __asm__ volatile("" ::: "memory");
  return value + (getppid() < 0);
}

__attribute__((noinline)) static int outer(void) {
  int value = innermost();
  __asm__ volatile("" ::: "memory");
  return value;
}

int main(void) { printf("outer saw %d\n", outer()); }
