// Runs FILE (argv[2]) by the function argv[1] with an environment of one
// variable, as container runtimes do: does what was cleared arrive?
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  const char *how = argv[1], *file = argv[2];
  char *args[] = {"env", NULL}, *given[] = {"ONLY=1", argc > 3 ? argv[3] : NULL, NULL};
  pid_t child = 0;
  int error = 0;
  clearenv();
  setenv("ONLY", "1", 1);
  if (!strcmp(how, "execve")) execve(file, args, given);
  if (!strcmp(how, "execv")) execv(file, args);
  if (!strcmp(how, "execvp")) execvp(file, args);
  if (!strcmp(how, "execvpe")) execvpe("env", args, given);
  if (!strcmp(how, "execl")) execl(file, "env", (char *)0);
  if (!strcmp(how, "execl-many")) execl(file, "env", "-u", "A", "-u", "B", "-u", "C", "-u", "D", (char *)0);
  if (!strcmp(how, "execlp")) execlp("env", "env", "-u", "A", "-u", "B", (char *)0);
  if (!strcmp(how, "execle")) execle(file, "env", "-u", "A", "-u", "B", "-u", "C", (char *)0, given);
  if (!strcmp(how, "fexecve")) fexecve(open(file, O_RDONLY), args, given);
  if (!strcmp(how, "execveat")) execveat(AT_FDCWD, file, args, given, 0);
  if (!strcmp(how, "execve-null")) execve(file, args, NULL);
  if (!strcmp(how, "syscall")) syscall(SYS_execve, file, args, given);
  if (!strcmp(how, "vfork") && !(child = vfork())) {
    execve(file, args, given);
    _exit(1);
  }
  if (!strcmp(how, "posix_spawn")) error = posix_spawn(&child, file, NULL, NULL, args, given);
  if (!strcmp(how, "posix_spawnp")) error = posix_spawnp(&child, "env", NULL, NULL, args, given);
  if (!strcmp(how, "spawn-missing")) {
    errno = 77;
    error = posix_spawn(&child, "/missing", NULL, NULL, args, given);
    printf("error %d errno %d\n", error, errno);
    return 0;
  }
  if (!child) {
    printf("%s failed: %d %d\n", how, errno, error);
    return 1;
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}
