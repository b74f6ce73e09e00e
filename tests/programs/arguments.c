// Arguments belong to the caller: the path's bytes stay as they were, and an
// answer is written inside its buffer only, also when it was made up.
// #Build: glibc, pie, musl
// #Expect: arguments intact
#include "hazard.h"
#include <sys/vfs.h>

static void canary(const char *name, unsigned char *area, size_t size, size_t room) {
  for (size_t i = size; i < room; i++)
    if (area[i] != 0xa5) die("%s: byte %zu after the buffer was written", name, i - size);
}

int main(void) {
  const char *const paths[] = {EMULATED, REDIRECTED, MISSING};
  for (int p = 0; p < 3; p++) {
    char path[256], copy[256];
    memset(path, '#', sizeof path);
    strcpy(path, paths[p]);
    memcpy(copy, path, sizeof path);
    unsigned char area[1024];
    long found = p < 2;
#define TRY(name, size, ...)                                              \
  memset(area, 0xa5, sizeof area);                                        \
  {                                                                       \
    long answer = raw(__VA_ARGS__);                                       \
    if (found ? answer < 0 : answer != -ENOENT) die("%s of %s: %ld", name, path, answer); \
    if (memcmp(path, copy, sizeof path)) die("%s changed its path", name); \
    canary(name, area, found ? size : 0, sizeof area);                    \
    if (strstr(name, "open")) close((int)answer);                         \
  }
    TRY("open", 0, SYS_open, (long)path, O_RDONLY, 0, 0, 0, 0)
    TRY("openat", 0, SYS_openat, -1, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0)
    TRY("stat", sizeof(struct stat), SYS_stat, (long)path, (long)area, 0, 0, 0, 0)
    TRY("lstat", sizeof(struct stat), SYS_lstat, (long)path, (long)area, 0, 0, 0, 0)
    TRY("newfstatat", sizeof(struct stat), SYS_newfstatat, AT_FDCWD, (long)path, (long)area, 0, 0, 0)
    TRY("statx", 256, SYS_statx, AT_FDCWD, (long)path, 0, 0x7ff, (long)area, 0)
    TRY("statfs", sizeof(struct statfs), SYS_statfs, (long)path, (long)area, 0, 0, 0, 0)
    TRY("access", 0, SYS_access, (long)path, R_OK, 0, 0, 0, 0)
    TRY("faccessat", 0, SYS_faccessat, AT_FDCWD, (long)path, R_OK, 0, 0, 0)
  }
  // A made-up fd fills the caller's buffer up to the value's length, no further.
  unsigned char area[64];
  memset(area, 0xa5, sizeof area);
  int fd = open(EMULATED, O_RDONLY);
  if (fd < 0) die("emulated open");
  struct stat st;
  if (fstat(fd, &st)) die("fstat");
  if (!S_ISREG(st.st_mode)) die("the emulated file is no regular file: mode %o", st.st_mode);
  long length = read(fd, area, sizeof area);
  if (length < 2 || length > 3) die("read %ld bytes", length);
  canary("read", area, (size_t)length, sizeof area);
  if (read(fd, area, sizeof area) != 0) die("no end of file");
  if (lseek(fd, 1, SEEK_SET) != 1 || read(fd, area, 1) != 1 || area[0] != '2') die("lseek");
  if (pread(fd, area, 1, 0) != 1 || area[0] != '4') die("pread");
  puts("arguments intact");
}
