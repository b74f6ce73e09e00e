// libc's clone: the child starts in a function, on a stack of its own, with its
// parent's memory or a copy of it, while another thread is in the hook.
// #Build: glibc, pie, musl, trixie
// #Expect: 150 clones opened the file and ran a program
#include "hazard.h"

static const char *path;
static volatile int is_over;
static char *again[] = {NULL, "child", NULL};

static void *busy(void *unused) {
  (void)unused;
  while (!is_over) must_be_42(path, "the other thread");
  return NULL;
}

// Opens the file, fails to run a program, runs this one.
static int child(void *expected) {
  if (wrong_value(path)) return 1;
  if (raw(SYS_execve, (long)MISSING, (long)again, (long)environ, 0, 0, 0) != -ENOENT) return 2;
  raw(SYS_execve, (long)"/proc/self/exe", (long)again, (long)environ, 0, 0, 0);
  return expected ? 3 : 4;
}

static void must_end_well(pid_t pid, const char *what) {
  int status;
  if (pid < 0 || waitpid(pid, &status, __WALL) != pid) die("%s: %d", what, pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 9) die("%s: status %#x", what, status);
}

int main(int argc, char **argv) {
  path = EMULATED, again[0] = argv[0];
  if (argc > 1) {
    must_be_42(path, "after execve");
    return 9;
  }
  pthread_t thread;
  if (pthread_create(&thread, NULL, busy, NULL)) die("pthread_create");
  static char stack[65536] __attribute__((aligned(16)));
  char *top = stack + sizeof stack;
  for (int i = 0; i < 50; i++) {
    must_end_well(clone(child, top, CLONE_VM | CLONE_VFORK | SIGCHLD, again), "shared memory");
    must_end_well(clone(child, top, SIGCHLD, again), "a copy");
    long pid = raw(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (pid == 0) _exit(child(again));
    must_end_well((pid_t)pid, "by number");
  }
  is_over = 1;
  pthread_join(thread, NULL);
  puts("150 clones opened the file and ran a program");
}
