// An environment that can't be read is EFAULT from the kernel, after what it says of
// the path; one that is too long is E2BIG. A hook that completes it has read it before.
// #Build: glibc, pie, musl
// #Expect: no program was run
#include "hazard.h"

static char *argv[] = {"true", NULL};

static void tried(const char *what, const char *path, char **environment) {
  long answer = raw(SYS_execve, (long)path, (long)argv, (long)environment, 0, 0, 0);
  int result = execve(path, argv, environment);
  printf("%s: %ld, %d %d\n", what, answer, result, errno);
  fflush(stdout);
}

int main(void) {
  const char *program = "/bin/true";
  char *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED || munmap(area + 4096, 4096)) die("mmap");
  // A text that runs into the hole; below, a list that does.
  memset(area + 4090, 'A', 6);
  char *texts[] = {"A=1", area + 4090, NULL};
  char *wild[] = {"A=1", (char *)8, NULL};
  char *high[] = {(char *)-8, NULL};
  tried("a bad list", program, (char **)8);
  tried("a list of the kernel's", program, (char **)0xffffffff81000000);
  tried("a missing program and a bad list", "/procsys-missing/program", (char **)8);
  tried("a bad text", program, wild);
  tried("a text at the end of memory", program, high);
  tried("a cut text", program, texts);
  memset(area + 4080, 'B', 16);
  tried("a cut list", program, (char **)(area + 4080 + 4));
  size_t count = 2000000;
  char **many = malloc((count + 1) * sizeof *many);
  for (size_t i = 0; i < count; i++) many[i] = "A=1";
  many[count] = NULL;
  tried("two million variables", program, many);
  puts("no program was run");
}
