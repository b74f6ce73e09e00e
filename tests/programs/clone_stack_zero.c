// clone(CLONE_VM|CLONE_VFORK) with stack 0, as Go's rawVforkSyscall calls it: the
// child shares the parent's stack, then replaces itself. zpoline and
// syscall_intercept die here.
// #Build: glibc, pie, musl
// #Expect: clone with stack 0 returned twice 300 times
#include "hazard.h"
#include <sched.h>

int main(int argc, char **argv) {
  const char *path = EMULATED;
  if (argc > 1) {
    must_be_42(path, "after execve");
    return 9;
  }
  // Go clones with the return address in a register, as the child overwrites
  // the stack below; inlined, the compiler does the same for us.
  char *const again[] = {argv[0], "child", NULL};
  for (int i = 0; i < 300; i++) {
    long child = raw(SYS_clone, CLONE_VFORK | CLONE_VM | SIGCHLD, 0, 0, 0, 0, 0);
    if (child < 0) die("clone: %ld", child);
    if (child == 0) {
      if (wrong_value(path)) raw(SYS_exit, 2, 0, 0, 0, 0, 0);
      raw(SYS_execve, (long)"/proc/self/exe", (long)again, (long)environ, 0, 0, 0);
      raw(SYS_exit, 3, 0, 0, 0, 0, 0);
    }
    int status;
    if (waitpid((pid_t)child, &status, 0) != child) die("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 9) die("child %d: status %#x", i, status);
    must_be_42(path, "the parent");
  }
  puts("clone with stack 0 returned twice 300 times");
}
