// A successful execve in a vfork child never comes back to release what it
// held in the parent's memory, a failed one does. 300 of each: more than any
// table of slots that leaks.
// #Build: glibc, pie, musl
// #Expect: 300 children replaced themselves
#include "hazard.h"

int main(int argc, char **argv) {
  const char *path = EMULATED;
  if (argc > 1) {
    must_be_42(path, "after execve");
    return 9;
  }
  char *const again[] = {argv[0], "child", NULL};
  for (int i = 0; i < 300; i++) {
    pid_t child = vfork();
    if (child < 0) die("vfork");
    if (child == 0) {
      if (raw(SYS_execve, (long)MISSING, (long)again, (long)environ, 0, 0, 0) != -ENOENT) _exit(1);
      if (wrong_value(path)) _exit(2);
      raw(SYS_execve, (long)"/proc/self/exe", (long)again, (long)environ, 0, 0, 0);
      _exit(3);
    }
    int status;
    if (waitpid(child, &status, 0) != child) die("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 9) die("child %d: status %#x", i, status);
    must_be_42(path, "the parent");
  }
  puts("300 children replaced themselves");
}
