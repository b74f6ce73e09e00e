// What a program sees of the library when it runs with more rights than its caller:
// whether it does, whether the library is loaded, whether the file is there.
//
// Usage: secure LIBRARY FILE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) return 3;
  char line[4096];
  int is_loaded = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps && fgets(line, sizeof line, maps)) is_loaded |= strstr(line, argv[1]) != NULL;
  int fd = open(argv[2], O_RDONLY);
  printf("secure %lu loaded %d file %s\n", getauxval(AT_SECURE), is_loaded, fd < 0 ? strerror(errno) : "there");
  // What it runs sees no more of it.
  char *argv_of_child[] = {"env", NULL}, *envp[] = {"ONLY=1", NULL};
  fflush(stdout);
  execve("/usr/bin/env", argv_of_child, envp);
  return 4;
}
