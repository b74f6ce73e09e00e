// calls KIND PATH BATCHES: makes one kind of system call in batches of about a
// millisecond and prints the nanoseconds of one call in the fastest batch. What
// other work on the machine adds to a batch is not the program's, so the
// fastest one is the truest. `calls nothing` ends at once, to time a start.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static long batch(const char *kind, const char *path, long count) {
  struct stat st;
  long start = now();
  if (!strcmp(kind, "open")) {
    for (long i = 0; i < count; i++) {
      int fd = open(path, O_RDONLY);
      if (fd < 0) fail(path);
      close(fd);
    }
  } else if (!strcmp(kind, "stat")) {
    for (long i = 0; i < count; i++)
      if (stat(path, &st)) fail(path);
  } else if (!strcmp(kind, "getppid")) {
    for (long i = 0; i < count; i++)
      if (getppid() < 0) fail(kind);
  } else {
    fail("unknown kind");
  }
  return now() - start;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "nothing")) return 0;
  if (argc != 4) return 2;
  long count = 1;
  while (batch(argv[1], argv[2], count) < 1000000) count *= 2;
  double best = 1e18;
  for (int left = atoi(argv[3]); left > 0; left--) {
    double each = (double)batch(argv[1], argv[2], count) / (double)count;
    if (each < best) best = each;
  }
  printf("%.2f\n", best);
}
