// A vfork child runs on its parent's stack and memory; the parent then goes on
// with both. zpoline dies here.
// #Build: glibc, pie, musl, trixie
// #Expect: vfork returned twice 300 times
#include "hazard.h"

int main(void) {
  const char *path = EMULATED;
  for (int i = 0; i < 300; i++) {
    volatile int canary = i;
    pid_t child = vfork();
    if (child < 0) die("vfork");
    if (child == 0) _exit(wrong_value(path) ? 1 : 7);
    int status;
    if (waitpid(child, &status, 0) != child) die("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) die("child %d: status %#x", i, status);
    if (canary != i) die("the stack changed");
    must_be_42(path, "the parent");
  }
  puts("vfork returned twice 300 times");
}
