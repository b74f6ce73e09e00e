// A server and its client that know their socket by one name alone, written into
// the program: /run/sysbox/fs.sock. Usage: sockets NAME. It serves itself
// once and prints what each call gives; NAME goes over the socket, so that two of
// them that meet would show it.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDER "/run/sysbox"
#define SERVER FOLDER "/fs.sock"
#define CLIENT FOLDER "/client.sock"

static void show(const char *what, const struct sockaddr_un *un, socklen_t len) {
  int path = (int)(len > 2 ? len - 2 : 0);
  printf("%s: family %d length %u path %.*s\n", what, un->sun_family, len, path, un->sun_path);
}

static long result(const char *what, long value) {
  printf("%s: %ld errno %d\n", what, value < 0 ? -1 : value > 2 ? 1 : value, errno);
  errno = 0;
  return value;
}

static socklen_t address(struct sockaddr_un *un, const char *path) {
  memset(un, 0, sizeof *un);
  un->sun_family = AF_UNIX;
  strcpy(un->sun_path, path);
  return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static int bound(int kind, const char *path) {
  struct sockaddr_un un;
  int fd = socket(AF_UNIX, kind, 0);
  socklen_t len = address(&un, path);
  result("bind", bind(fd, (struct sockaddr *)&un, len));
  result("bind again", bind(fd, (struct sockaddr *)&un, len));
  len = sizeof un;
  memset(&un, '!', sizeof un);
  result("getsockname", getsockname(fd, (struct sockaddr *)&un, &len));
  show("  own", &un, len);
  struct {
    struct sockaddr_un un;
  } cut;
  memset(&cut, '!', sizeof cut);
  len = 8;
  result("getsockname cut", getsockname(fd, (struct sockaddr *)&cut.un, &len));
  printf("  %u %.10s\n", len, cut.un.sun_path);
  return fd;
}

static void *client(void *name) {
  struct sockaddr_un un;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  socklen_t len = address(&un, CLIENT);
  if (bind(fd, (struct sockaddr *)&un, len)) exit(3);
  len = address(&un, SERVER);
  if (connect(fd, (struct sockaddr *)&un, len)) exit(4);
  if (write(fd, name, strlen(name)) < 0) exit(5);
  return (void *)(long)fd;
}

static void stream(char *name) {
  struct sockaddr_un un;
  socklen_t len = sizeof un;
  char text[32] = "";
  int server = bound(SOCK_STREAM, SERVER);
  if (listen(server, 4)) exit(2);
  pthread_t thread;
  void *other;
  pthread_create(&thread, NULL, client, name);
  int fd = result("accept", accept(server, (struct sockaddr *)&un, &len));
  show("  peer", &un, len);
  len = sizeof un;
  result("getpeername", getpeername(fd, (struct sockaddr *)&un, &len));
  show("  peer", &un, len);
  pthread_join(thread, &other);
  result("read", read(fd, text, sizeof text - 1) > 0);
  printf("  %s\n", strcmp(text, name) ? "another's" : "its own");
  len = sizeof un;
  result("getpeername", getpeername((int)(long)other, (struct sockaddr *)&un, &len));
  show("  server", &un, len);
  close((int)(long)other);
  close(fd);
  close(server);
}

static void datagrams(void) {
  struct sockaddr_un un;
  char text[8] = "";
  unlink(SERVER);
  unlink(CLIENT);
  int server = bound(SOCK_DGRAM, SERVER), other = socket(AF_UNIX, SOCK_DGRAM, 0);
  socklen_t len = address(&un, CLIENT);
  result("bind", bind(other, (struct sockaddr *)&un, len));
  len = address(&un, SERVER);
  result("sendto", sendto(other, "a", 1, 0, (struct sockaddr *)&un, len));
  len = sizeof un;
  result("recvfrom", recvfrom(server, text, sizeof text, 0, (struct sockaddr *)&un, &len));
  show("  from", &un, len);
  struct iovec part = {text, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = &un};
  message.msg_namelen = address(&un, SERVER);
  result("sendmsg", sendmsg(other, &message, 0));
  printf("  %s\n", un.sun_path);
  message.msg_namelen = sizeof un;
  result("recvmsg", recvmsg(server, &message, 0));
  show("  from", &un, message.msg_namelen);
  close(server);
  close(other);
}

static void edges(void) {
  struct sockaddr_un un;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  socklen_t len;
  errno = 0;
  result("connect none", connect(fd, (struct sockaddr *)&un, address(&un, FOLDER "/none")));
  result("connect null", connect(fd, NULL, 20));
  result("connect bad", connect(fd, (struct sockaddr *)8, 20));
  result("connect short", connect(fd, (struct sockaddr *)&un, 1));
  memcpy(un.sun_path, "\0run/sysbox/abstract-address", 28);
  result("connect abstract", connect(fd, (struct sockaddr *)&un, 30));
  len = sizeof un;
  result("getsockname", getsockname(fd, (struct sockaddr *)&un, &len));
  printf("  unnamed %u\n", len);
  result("getsockname bad", getsockname(fd, (struct sockaddr *)&un, NULL));
  result("getpeername none", getpeername(fd, (struct sockaddr *)&un, &len));
  result("chdir", chdir(FOLDER));
  result("bind relative", bind(fd, (struct sockaddr *)&un, address(&un, "./r.sock")));
  result("unlink", unlink(FOLDER "/r.sock"));
  result("chdir", chdir("/"));
  close(fd);
}

int main(int argc, char **argv) {
  struct stat st;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc != 2) return 2;
  result("mkdir", mkdir(FOLDER, 0700));
  stream(argv[1]);
  if (!result("stat", stat(SERVER, &st))) printf("  socket %d\n", S_ISSOCK(st.st_mode));
  datagrams();
  edges();
  result("unlink", unlink(SERVER));
  result("unlink", unlink(CLIENT));
  result("rmdir", rmdir(FOLDER));
  return 0;
}
