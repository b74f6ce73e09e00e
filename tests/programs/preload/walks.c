// Calls that libc makes of several others on a path that it is given: trees that are
// walked, files under names that it makes up, what it asks about a file. A line each,
// with errno (77 before), under the prefix /procsys-away, which is redirected, as is
// /dev/shm.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>

static const char *kinds[8];
static int stop_at, seen, depth;
static jmp_buf out;

static void line(const char *path, const struct stat *st, int kind, const struct FTW *place) {
  printf("  %s %s %s", path, kinds[kind], S_ISDIR(st->st_mode) ? "dir" : "other");
  if (place) printf(" level %d base %s", place->level, path + place->base);
  printf("\n");
}

static int each(const char *path, const struct stat *st, int kind) {
  line(path, st, kind, NULL);
  return ++seen == stop_at ? 7 : 0;
}

static int each_place(const char *path, const struct stat *st, int kind, struct FTW *place) {
  line(path, st, kind, place);
  return ++seen == stop_at ? 7 : 0;
}

// In each walk's function another walk, of another root.
static int nested(const char *path, const struct stat *st, int kind, struct FTW *place) {
  line(path, st, kind, place);
  if (depth++ == 0) nftw("/procsys-away/some", each_place, 4, FTW_PHYS);
  return 0;
}

static int leaves(const char *path, const struct stat *st, int kind, struct FTW *place) {
  line(path, st, kind, place);
  longjmp(out, 1);
}

#ifdef FTW_ACTIONRETVAL
static int skips(const char *path, const struct stat *st, int kind, struct FTW *place) {
  line(path, st, kind, place);
  return strstr(path, "/sub") ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
}
#endif

static void walk(const char *path, int flags) {
  printf("== nftw %s %d\n", path, flags);
  seen = 0, errno = 77;
  int result = nftw(path, each_place, 2, flags);
  printf("%d errno %d\n", result, result < 0 ? errno : 0);
}

static void walks(void) {
  printf("== ftw\n");
  int result = ftw("/procsys-away", each, 4);
  printf("%d\n", result);
  walk("/procsys-away", 0);
  walk("/procsys-away", FTW_PHYS);
  walk("/procsys-away/sub//", FTW_PHYS | FTW_DEPTH);
  walk("/.//procsys-away/some", FTW_PHYS);
  walk("/procsys-away/link", 0);
  walk("/procsys-away/link", FTW_PHYS);
  walk("/procsys-away/none", FTW_PHYS);
  walk("/procsys-away/some/b", 0);
  walk("/dev/fd/none", 0);
  walk("", 0);
#ifdef __GLIBC__
  walk("/procsys-away", FTW_PHYS | FTW_CHDIR);
  printf("== skips %d\n", nftw("/procsys-away", skips, 4, FTW_PHYS | FTW_ACTIONRETVAL));
#endif
  stop_at = 2;
  walk("/procsys-away", FTW_PHYS);
  stop_at = 0;
  printf("== nested\n");
  nftw("/procsys-away/sub", nested, 4, FTW_PHYS);
  printf("== left\n");
  for (volatile int i = 0; i < 100; i++)
    if (!setjmp(out)) nftw("/procsys-away/some", leaves, 4, FTW_PHYS);
  walk("/procsys-away/some", FTW_PHYS);
}

static _Atomic int names, strange;

static int counts(const char *path, const struct stat *st, int kind, struct FTW *place) {
  names++, strange += strncmp(path, "/procsys-away", 13) != 0;
  return 0;
}

static void *walker(void *arg) {
  for (int i = 0; i < 50; i++) nftw(arg, counts, 4, FTW_PHYS);
  return NULL;
}

// Eight threads, each in walks of its own.
static void crowd(void) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, walker, i % 2 ? "/procsys-away" : "/procsys-away/some");
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  printf("== crowd\n%d names, %d strange\n", names, strange);
}

// What became of a template: how many of its letters stand, and is the file there?
static void made(const char *what, int result, const char *template, const char *given) {
  int error = result < 0 ? errno : 0, same = 0;
  for (int i = 0; given[i]; i++) same += given[i] == 'X' && template[i] == 'X';
  size_t head = strcspn(given, "X"), tail = strlen(given) - head - strspn(given + head, "X");
  printf("%s %s: %s errno %d, %s, %.*s...%s, %s\n", what, given, result < 0 ? "failed" : "made", error,
         same == 6 ? "letters stand" : "replaced", (int)head, template, template + strlen(template) - tail,
         access(template, F_OK) ? "absent" : "there");
}

