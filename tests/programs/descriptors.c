// A served open gives what an open gives: the lowest free number, the flags that
// were asked for, EMFILE when there is none left, EBADF for a write to a file
// opened to read, and nothing left over after close.
// #Build: glibc, pie, musl
// #Expect: descriptors as the kernel gives them
#include "hazard.h"
#include <sys/resource.h>

int main(void) {
  const char *const paths[] = {EMULATED, REDIRECTED};
  for (int i = 0; i < 2; i++) {
    int hole = open("/dev/null", O_RDONLY), after = open("/dev/null", O_RDONLY);
    close(hole);
    int fd = open(paths[i], O_RDONLY);
    if (fd != hole) die("%s: got %d, the lowest free was %d", paths[i], fd, hole);
    if (fcntl(fd, F_GETFD) != 0) die("closed on exec unasked");
    // An emulated file's descriptor says O_RDWR and refuses by a seal, with EPERM
    // (docs/limits.md); any other one has the flags that were asked for.
    int emulated = i == 0 && fcntl(fd, F_GET_SEALS) > F_SEAL_SEAL;
    if (!emulated && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) die("flags %#x", fcntl(fd, F_GETFL));
    if (write(fd, "x", 1) != -1 || errno != (emulated ? EPERM : EBADF)) die("a write to a file opened to read");
    int other = open(paths[i], O_RDONLY | O_CLOEXEC);
    if (fcntl(other, F_GETFD) != FD_CLOEXEC) die("not closed on exec");
    // Two opens have two positions.
    char a, b;
    if (read(fd, &a, 1) != 1 || read(other, &b, 1) != 1 || a != b) die("positions are shared");
    close(other);
    struct rlimit limit, tight;
    getrlimit(RLIMIT_NOFILE, &limit);
    tight = limit;
    tight.rlim_cur = (rlim_t)after + 1;
    setrlimit(RLIMIT_NOFILE, &tight);
    if (open(paths[i], O_RDONLY) != -1 || errno != EMFILE) die("%s: no EMFILE", paths[i]);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (open(paths[i], O_RDONLY | O_DIRECTORY) != -1 || errno != ENOTDIR) die("%s: no ENOTDIR", paths[i]);
    if (open(paths[i], O_RDONLY | O_CREAT | O_EXCL, 0600) != -1 || errno != EEXIST) die("%s: no EEXIST", paths[i]);
    close(fd);
    close(after);
    for (int n = 0; n < 5000; n++) {
      int again = open(paths[i], O_RDONLY);
      if (again != hole) die("round %d: got %d, not %d", n, again, hole);
      close(again);
    }
  }
  puts("descriptors as the kernel gives them");
}
