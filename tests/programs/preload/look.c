// Paths that lie everywhere in memory, with a redirected prefix everywhere in them: each
// must be redirected, and none that is nearly one. Usage: look NAME, where
// /procsys-away/NAME is there by redirect alone.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define LONGEST 200

static long tried, wrong;
static char fixed[4 * PAGE] __attribute__((aligned(PAGE)));

static void check(const char *path, int is_there, const char *where) {
  struct stat st;
  int fd = open(path, O_RDONLY), error = errno;
  int found = stat(path, &st) == 0;
  tried++;
  if ((fd >= 0) == is_there && found == is_there && (fd >= 0 || error == ENOENT)) return;
  if (wrong++ < 9) printf("%s: %s: open %d errno %d stat %d\n", where, path, fd >= 0, error, found);
  if (fd >= 0) close(fd);
}

static void close_all(void) {
  for (int fd = 3; fd < 1000; fd++) close(fd);
}

// The path at this place.
static void at(char *place, const char *path, int is_there, const char *where) {
  strcpy(place, path);
  check(place, is_there, where);
}

static void everywhere(const char *path, int is_there, char *edges[3]) {
  static const char *const names[] = {"before a hole", "before a hole in the program", "before a hole in the heap"};
  char local[LONGEST + 64] = "";
  for (int offset = 0; offset < 17; offset++) at(local + offset, path, is_there, "stack");
  for (int offset = 0; offset < 33; offset += 3) at(fixed + PAGE - 16 - offset, path, is_there, "program");
  char *heap = malloc(LONGEST + 64);
  at(heap, path, is_there, "heap");
  free(heap);
  for (int edge = 0; edge < 3; edge++) at(edges[edge] - strlen(path) - 1, path, is_there, names[edge]);
  close_all();
}

static void *all(void *argument) {
  char **words = argument, path[LONGEST + 64];
  char **edges = words + 1;
  for (int slashes = 1; slashes < 110; slashes++) {
    memset(path, '/', slashes);
    sprintf(path + slashes, "procsys-away/%s", words[0]);
    everywhere(path, 1, edges);
    sprintf(path + slashes, "procsys-awax/%s", words[0]);
    everywhere(path, 0, edges);
    sprintf(path + slashes, "procsys-awa/y/%s", words[0]);
    everywhere(path, 0, edges);
  }
  for (int folders = 1; folders < 30; folders++) {
    char *end = path;
    for (int n = 0; n < folders; n++) end = stpcpy(end, n % 3 ? "/." : "/proc/..");
    if (end - path > LONGEST - 40) break;
    sprintf(end, "/procsys-away/%s", words[0]);
    everywhere(path, 1, edges);
  }
  sprintf(path, "procsys-away/%s", words[0]);
  everywhere(path, 1, edges);
  sprintf(path, "./procsys-away/%s", words[0]);
  everywhere(path, 1, edges);
  sprintf(path, "p/%s", words[0]);
  everywhere(path, 0, edges);
  everywhere("/procsys-away", 1, edges);
  everywhere("procsys-away", 1, edges);
  everywhere("", 0, edges);
  everywhere("p", 0, edges);
  return NULL;
}

int main(int argc, char **argv) {
  char *words[4] = {argv[1]};
  if (argc != 2 || chdir("/")) return 2;
  words[1] = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  words[1] += PAGE;
  words[2] = fixed + 3 * PAGE;
  char *heap = aligned_alloc(PAGE, 4 * PAGE);
  words[3] = heap + 2 * PAGE;
  for (int edge = 1; edge < 4; edge++)
    if (mprotect(words[edge], PAGE, PROT_NONE)) return 3;
  all(words);
  pthread_t thread;
  pthread_create(&thread, NULL, all, words);
  pthread_join(thread, NULL);
  printf("%ld tried, %ld wrong\n", tried, wrong);
  mprotect(words[3], PAGE, PROT_READ | PROT_WRITE);
  return wrong != 0;
}
