// A limit on how long files may become (RLIMIT_FSIZE) is none on reading: a hook that
// writes a file of its own must not be what gets the program killed (SIGXFSZ).
// #Build: glibc, pie, musl
// #Expect: alive under every limit
#include <sys/resource.h>
#include "hazard.h"

int main(void) {
  struct rlimit was;
  getrlimit(RLIMIT_FSIZE, &was);
  for (rlim_t limit = 0; limit < 4; limit++) {
    struct rlimit now = {limit, was.rlim_max};
    if (setrlimit(RLIMIT_FSIZE, &now)) die("setrlimit");
    struct stat st;
    long fd = raw(SYS_openat, AT_FDCWD, (long)EMULATED, O_RDONLY, 0, 0, 0);
    long stat = raw(SYS_stat, (long)EMULATED, (long)&st, 0, 0, 0, 0);
    setrlimit(RLIMIT_FSIZE, &was);
    // docs/limits.md: where it can't be made, the open fails, with the reason.
    if (stat || (fd < 0 && (fd != -EFBIG || limit > 2))) die("limit %d: %ld, %ld", (int)limit, fd, stat);
    if (fd >= 0) close((int)fd);
  }
  must_be_42(EMULATED, "without a limit");
  puts("alive under every limit");
}
