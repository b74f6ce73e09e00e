// A path that ends exactly where its page ends: a reader that fetches one word
// too many meets the hole behind it.
// #Build: glibc, pie, musl, trixie
// #Expect: paths at the page's end answered
#include "hazard.h"

int main(void) {
  char *area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED || mprotect(area + 8192, 4096, PROT_NONE)) die("mmap");
  const char *const paths[] = {EMULATED, REDIRECTED, MISSING, "/proc/sys/kernel/ostype", "/", ""};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    size_t size = strlen(paths[i]) + 1;
    char *path = memcpy(area + 8192 - size, paths[i], size);
    struct stat st;
    long fd = raw(SYS_open, (long)path, O_RDONLY, 0, 0, 0, 0);
    long at = raw(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0, 0);
    long stat = raw(SYS_stat, (long)path, (long)&st, 0, 0, 0, 0);
    long access = raw(SYS_access, (long)path, F_OK, 0, 0, 0, 0);
    printf("%zu: %d %d %ld %ld\n", i, fd < 0 ? (int)fd : 0, at < 0 ? (int)at : 0, stat, access);
    if (i < 2 && (fd < 0 || at < 0 || stat || access)) die("path %zu is not served", i);
    if (fd >= 0) close((int)fd);
    if (at >= 0) close((int)at);
  }
  puts("paths at the page's end answered");
}
