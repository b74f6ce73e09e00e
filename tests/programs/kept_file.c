// A file that is opened again and again is one of its own each time: its own
// position, the flags that were asked for, the same contents in every thread and
// in children. And what a container puts where the shim looks for the file that
// it has kept (docs/decisions.md) is never given in its place.
// #Build: glibc, pie, musl, trixie
// #Expect: the file each time
#include "hazard.h"
#include <sys/mount.h>

enum { THREADS = 8, TIMES = 2000 };

static void look(const char *path) {
  char text[8];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("open");
  ssize_t length = read(fd, text, sizeof text);
  if (length < 2 || memcmp(text, "42", 2)) die("%zd bytes", length);
  if (read(fd, text, 1) != 0) die("more than the file");
  if (fcntl(fd, F_GETFD) != FD_CLOEXEC) die("not closed on exec");
  if (write(fd, "7", 1) != -1) die("written to");
  close(fd);
}

static void *look_often(void *path) {
  for (int i = 0; i < TIMES; i++) look(path);
  return NULL;
}

static void in_child(void (*run)(const char *), const char *path) {
  pid_t child = fork();
  if (child == 0) {
    run(path);
    _exit(0);
  }
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) die("child: %#x", status);
}

static void look_thrice(const char *path) {
  for (int i = 0; i < 3; i++) look(path);
}

// Puts another file at the links to all that is mapped.
static void decoys(const char *path) {
  char line[512], ends[64], names[256][64];
  int count = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps) && count < 256)
    if (sscanf(line, "%63s", ends) == 1) strcpy(names[count++], ends);
  fclose(maps);
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("unshare");
  if (mount("none", "/proc", "tmpfs", 0, NULL)) die("mount");
  int fd = open("/proc/decoy", O_WRONLY | O_CREAT, 0444);
  if (write(fd, "99\n", 3) != 3 || close(fd)) die("decoy");
  char folder[64];
  snprintf(folder, sizeof folder, "/proc/%d", getpid());
  if (mkdir(folder, 0755) || symlink(folder, "/proc/self")) die("mkdir");
  strcat(folder, "/map_files");
  if (mkdir(folder, 0755)) die("mkdir");
  int at = open(folder, O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < count; i++) {
    if (symlinkat("/proc/decoy", at, names[i])) die("symlink");
  }
  look_thrice(path);
}

// The file is not to be had any more where it was kept.
static void without_privilege(const char *path) {
  if (setresuid(65534, 65534, 65534)) die("setresuid");
  look_thrice(path);
}

int main(void) {
  const char *path = EMULATED;
  look_thrice(path);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, look_often, (void *)path);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  in_child(look_thrice, path);
  in_child(decoys, path);
  in_child(without_privilege, path);
  look_thrice(path);
  puts("the file each time");
}
