// glibc 2.39's spawn functions, which an older one's headers don't have. Each runs a
// shell that prints LD_PRELOAD, with an environment that lacks it; one by a redirected
// path. Prints the error (38: libc has no such function), or that there is none.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int spawn(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *);

static void try(const char *name, const char *path) {
  spawn *function = (spawn *)dlsym(RTLD_DEFAULT, name);
  char *argv[] = {"sh", "-c", "echo \"$LD_PRELOAD\"", NULL}, *envp[] = {"PATH=/usr/bin", NULL};
  int pidfd = -1;
  puts(name);
  if (!function) {
    puts("none");
    return;
  }
  int error = function(&pidfd, path, NULL, NULL, argv, envp);
  siginfo_t info;
  if (!error) waitid(P_PIDFD, pidfd, &info, WEXITED);
  printf("error %d\n", error);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  try("pidfd_spawn", "/procsys-bin/dash");
  try("pidfd_spawnp", "dash");
}
