// What the hazard programs share. Each program is run stock with both paths
// naming real files, and patched with the first one missing (served by
// --emulate) and the second one under a prefix that is not there (served by
// --redirect): so the same program must print the same in every run.
#ifndef HAZARD_H
#define HAZARD_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EMULATED path_of("HAZARD_EMULATED")
#define REDIRECTED path_of("HAZARD_REDIRECTED")
#define MISSING "/procsys-missing/file"

__attribute__((noreturn, format(printf, 1, 2), unused)) static void die(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fprintf(stderr, "FAILED: ");
  vfprintf(stderr, format, list);
  fprintf(stderr, " (errno %d)\n", errno);
  exit(1);
}

__attribute__((unused)) static const char *path_of(const char *name) {
  const char *path = getenv(name);
  if (!path) die("%s is not set", name);
  return path;
}

// The FIFO that the runner made beside the redirected file.
__attribute__((unused)) static const char *redirected_fifo(void) {
  static char path[4096];
  strcpy(path, REDIRECTED);
  strcpy(strrchr(path, '/'), "/fifo");
  return path;
}

// One `syscall` instruction of its own wherever it is inlined. The kernel's
// answer as it is, no errno: for places where libc must not be entered.
static inline long raw(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long answer;
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return answer;
}

// Reads the emulated value with raw calls: 0 if it is 42, or a number that says
// what went wrong. Safe in a handler and in a child that shares our memory.
static inline long wrong_value(const char *path) {
  long fd = raw(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
  if (fd < 0) return fd;
  char text[8];
  long length = raw(SYS_read, fd, (long)text, sizeof text, 0, 0, 0);
  long closed = raw(SYS_close, fd, 0, 0, 0, 0, 0);
  if (length < 2) return 1000 + length;
  if (text[0] != '4' || text[1] != '2') return 2000;
  return closed;
}

__attribute__((unused)) static void must_be_42(const char *path, const char *where) {
  long wrong = wrong_value(path);
  if (wrong) die("%s: %s gave %ld, not 42", where, path, wrong);
}

// The kinds of call that a door tells apart: passed on, failed and left so,
// answered from memory, sent elsewhere.
struct call {
  const char *name;
  long number;
  long a, b, c, d, e, f;
};

// The last two arguments are not looked at by any of these calls: patterns that
// must come back.
#define CALL(name, number, a, b, c, d) {name, number, a, b, c, d, 0x5858585858585858, 0x5959595959595959}

__attribute__((unused)) static struct stat call_stat;

#define CALLS                                                                      \
  {CALL("getppid", SYS_getppid, 1, 2, 3, 0x1010101010101010),                      \
   CALL("close of a bad fd", SYS_close, -1, 2, 3, 0x1010101010101010),             \
   CALL("number 100000", 100000, 1, 2, 3, 0x1010101010101010),                     \
   CALL("open of a missing file", SYS_open, (long)MISSING, O_RDONLY, 0, 0x1010),   \
   CALL("openat of a missing file", SYS_openat, AT_FDCWD, (long)MISSING, 0, 0),    \
   CALL("stat of a missing file", SYS_stat, (long)MISSING, (long)&call_stat, 3, 4), \
   CALL("emulated open", SYS_open, (long)EMULATED, O_RDONLY, 0, 0x1010),           \
   CALL("emulated openat", SYS_openat, AT_FDCWD, (long)EMULATED, O_RDONLY, 0),     \
   CALL("emulated stat", SYS_stat, (long)EMULATED, (long)&call_stat, 3, 4),        \
   CALL("emulated newfstatat", SYS_newfstatat, AT_FDCWD, (long)EMULATED, (long)&call_stat, 0), \
   CALL("emulated access", SYS_access, (long)EMULATED, R_OK, 3, 4),                \
   CALL("redirected open", SYS_open, (long)REDIRECTED, O_RDONLY, 0, 0x1010),       \
   CALL("redirected openat", SYS_openat, AT_FDCWD, (long)REDIRECTED, O_RDONLY, 0), \
   CALL("redirected stat", SYS_stat, (long)REDIRECTED, (long)&call_stat, 3, 4)}

// Judges the answer of a call of the table and closes what it opened.
__attribute__((unused)) static void settle(const struct call *call, long answer) {
  int good = strstr(call->name, "emulated") || strstr(call->name, "redirected") ||
             call->number == SYS_getppid;
  if (good != (answer >= 0)) die("%s answered %ld", call->name, answer);
  if (answer >= 0 && (call->number == SYS_open || call->number == SYS_openat)) close((int)answer);
}
#endif
