// Several messages in one call to sockets below /run/sysbox: what sendmmsg and
// recvmmsg give, count, errno, and what came, by libc's functions and by number.
// Usage: messages NAME; it has a folder of its own for what no redirect concerns.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDER "/run/sysbox"
#define SERVER FOLDER "/server.sock"
#define OTHER FOLDER "/other.sock"
#define CLIENT FOLDER "/client.sock"
#define PLAIN "plain.sock"
#define PAGE 4096
#define MOST 64

static struct mmsghdr row[MOST];
static struct sockaddr_un names[MOST];
static struct iovec parts[MOST];
static char texts[MOST][8];
static int servers[3], client;

static void name(struct mmsghdr *message, int n, const char *path) {
  memset(&names[n], 0, sizeof names[n]);
  names[n].sun_family = AF_UNIX;
  strcpy(names[n].sun_path, path);
  message->msg_hdr.msg_name = &names[n];
  message->msg_hdr.msg_namelen = offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

// Messages to these in turn.
static void fill(int count, const char *const *paths) {
  memset(row, 0, sizeof row);
  for (int n = 0; n < count; n++) {
    int len = snprintf(texts[n], sizeof texts[n], "%.*sm%d", n % 3, "ab", n);
    parts[n] = (struct iovec){texts[n], len};
    row[n].msg_hdr.msg_iov = &parts[n];
    row[n].msg_hdr.msg_iovlen = 1;
    row[n].msg_len = 999;
    if (paths[n]) name(&row[n], n, paths[n]);
  }
}

// What lies at each server, by recvmmsg.
static void taken(void) {
  static struct mmsghdr in[MOST];
  static struct sockaddr_un from[MOST];
  static char text[MOST][8];
  struct iovec into[MOST];
  for (int s = 0; s < 3; s++) {
    for (int n = 0; n < MOST; n++) {
      into[n] = (struct iovec){text[n], sizeof text[n]};
      in[n].msg_hdr = (struct msghdr){.msg_name = n % 4 == 3 ? NULL : &from[n],
                                      .msg_namelen = sizeof from[n],
                                      .msg_iov = &into[n],
                                      .msg_iovlen = 1};
    }
    struct timespec limit = {1, 0};
    errno = 77;
    int got = s == 2 ? syscall(SYS_recvmmsg, servers[s], in, MOST, MSG_DONTWAIT, NULL)
                     : recvmmsg(servers[s], in, MOST, MSG_DONTWAIT, &limit);
    printf("  server %d: %d errno %d\n", s, got, errno);
    for (int n = 0; n < got; n++)
      printf("    %.*s from %s %u\n", (int)in[n].msg_len, text[n], n % 4 == 3 ? "-" : from[n].sun_path,
             n % 4 == 3 ? 0 : in[n].msg_hdr.msg_namelen);
  }
}

static void shown(const char *what, long result, const struct mmsghdr *sent, int count) {
  printf("%s: %ld errno %d lengths", what, result, errno);
  for (int n = 0; n < count; n++) printf(" %u", sent[n].msg_len);
  printf("\n");
  for (int n = 0; n < count; n++)
    if (sent[n].msg_hdr.msg_name && sent[n].msg_hdr.msg_name != (void *)8) printf("  %s", names[n].sun_path);
  printf("\n");
  taken();
}

static void by_number(const char *what, struct mmsghdr *first, int count, int flags, int known) {
  errno = 77;
  long result = syscall(SYS_sendmmsg, client, first, count, flags);
  shown(what, result, first, known);
}

static int bound(const char *path) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  strcpy(un.sun_path, path);
  unlink(path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof un)) exit((perror(path), 3));
  return fd;
}

static void ordinary(void) {
  const char *const all[] = {SERVER, OTHER, SERVER, PLAIN, PLAIN, "/run/../run/sysbox/other.sock", SERVER};
  fill(7, all);
  errno = 77;
  shown("by libc", sendmmsg(client, row, 7, 0), row, 7);
  fill(7, all);
  by_number("by number", row, 7, 0, 7);
  fill(3, all + 3);
  by_number("one below", row, 3, 0, 3);
  fill(2, all + 3);
  by_number("none below", row, 2, 0, 2);
  fill(1, all);
  by_number("no message", row, 0, 0, 1);
  errno = 77;
  long none = syscall(SYS_sendmmsg, -1, row, 1, 0);
  printf("no descriptor: %ld errno %d\n", none, errno);
}

