// Names that came late, or that few know: streams of mounts, what a child opens before
// it is another program, glibc's own names for others. A line each, with errno (77
// before), under the prefix /procsys-away, which is redirected.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
pid_t _Fork(void);
#ifdef __GLIBC__
FILE *__setmntent(const char *, const char *);
int __connect(int, const struct sockaddr *, socklen_t);
pid_t __fork(void);
#endif

static void mounts(const char *what, FILE *open(const char *, const char *), const char *path) {
  errno = 77;
  FILE *stream = open(path, "r");
  printf("%s %s: %s errno %d\n", what, path, stream ? "open" : "none", errno);
  if (!stream) return;
  struct mntent *entry;
  while ((entry = getmntent(stream))) printf("  %s on %s\n", entry->mnt_fsname, entry->mnt_dir);
  endmntent(stream);
}

// A program whose input, or folder, a file action names.
static void spawned(const char *input, const char *folder) {
  posix_spawn_file_actions_t actions;
  char *cat[] = {"cat", NULL}, *ls[] = {"ls", NULL};
  pid_t child;
  int status = 0;
  posix_spawn_file_actions_init(&actions);
  errno = 77;
  int added = input ? posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
                    : posix_spawn_file_actions_addchdir_np(&actions, folder);
  printf("%s: added %d errno %d\n", input ? input : folder, added, errno);
  int result = posix_spawn(&child, input ? "/bin/cat" : "/bin/ls", &actions, NULL, input ? cat : ls, environ);
  if (result == 0) waitpid(child, &status, 0);
  printf("spawned %d, status %d\n", result, status);
  posix_spawn_file_actions_destroy(&actions);
}

static void forked(const char *what, pid_t fork(void)) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) _exit(access("/procsys-away/file", F_OK) ? 1 : 3);
  waitpid(child, &status, 0);
  printf("%s: status %d\n", what, WEXITSTATUS(status));
}

#ifdef __GLIBC__
static void connected(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/procsys-away/socket"};
  int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  int bound = bind(server, (void *)&address, sizeof address);
  listen(server, 1);
  errno = 77;
  int result = __connect(client, (void *)&address, sizeof address);
  printf("bind %d, __connect %d errno %d\n", bound, result, errno);
  unlink(address.sun_path);
}
#endif

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  mounts("setmntent", setmntent, "/procsys-away/mounts");
  mounts("setmntent", setmntent, "/procsys-away/none");
  mounts("setmntent", setmntent, "/proc/sys/procsys/refused");
  spawned("/procsys-away/file", NULL);
  spawned("/procsys-away/none", NULL);
  spawned(NULL, "/procsys-away/folder");
  spawned(NULL, "/procsys-away/none");
  forked("_Fork", _Fork);
#ifdef __GLIBC__
  mounts("__setmntent", __setmntent, "/procsys-away/mounts");
  forked("__fork", __fork);
  connected();
#endif
}
