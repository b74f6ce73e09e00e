// Makes FOLDER its root by pivot_root and opens a file that is not there, before,
// after, and when all descriptors are closed. Usage: pivot FOLDER FILE
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static void attempt(const char *path) {
  int fd = open(path, O_RDONLY);
  printf("%s\n", fd < 0 ? "missing" : "there");
  if (fd > 50) exit(4);  // A program's descriptors are the lowest.
  if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  if (argc < 3) return 3;
  setvbuf(stdout, NULL, _IONBF, 0);
  attempt(argv[2]);
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 5;
  if (mount(argv[1], argv[1], NULL, MS_BIND, NULL) || chdir(argv[1])) return 6;
  if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")) return 7;
  attempt(argv[2]);
  for (int fd = 3; fd < 2000; fd++) close(fd);
  attempt(argv[2]);
  return 0;
}