static void failing(void) {
  for (int at = 0; at < 4; at++) {
    const char *all[] = {SERVER, PLAIN, OTHER, SERVER, OTHER};
    char what[32];
    snprintf(what, sizeof what, "failing at %d", at);
    all[at] = FOLDER "/none.sock";
    fill(5, all);
    by_number(what, row, 5, 0, 5);
    all[at] = "/run/none.sock";
    fill(5, all);
    by_number(what, row, 5, 0, 5);
    all[at] = NULL;
    fill(5, all);
    by_number("unnamed", row, 5, 0, 5);
    all[at] = SERVER;
    fill(5, all);
    row[at].msg_hdr.msg_name = (void *)8;
    by_number("bad name", row, 5, 0, 5);
    fill(5, all);
    parts[at].iov_base = (void *)8;
    by_number("bad bytes", row, 5, 0, 5);
    fill(5, all);
    names[at].sun_family = AF_INET;
    by_number("another family", row, 5, 0, 5);
  }
}

static void at_the_edge(void) {
  const char *const all[] = {SERVER, PLAIN, OTHER};
  char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(pages + 2 * PAGE, PAGE, PROT_NONE);
  fill(3, all);
  struct mmsghdr *last = (void *)(pages + 2 * PAGE - 3 * sizeof *row);
  memcpy(last, row, 3 * sizeof *row);
  by_number("the end of memory", last, 8, 0, 3);
  by_number("at once", (void *)(pages + 2 * PAGE), 1, 0, 0);
  by_number("null", NULL, 2, 0, 0);
  // Over the edge of two pages, not aligned.
  struct mmsghdr *over = (void *)(pages + PAGE - sizeof *row - 20);
  memcpy(over, row, 3 * sizeof *row);
  by_number("over two pages", over, 3, 0, 3);
  memcpy(pages, row, 3 * sizeof *row);
  mprotect(pages, PAGE, PROT_READ);
  by_number("read only", (void *)pages, 3, 0, 3);
  by_number("read only, no redirect", (void *)(pages + sizeof *row), 2, 0, 2);
}

static void on_alarm(int number) { (void)number; }

// More than a socket holds: what it holds, and EAGAIN or EINTR if that is nothing.
static void too_many(void) {
  const char *all[MOST];
  struct sigaction action = {.sa_handler = on_alarm};
  // Again and again: the first may come before the call waits.
  struct itimerval soon = {{0, 300000}, {0, 300000}}, never = {0};
  sigaction(SIGALRM, &action, NULL);
  for (int n = 0; n < MOST; n++) all[n] = SERVER;
  fill(MOST, all);
  errno = 77;
  long first = syscall(SYS_sendmmsg, client, row, MOST, MSG_DONTWAIT);
  printf("too many: %ld errno %d\n", first, errno);
  errno = 77;
  long second = syscall(SYS_sendmmsg, client, row, MOST, MSG_DONTWAIT);
  printf("more: %ld errno %d\n", second, errno);
  setitimer(ITIMER_REAL, &soon, NULL);
  errno = 77;
  long third = syscall(SYS_sendmmsg, client, row, MOST, 0);
  printf("interrupted: %ld errno %d\n", third, errno);
  setitimer(ITIMER_REAL, &never, NULL);
  taken();
  setitimer(ITIMER_REAL, &soon, NULL);
  // musl's leaves the errno of the message that failed, also when others were sent.
  printf("interrupted later: %d\n", sendmmsg(client, row, MOST, 0));
  setitimer(ITIMER_REAL, &never, NULL);
  taken();
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  char own[] = "/tmp/messages-XXXXXX";
  if (argc != 2 || !mkdtemp(own) || chdir(own)) return 2;
  mkdir(FOLDER, 0700);
  servers[0] = bound(SERVER);
  servers[1] = bound(OTHER);
  servers[2] = bound(PLAIN);
  client = bound(CLIENT);
  ordinary();
  failing();
  at_the_edge();
  too_many();
  unlink(PLAIN);
  return rmdir(own);
}
