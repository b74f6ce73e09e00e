// What libc, or the kernel, says at the edges of a path. Usage: edges PREFIX, where
// PREFIX/file is there. `edges PREFIX small` hands realpath a buffer that libc knows to
// be too small for any path.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *__realpath_chk(const char *path, char *resolved, size_t size);

// A path of that length, with slashes before the last name.
static void of_length(const char *prefix, size_t length) {
  static char path[2 * PATH_MAX];
  size_t at = strlen(strcpy(path, prefix));
  while (at + strlen("/file") < length) path[at++] = '/';
  strcpy(path + at, "/file");
  int fd = open(path, O_RDONLY);
  printf("%zu bytes: %s, access %d\n", strlen(path), fd < 0 ? strerror(errno) : "there", access(path, R_OK));
  if (fd >= 0) close(fd);
}

// From a working directory outside of the root.
static void resolved(const char *path) {
  char room[PATH_MAX];
  char *whole = realpath(path, room);
  printf("realpath of %s: %s\n", path, whole ? whole : strerror(errno));
}

int main(int count, char **given) {
  if (count > 2) {
    char *small = malloc(100);
    printf("realpath into 100 bytes: %s\n", __realpath_chk(given[1], small, 100));
    return 0;
  }
  for (size_t length = PATH_MAX - 2; length < PATH_MAX + 3; length++) of_length(given[1], length);
  of_length(given[1], PATH_MAX + 60);
  char jail[] = "/tmp/edges-XXXXXX";
  if (!mkdtemp(jail) || chdir("/tmp") || chroot(jail)) return 1;
  resolved(".");
  resolved("..");
  resolved("../tmp");
  resolved("/");
  return rmdir(strrchr(jail, '/') + 1);
}
