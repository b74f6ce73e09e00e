// One question to a library that is preloaded: does it reach these calls, and
// does the program live through it? A line a call: reached or missed.
//
// Usage: peers ROW; PEER_PATH is a file that is there only if the library
// redirects; or, with PEER_TIME, a new file that looks twenty years old if the
// library shifts times.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static const char *path, *row;
static int is_time;
static char text[PATH_MAX];

static void say(const char *name, int is_reached) {
  printf("%s %s\n", is_reached ? "reached" : "missed", name);
}

// A new file that is older than the year 2015.
static int is_old(time_t modified) { return modified < 1420070400; }

#define STAT(name, expression)                                          \
  do {                                                                  \
    struct stat st;                                                     \
    int result = (expression);                                          \
    say(name, result == 0 && (!is_time || is_old(st.st_mtime)));        \
  } while (0)
#define FD(name, expression)                                            \
  do {                                                                  \
    int fd = (expression);                                              \
    say(name, fd >= 0);                                                 \
    if (fd >= 0) close(fd);                                             \
  } while (0)

#ifdef LARGE
#define NAME(name) name "64"
#else
#define NAME(name) name
#endif

static void opens(void) {
  FD(NAME("open"), open(path, O_RDONLY));
  FD(NAME("openat"), openat(AT_FDCWD, path, O_RDONLY));
  FD(NAME("creat"), creat(path, 0600));
  FILE *file = fopen(path, "r");
  say(NAME("fopen"), file != NULL);
  if (!file) file = fopen("/dev/null", "r");
  say(NAME("freopen"), freopen(path, "r", file) != NULL);
}

// What a program calls that was built with glibc 2.33 or later.
static void stats(void) {
  STAT(NAME("stat"), stat(path, &st));
  STAT(NAME("lstat"), lstat(path, &st));
  STAT(NAME("fstatat"), fstatat(AT_FDCWD, path, &st, 0));
}

#if defined __GLIBC__ && !defined LARGE
// What a program calls that was built with an older one.
int xstat(int, const char *, struct stat *), lxstat(int, const char *, struct stat *);
int fxstatat(int, int, const char *, struct stat *, int);
int xstat64(int, const char *, struct stat *), lxstat64(int, const char *, struct stat *);
__asm__(".symver xstat,__xstat@GLIBC_2.2.5\n.symver lxstat,__lxstat@GLIBC_2.2.5\n"
        ".symver fxstatat,__fxstatat@GLIBC_2.4\n.symver xstat64,__xstat64@GLIBC_2.2.5\n"
        ".symver lxstat64,__lxstat64@GLIBC_2.2.5");

static void old_stats(void) {
  STAT("__xstat", xstat(1, path, &st));
  STAT("__lxstat", lxstat(1, path, &st));
  STAT("__fxstatat", fxstatat(1, AT_FDCWD, path, &st, 0));
  STAT("__xstat64", xstat64(1, path, &st));
  STAT("__lxstat64", lxstat64(1, path, &st));
}

static void newer(void) {
  struct statx sx;
  int result = statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx);
  say("statx", result == 0 && (!is_time || is_old(sx.stx_mtime.tv_sec)));
  if (is_time) return;
  say("faccessat", faccessat(AT_FDCWD, path, R_OK, 0) == 0);
  say("euidaccess", euidaccess(path, R_OK) == 0);
  char other[PATH_MAX];
  snprintf(other, sizeof other, "%s-moved", path);
  say("renameat2", renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_NOREPLACE) == 0);
  renameat2(AT_FDCWD, other, AT_FDCWD, path, RENAME_NOREPLACE);
}

static void directly(void) {
  FD("openat", syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0));
  say("faccessat", syscall(SYS_faccessat, AT_FDCWD, path, R_OK) == 0);
}
#endif

static void fortified(void) {
  char link[PATH_MAX];
  volatile int flags = O_RDONLY;
  volatile size_t size = sizeof link;
  FD("__open_2", open(path, flags));
  FD("__openat_2", openat(AT_FDCWD, path, flags));
  snprintf(link, sizeof link, "%s-link", path);
  char *copy = strdup(link);
  say("__readlink_chk", readlink(copy, link, size) > 0);
  say("__readlinkat_chk", readlinkat(AT_FDCWD, copy, link, size) > 0);
  say("__realpath_chk", realpath(path, link) != NULL);
}

