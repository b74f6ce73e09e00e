// Every kind of call that takes a path, for a folder that is known by one name,
// written into the program: /run/sysbox. Usage: paths NAME. It prints what each gives,
// and leaves nothing.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "/run/sysbox"
#define FILE_A FOLDER "/a"
#define FILE_B FOLDER "/b"
#define MOUNT_POINT FOLDER "/mount"

static long result(const char *what, long value) {
  printf("%s: %ld errno %d\n", what, value < 0 ? -1 : value > 2 ? 3 : value, errno);
  errno = 0;
  return value;
}
#define TRY(what, call) (errno = 0, result(what, call))

static void files(char *name) {
  struct stat st;
  struct statfs fs;
  struct timeval times[2] = {{1, 0}, {2, 0}};
  char text[64] = "";
  int fd = TRY("open", open(FILE_A, O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY("write", write(fd, name, 1));
  close(fd);
  TRY("open again", open(FILE_A, O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY("stat", stat(FILE_A, &st));
  TRY("lstat", lstat(FILE_B, &st));
  TRY("access", access(FILE_A, R_OK | W_OK));
  TRY("chmod", chmod(FILE_A, 0640));
  TRY("chown", chown(FILE_A, 1, 1));
  TRY("lchown", lchown(FILE_A, 2, 2));
  stat(FILE_A, &st);
  printf("  %o %u\n", st.st_mode, st.st_uid);
  TRY("link", link(FILE_A, FILE_B));
  TRY("rename", rename(FILE_B, FOLDER "/c"));
  TRY("unlink", unlink(FOLDER "/c"));
  TRY("unlink again", unlink(FOLDER "/c"));
  TRY("symlink", symlink("a", FILE_B));
  TRY("readlink", readlink(FILE_B, text, sizeof text));
  printf("  %s\n", text);
  TRY("unlink", unlink(FILE_B));
  TRY("truncate", truncate(FILE_A, 3));
  TRY("statfs", statfs(FILE_A, &fs));
  TRY("utimes", utimes(FILE_A, times));
  TRY("utimensat", utimensat(AT_FDCWD, FILE_A, NULL, 0));
  TRY("mknod", mknod(FILE_B, S_IFIFO | 0600, 0));
  TRY("unlink", unlink(FILE_B));
  int watch = inotify_init1(IN_NONBLOCK);
  TRY("inotify_add_watch", inotify_add_watch(watch, FILE_A, IN_MODIFY));
  TRY("truncate", truncate(FILE_A, 1));
  TRY("inotify", read(watch, text, sizeof text));
  TRY("chdir", chdir(FOLDER));
  TRY("relative", access("a", F_OK));
  TRY("chdir", chdir("/"));
}

static void mounts(void) {
  struct stat st;
  TRY("mkdir", mkdir(FOLDER "/source", 0700));
  TRY("mkdir", mkdir(FOLDER "/source/in", 0700));
  TRY("mkdir", mkdir(MOUNT_POINT, 0700));
  if (unshare(CLONE_NEWNS) || mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) exit(3);
  TRY("mount", mount(FOLDER "/source", MOUNT_POINT, 0, MS_BIND, 0));
  TRY("stat", stat(MOUNT_POINT "/in", &st));
  TRY("umount2", umount2(MOUNT_POINT, 0));
  TRY("stat", stat(MOUNT_POINT "/in", &st));
  TRY("rmdir", rmdir(MOUNT_POINT));
  TRY("rmdir", rmdir(FOLDER "/source/in"));
  TRY("rmdir", rmdir(FOLDER "/source"));
}

static void execute(void) {
  int from = open("/proc/self/exe", O_RDONLY), to = open(FILE_B, O_WRONLY | O_CREAT, 0700), status = 0;
  while (sendfile(to, from, NULL, 1 << 20) > 0) {}
  close(to);
  fflush(stdout);
  if (fork() == 0) {
    execl(FILE_B, "paths", "a", "executed", (char *)0);
    _exit(9);
  }
  wait(&status);
  TRY("execve", status);
  TRY("unlink", unlink(FILE_B));
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 3) return puts("executed"), 0;
  if (argc != 2) return 2;
  TRY("mkdir", mkdir(FOLDER, 0700));
  files(argv[1]);
  mounts();
  execute();
  TRY("rmdir, not empty", rmdir(FOLDER));
  TRY("unlink", unlink(FILE_A));
  TRY("rmdir", rmdir(FOLDER));
  return 0;
}
