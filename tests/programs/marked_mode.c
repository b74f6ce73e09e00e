// A file of the program's own that has the mode of an emulated one: a question about
// it by its path opens nothing. By then it could be a FIFO, on which an open waits for
// ever, or a link to a device that starts when it is opened.
// #Build: glibc, pie, musl
// #Expect: nothing was opened
#include <poll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include "hazard.h"

int main(void) {
  char path[] = "marked-XXXXXX";
  int fd = mkstemp(path), watch = inotify_init1(IN_NONBLOCK);
  if (fd < 0 || watch < 0) die("no file");
  if (inotify_add_watch(watch, path, IN_OPEN) < 0) die("no watch");
  const mode_t modes[] = {01444, 01644, 03444, 0644};
  for (int i = 0; i < 4; i++) {
    struct stat st;
    struct statfs fs;
    char statx[256];
    if (fchmod(fd, modes[i])) die("fchmod");
    long answers[] = {raw(SYS_stat, (long)path, (long)&st, 0, 0, 0, 0),
                      raw(SYS_lstat, (long)path, (long)&st, 0, 0, 0, 0),
                      raw(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, 0, 0, 0),
                      raw(SYS_statx, AT_FDCWD, (long)path, 0, 0x7ff, (long)statx, 0),
                      raw(SYS_statfs, (long)path, (long)&fs, 0, 0, 0, 0)};
    for (int n = 0; n < 5; n++)
      if (answers[n]) die("question %d: %ld", n, answers[n]);
    printf("%o %ld\n", st.st_mode, (long)st.st_size);
    struct pollfd seen = {watch, POLLIN, 0};
    if (poll(&seen, 1, 0)) die("a file of mode %o was opened", st.st_mode);
  }
  unlink(path);
  puts("nothing was opened");
}