#define TEMPORARY(template, suffix, call) do { \
    char name[] = template; \
    errno = 77; \
    int result = (call); \
    made(#call, result, name, template); \
    if (result > 0) close(result); \
    if (result >= 0) remove(name); \
  } while (0)

static void temporaries(void) {
  printf("== templates\n");
  TEMPORARY("/procsys-away/aXXXXXX", 0, mkstemp(name));
  TEMPORARY("/procsys-away/none/aXXXXXX", 0, mkstemp(name));
  TEMPORARY("/procsys-away/a", 0, mkstemp(name));
  TEMPORARY("/procsys-away/aXXXXXX", 0, mkostemp(name, O_CLOEXEC));
  TEMPORARY("/procsys-away/aXXXXXX.tail", 5, mkstemps(name, 5));
  TEMPORARY("/procsys-away/aXXXXXX.tail", 5, mkostemps(name, 5, O_CLOEXEC));
  TEMPORARY("/procsys-away/../procsys-away/aXXXXXX", 0, mkstemp(name));
  TEMPORARY("/procsys-away/aXXXXXX", 0, mkdtemp(name) == name ? 0 : -1);
  TEMPORARY("/procsys-away/none/aXXXXXX", 0, mkdtemp(name) ? 0 : -1);
  TEMPORARY("/procsys-away/aXXXXXX", 0, (mktemp(name), *name ? 0 : -1));
  char bad[] = "/procsys-away/a";
  errno = 77;
  printf("mktemp %d errno %d '%s'\n", mktemp(bad) == bad, errno, bad);
}

static void asked(void) {
  struct stat st;
  printf("== asked\n");
  errno = 77;
  long most = pathconf("/procsys-away/some/b", _PC_NAME_MAX);
  printf("pathconf %ld errno %d\n", most, errno);
  errno = 77;
  key_t key = ftok("/procsys-away/some/b", 5);
  stat("/procsys-away/some/b", &st);
  printf("ftok is of that file: %d errno %d\n", key == (key_t)((st.st_ino & 0xffff) | (st.st_dev & 0xff) << 16 | 5u << 24), errno);
  errno = 77;
  key = ftok("/procsys-away/none", 5);
  printf("ftok %d errno %d\n", (int)key, errno);
  struct utmp entry = {.ut_type = EMPTY};
  close(open("/procsys-away/wtmp", O_CREAT | O_WRONLY, 0600));
  updwtmp("/procsys-away/wtmp", &entry);
  stat("/procsys-away/wtmp", &st);
  printf("updwtmp: %d entries\n", (int)(st.st_size / sizeof entry));
}

static void shared(void) {
  printf("== shared memory\n");
  const char *names[] = {"/procsys-shared", "procsys-more", "/", "/..", "/a/b", ""};
  for (int i = 0; i < 6; i++) {
    errno = 77;
    int fd = shm_open(names[i], O_CREAT | O_RDWR | O_EXCL, 0600);
    printf("shm_open %s: %s errno %d, flags %#x\n", names[i], fd < 0 ? "failed" : "opened", errno, fd < 0 ? 0 : fcntl(fd, F_GETFD));
    if (fd >= 0) close(fd);
  }
  printf("one is there: %d %d\n", access("/dev/shm/procsys-shared", F_OK), access("/dev/shm/procsys-more", F_OK));
  errno = 77;
  int first = shm_unlink("/procsys-more");
  printf("shm_unlink %d errno %d\n", first, errno);
  int again = shm_unlink("/procsys-more");
  printf("shm_unlink %d errno %d\n", again, errno);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  kinds[FTW_F] = "file", kinds[FTW_D] = "folder", kinds[FTW_DNR] = "closed", kinds[FTW_NS] = "unknown";
  kinds[FTW_SL] = "link", kinds[FTW_DP] = "after", kinds[FTW_SLN] = "dangling";
  walks();
  crowd();
  temporaries();
  asked();
  shared();
}
