// Paths up to the kernel's limit and past it: 4095 bytes are a path, 4096 are
// ENAMETOOLONG, a name of 256 too, and a long way to a served file is as good
// as the short one.
// #Build: glibc, pie, musl
// #Expect: path lengths answered
#include "hazard.h"

// Writes `path` with "/." put in before its last name until it is `length` long.
static void stretch(char *to, const char *path, size_t length) {
  const char *last = strrchr(path, '/');
  size_t head = (size_t)(last - path), size = strlen(path);
  memcpy(to, path, head);
  to += head;
  size_t extra = length - size;
  if (extra % 2) *to++ = '/', extra--;
  for (; extra; extra -= 2) *to++ = '/', *to++ = '.';
  strcpy(to, last);
}

int main(void) {
  static char path[70000];
  const char *const paths[] = {EMULATED, REDIRECTED, MISSING};
  for (int i = 0; i < 3; i++) {
    const size_t lengths[] = {100, 255, 256, 511, 1023, 2048, 4000, 4095, 4096, 8192, 65536};
    for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
      // Its target's name is longer: the last bytes are not the program's to use.
      if (i == 1 && lengths[n] == 4095) continue;
      if (lengths[n] <= strlen(paths[i])) die("a short path was expected");
      stretch(path, paths[i], lengths[n]);
      if (strlen(path) != lengths[n]) die("stretched to %zu", strlen(path));
      struct stat st;
      long fd = raw(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0, 0);
      long stat = raw(SYS_stat, (long)path, (long)&st, 0, 0, 0, 0);
      printf("path %d of %zu: %d %ld\n", i, lengths[n], fd < 0 ? (int)fd : 0, stat);
      if (fd >= 0) close((int)fd);
    }
  }
  for (int length = 254; length <= 257; length++) {
    strcpy(path, "/proc/sys/");
    memset(path + 10, 'n', (size_t)length);
    path[10 + length] = 0;
    printf("name of %d: %ld\n", length, raw(SYS_open, (long)path, O_RDONLY, 0, 0, 0, 0));
  }
  puts("path lengths answered");
}