// The tool's own call, by which it is known whether it is there at all.
static int is_reached(void) {
  if (is_time) {
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) == 0 && is_old(now.tv_sec);
  }
  int fd = open(path, O_RDONLY);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

static volatile int in_handler;
static void handler(int number) {
  (void)number;
  in_handler = is_reached();
}

// What this kernel needs for a handler and one KiB more, and nothing below.
static void alternate(void) {
  size_t least = getauxval(AT_MINSIGSTKSZ), page = 4096;
  size_t size = (least + 1024 + 15) & ~15ul, room = (size + page - 1) / page * page;
  char *memory = mmap(NULL, page + room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(memory + page, room, PROT_READ | PROT_WRITE);
  stack_t stack = {.ss_sp = memory + page, .ss_size = size};
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
  if (sigaltstack(&stack, NULL) || sigaction(SIGUSR1, &action, NULL)) exit(3);
  raise(SIGUSR1);
  say("handler", in_handler);
}

static void in_vfork(void) {
  volatile int canary = 5;
  pid_t child = vfork();
  if (child == 0) _exit(is_reached() ? 7 : 8);
  int status = 0;
  waitpid(child, &status, 0);
  say("vfork", WIFEXITED(status) && WEXITSTATUS(status) == 7 && canary == 5);
}

static void errnos(void) {
  is_reached();  // What a first call sets up is not what is asked.
  errno = 77;
  int reached = is_reached();
  if (errno != 77 && reached) puts("changes errno");
  else say("errno", reached);
}

// Runs the program that lies beside the file, with nothing in its environment but
// what it is asked.
static void environment(void) {
  char first[PATH_MAX + 16];
  snprintf(first, sizeof first, "PEER_PATH=%s", path);
  char *argv[] = {"peers", "itself", NULL}, *envp[] = {first, is_time ? "PEER_TIME=1" : NULL, NULL};
  strcpy(text, path);
  strcpy(strrchr(text, '/'), "/peers");
  fflush(stdout);
  execve(text, argv, envp);
  say("execve", 0);
}

#ifdef OWN_MALLOC
// The program's own allocator: it may be in the middle of its work, with its locks
// held, when a signal handler opens a file. So nothing may come here meanwhile.
static volatile int is_watched, count;
static void on_malloc(void) { count += is_watched; }
#include "own_malloc.h"

static void own_malloc(void) {
  for (int i = 0; i < 3; i++) {
    is_watched = 1;
    int reached = is_reached();
    is_watched = 0;
    if (!reached) return say("call", 0);
  }
  if (count) printf("calls malloc\n");
  else say("call", 1);
}
#endif

// Before the constructors of any library but the loader's own work is done.
static volatile int is_early;
static void early(void) {
  struct stat st;
  is_early = 1 + (stat("/", &st) == 0);
}
__attribute__((section(".preinit_array"), used)) static void (*const at_preinit)(void) = early;

int main(int argc, char **argv) {
  path = getenv("PEER_PATH"), is_time = getenv("PEER_TIME") != NULL;
  row = argc > 1 ? argv[1] : "";
  static const struct { const char *name; void (*run)(void); } rows[] = {
    {"open", opens}, {"stat", stats}, {"fortified", fortified}, {"alternate", alternate},
    {"vfork", in_vfork}, {"errno", errnos}, {"environment", environment},
#if defined __GLIBC__ && !defined LARGE
    {"old", old_stats}, {"newer", newer}, {"syscall", directly},
#endif
#ifdef OWN_MALLOC
    {"malloc", own_malloc},
#endif
  };
  if (!strcmp(row, "itself")) return say(row, is_reached()), 0;
  if (!strcmp(row, "early")) return say(row, is_early == 2 && is_reached()), 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(rows[i].name, row)) return rows[i].run(), 0;
  return 3;
}
