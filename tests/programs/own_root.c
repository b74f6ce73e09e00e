// openat2 with RESOLVE_IN_ROOT takes a descriptor for the root directory: paths that
// read as a rule's, and links that do, stay below it.
// #Build: glibc, pie, musl
// #Expect: the root was the caller's
#include "hazard.h"

struct how {
  unsigned long flags, mode, resolve;
};

// What the file says, or the errno.
static const char *says(int directory, const char *path, unsigned long resolve) {
  static char text[64];
  struct how how = {O_RDONLY, 0, resolve};
  long fd = raw(SYS_openat2, directory, (long)path, (long)&how, sizeof how, 0, 0);
  if (fd < 0) return strerror((int)-fd);
  long length = read((int)fd, text, sizeof text - 1);
  close((int)fd);
  text[length > 0 ? length - 1 : 0] = 0;
  return text;
}

static void show(int root, const char *what, const char *path) {
  printf("%s: %s\n", what, says(root, path, 0x10));
  printf("%s, relative: %s\n", what, says(root, path + strspn(path, "/"), 0x10));
}

int main(void) {
  char root[] = "root-XXXXXX", path[4096];
  if (!mkdtemp(root)) die("no root");
  // The redirected file's path once more, below our root.
  int length = snprintf(path, sizeof path, "%s%s", root, REDIRECTED);
  for (char *slash = path; (slash = strchr(slash + 1, '/'));) {
    *slash = 0;
    if (mkdir(path, 0700) && errno != EEXIST) die("mkdir %s", path);
    *slash = '/';
  }
  int file = open(path, O_WRONLY | O_CREAT, 0600), directory = open(root, O_PATH);
  if (length < 0 || file < 0 || write(file, "mine\n", 5) != 5) die("%s", path);
  snprintf(path, sizeof path, "%s", REDIRECTED);
  *strrchr(path, '/') = 0;
  if (symlinkat(path, directory, "link")) die("symlink");
  if (strcmp(says(directory, REDIRECTED, 0), "redirected")) die("redirected: %s", says(directory, REDIRECTED, 0));
  if (strcmp(says(directory, EMULATED, 0), "42")) die("emulated: %s", says(directory, EMULATED, 0));
  show(directory, "redirected", REDIRECTED);
  show(directory, "emulated", EMULATED);
  printf("through a link: %s\n", says(directory, "link/file", 0x10));
  snprintf(path, sizeof path, "../..%s", REDIRECTED);
  printf("from above: %s\n", says(directory, path, 0x10));
  snprintf(path, sizeof path, "rm -r %s", root);
  if (system(path)) die("%s", path);
  puts("the root was the caller's");
}
