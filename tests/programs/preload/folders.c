// Calls that libc makes of several others, unseen by a library that takes one call
// for one: folders that are read, patterns, several messages at once. A line each,
// with errno (77 before), under the prefix /procsys-away, which is redirected.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void entries(const char *name, int count, struct dirent **list, int error) {
  printf("%s: %d errno %d\n", name, count, count < 0 ? error : 0);
  for (int i = 0; i < count; i++) {
    printf("  %s\n", list[i]->d_name);
    free(list[i]);
  }
}

static void folder(const char *path) {
  struct dirent **list = NULL;
  printf("== %s\n", path);
  errno = 77;
  int count = scandir(path, &list, NULL, alphasort);
  entries("scandir", count, list, errno);
#ifdef __GLIBC__
  int root = open("/", O_RDONLY | O_DIRECTORY);
  errno = 77;
  count = scandirat(root, path + 1, &list, NULL, alphasort);
  entries("scandirat", count, list, errno);
  close(root);
#endif
}

#ifdef __GLIBC__  // musl's glob takes no functions of others.
static void pattern(const char *path, int flags) {
  glob_t found = {0};
  int result = glob(path, flags, NULL, &found);
  printf("== glob %s: %d, %zu found, flags %#x\n", path, result, found.gl_pathc, found.gl_flags);
  for (size_t i = 0; i < found.gl_pathc; i++) printf("  %s\n", found.gl_pathv[i]);
  if (result == 0) globfree(&found);
}

#endif

static socklen_t address(struct sockaddr_un *un, const char *path) {
  memset(un, 0, sizeof *un);
  un->sun_family = AF_UNIX;
  strcpy(un->sun_path, path);
  return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

// Three messages to a socket known by its path, the last one to none.
static void messages(void) {
  struct sockaddr_un server, client, from[3];
  struct mmsghdr out[3], in[3];
  struct iovec parts[3];
  char bytes[3] = "abc", room[3];
  int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
  socklen_t server_len = address(&server, "/procsys-away/server");
  socklen_t client_len = address(&client, "/procsys-away/client");
  printf("== messages\nbind %d %d\n", bind(a, (void *)&server, server_len), bind(b, (void *)&client, client_len));
  memset(out, 0, sizeof out), memset(in, 0, sizeof in), memset(from, 0, sizeof from);
  for (int i = 0; i < 3; i++) {
    parts[i] = (struct iovec){bytes + i, 1};
    out[i].msg_hdr = (struct msghdr){.msg_name = &server, .msg_namelen = server_len, .msg_iov = parts + i, .msg_iovlen = 1};
  }
  struct sockaddr_un none;
  out[2].msg_hdr.msg_namelen = address(&none, "/procsys-away/none");
  out[2].msg_hdr.msg_name = &none;
  errno = 77;
  int sent = sendmmsg(b, out, 3, 0);
  printf("sendmmsg %d errno %d, %u %u bytes\n", sent, errno, out[0].msg_len, out[1].msg_len);
  errno = 77;
  sent = sendmmsg(b, out + 2, 1, 0);
  printf("sendmmsg %d errno %d\n", sent, errno);
  struct iovec rooms[3];
  for (int i = 0; i < 3; i++) {
    rooms[i] = (struct iovec){room + i, 1};
    in[i].msg_hdr = (struct msghdr){.msg_name = from + i, .msg_namelen = sizeof from[i], .msg_iov = rooms + i, .msg_iovlen = 1};
  }
  errno = 77;
  int got = recvmmsg(a, in, 3, MSG_DONTWAIT, NULL);
  printf("recvmmsg %d errno %d\n", got, errno);
  for (int i = 0; i < got; i++) printf("  %c from %s, %u\n", room[i], from[i].sun_path, in[i].msg_hdr.msg_namelen);
  unlink(server.sun_path), unlink(client.sun_path);
}

int main(void) {
  folder("/procsys-away");
  folder("/procsys-away/none");
  folder("/./procsys-away/sub/..");
  folder("/proc/self/fdinfo/none");
#ifdef __GLIBC__
  pattern("/procsys-away/*", 0);
  pattern("/procsys-away/s*/[ab]", GLOB_MARK);
  pattern("/procsys-away/none*", GLOB_NOCHECK);
  pattern("/procsys-awa*/sub", 0);
  pattern("/dev/nul[l]", 0);
#endif
  messages();
}
