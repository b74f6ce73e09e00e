// The table of cases that both doors are put to: each line of output is one
// call, what it gave and errno (77 before each). A program sees no difference
// between the doors if this one prints the same under both.
//
// Rules: tests/src/preload.rs. Usage: cases FOLDER; FOLDER/real is what the
// prefix /procsys-away is redirected to.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <sched.h>
#include <unistd.h>
#include <utime.h>

#ifndef __GLIBC__  // musl 1.2.3 has no functions for these.
#define close_range(...) syscall(SYS_close_range, __VA_ARGS__)
#define renameat2(...) syscall(SYS_renameat2, __VA_ARGS__)
#define RENAME_NOREPLACE 1
#define statx(dirfd, path, flags, mask, buffer) syscall(SYS_statx, dirfd, path, flags, mask, buffer)
#define STATX_BASIC_STATS 0x7ff
struct statx {
  char before[28];
  unsigned short stx_mode;
  char after[226];
};
#endif

static const char *call_name, *form_name;

// A descriptor's number is nobody's business: 1 stands for all of them.
static long shown(long result, int error) {
  int is_fd = !strncmp(call_name, "open", 4) || !strcmp(call_name, "creat");
  printf("%-16s %-10s -> %ld errno %d\n", call_name, form_name, is_fd && result > 0 ? 1 : result, error);
  return result;
}
#define CASE(name, form, expression)                         \
  (call_name = (name), form_name = (form), errno = 77,       \
   ({ long result_ = (long)(expression); shown(result_, errno); }))

static void contents(int fd) {
  char text[64];
  if (fd < 0) return;
  ssize_t size = read(fd, text, sizeof text);
  printf("  holds %zd: %.*s\n", size, size > 0 ? (int)size : 0, text);
  struct stat st;
  struct statfs fs;
  struct statvfs vfs;
  if (!fstat(fd, &st)) printf("  fstat %o ino %lu\n", st.st_mode, st.st_dev ? 0 : st.st_ino);
  if (!fstatfs(fd, &fs)) printf("  fstatfs %lx\n", (long)fs.f_type);
  if (!fstatvfs(fd, &vfs)) printf("  fstatvfs %lu %lu\n", vfs.f_bsize, vfs.f_namemax);
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int again = CASE("open", "reopened", open(link, O_RDONLY | O_CLOEXEC));
  if (again >= 0) {
    if (!fstat(again, &st)) printf("  again %o\n", st.st_mode);
    close(again);
  }
  again = CASE("open", "reopened w", open(link, O_WRONLY | O_CLOEXEC));
  if (again >= 0) {
    CASE("write", "reopened", write(again, "7\n", 2));
    close(again);
  }
  close(fd);
}

static void file_at(int dirfd, const char *form, const char *path) {
  struct stat st;
  struct statx sx;
  char text[PATH_MAX];
  contents(CASE("openat", form, openat(dirfd, path, O_RDONLY)));
  contents(CASE("openat w", form, openat(dirfd, path, O_WRONLY | O_TRUNC)));
  contents(CASE("openat rw", form, openat(dirfd, path, O_RDWR | O_CREAT, 0644)));
  contents(CASE("openat PATH", form, openat(dirfd, path, O_PATH)));
  CASE("openat EXCL", form, openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  CASE("openat DIR", form, openat(dirfd, path, O_DIRECTORY));
  if (!CASE("fstatat", form, fstatat(dirfd, path, &st, 0))) printf("  %o %lu\n", st.st_mode, st.st_nlink);
  if (!CASE("fstatat link", form, fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW))) printf("  %o\n", st.st_mode);
  if (!CASE("statx", form, statx(dirfd, path, 0, STATX_BASIC_STATS, &sx))) printf("  %o\n", sx.stx_mode);
  for (int mode = 0; mode < 8; mode++) CASE("faccessat", form, faccessat(dirfd, path, mode, 0));
  CASE("faccessat eff", form, faccessat(dirfd, path, R_OK, AT_EACCESS));
  memset(text, 0, sizeof text);
  if (CASE("readlinkat", form, readlinkat(dirfd, path, text, sizeof text - 1)) > 0) printf("  %s\n", text);
  CASE("readlinkat 3", form, readlinkat(dirfd, path, text, 3));
#ifdef __GLIBC__  // musl asks for one byte instead and gives 0.
  CASE("readlinkat 0", form, readlinkat(dirfd, path, text, 0));
#endif
  CASE("openat sys", form, syscall(SYS_openat, dirfd, path, O_RDONLY, 0));
}

static void stream(const char *form, const char *path, const char *mode) {
  char text[64] = "";
  call_name = "fopen", form_name = form;
  errno = 77;
  FILE *file = fopen(path, mode);
  int error = errno;
  printf("%-16s %-10s %s -> %d errno %d\n", "fopen", form, mode, file != NULL, error);
  if (!file) return;
  if (mode[0] == 'r') printf("  %s", fgets(text, sizeof text, file) ? text : "nothing\n");
  fclose(file);
  file = fopen("/dev/null", "r");
  errno = 77;
  FILE *other = freopen(path, mode, file);
  printf("%-16s %-10s %s -> %d same %d\n", "freopen", form, mode, other != NULL, other == file);
  if (other && mode[0] == 'r') printf("  %s", fgets(text, sizeof text, other) ? text : "nothing\n");
  if (other) fclose(other);
}

static void file(const char *form, const char *path) {
  struct stat st;
  struct statfs fs;
  struct statvfs vfs;
  char text[PATH_MAX];
  file_at(AT_FDCWD, form, path);
  CASE("open", form, open(path, O_RDONLY));
  CASE("creat", form, creat(path, 0600));
  if (!CASE("stat", form, stat(path, &st))) printf("  %o\n", st.st_mode);
  if (!CASE("lstat", form, lstat(path, &st))) printf("  %o\n", st.st_mode);
  if (!CASE("statfs", form, statfs(path, &fs))) printf("  %lx\n", (long)fs.f_type);
  if (!CASE("statvfs", form, statvfs(path, &vfs))) printf("  %lu %lu %lu\n", vfs.f_bsize, vfs.f_frsize, vfs.f_namemax);
  CASE("access", form, access(path, R_OK));
  CASE("access w", form, access(path, W_OK));
  CASE("euidaccess", form, euidaccess(path, R_OK));
  CASE("readlink", form, readlink(path, text, sizeof text));
  CASE("opendir", form, opendir(path) != NULL);
  stream(form, path, "r");
  stream(form, path, "re");
  stream(form, path, "w");
  stream(form, path, "r+");
  stream(form, path, "ax");
#ifndef __GLIBC__  // musl keeps two leading slashes.
  path += path[1] == '/';
#endif
  errno = 77;
  char *resolved = realpath(path, NULL);
  // glibc leaves what a readlink said in errno, also when it succeeds.
  printf("%-16s %-10s -> %s errno %d\n", "realpath", form, resolved ? resolved : "none", resolved ? 0 : errno);
}

// One file in every form that a path comes in.
static void forms(const char *directory, const char *name) {
  char path[PATH_MAX];
  const char *parent = "/proc";
  snprintf(path, sizeof path, "%s/%s", directory, name);
  printf("== %s\n", path);
  file("absolute", path);
  snprintf(path, sizeof path, "//proc/.%s//%s", directory + 5, name);
  file("dotted", path);
  snprintf(path, sizeof path, "/proc/sys/..%s/./%s", directory + 5, name);
  file("dotdot", path);
  int dirfd = open(parent, O_RDONLY | O_DIRECTORY);
  snprintf(path, sizeof path, "%s/%s", directory + 6, name);
  file_at(dirfd, "dirfd", path);
  snprintf(path, sizeof path, "/proc/self/fd/%d%s/%s", dirfd, directory + 5, name);
  file_at(AT_FDCWD, "self-fd", path);
  close(dirfd);
  if (chdir(parent)) exit(1);
  file("relative", path + strlen("/proc/self/fd/") + strcspn(path + strlen("/proc/self/fd/"), "/") + 1);
  if (chdir("/")) exit(1);
}

static void changes(const char *form, int dirfd, const char *base) {
  char a[PATH_MAX], b[PATH_MAX], text[PATH_MAX];
  struct stat st;
  snprintf(a, sizeof a, "%s/new", base);
  snprintf(b, sizeof b, "%s/other", base);
  CASE("mkdirat", form, mkdirat(dirfd, a, 0750));
  CASE("mkdirat again", form, mkdirat(dirfd, a, 0750));
  if (!CASE("fstatat", form, fstatat(dirfd, a, &st, 0))) printf("  %o\n", st.st_mode);
  CASE("renameat", form, renameat(dirfd, a, dirfd, b));
  CASE("renameat2", form, renameat2(dirfd, b, dirfd, a, RENAME_NOREPLACE));
  CASE("fchmodat", form, fchmodat(dirfd, a, 0700, 0));
  CASE("fchownat", form, fchownat(dirfd, a, 0, 0, AT_SYMLINK_NOFOLLOW));
  CASE("utimensat", form, utimensat(dirfd, a, NULL, 0));
  CASE("symlinkat", form, symlinkat("target", dirfd, b));
  memset(text, 0, sizeof text);
  if (CASE("readlinkat", form, readlinkat(dirfd, b, text, sizeof text - 1)) > 0) printf("  %s\n", text);
  CASE("unlinkat", form, unlinkat(dirfd, b, 0));
  CASE("unlinkat dir", form, unlinkat(dirfd, a, AT_REMOVEDIR));
  CASE("mknodat", form, mknodat(dirfd, a, S_IFIFO | 0600, 0));
  CASE("linkat", form, linkat(dirfd, a, dirfd, b, 0));
  CASE("unlinkat", form, unlinkat(dirfd, a, 0));
  CASE("unlinkat", form, unlinkat(dirfd, b, 0));
  CASE("openat DIR", form, openat(dirfd, base, O_DIRECTORY));
}

// The addresses that a socket is given, and says.
static void sockets(void) {
  struct sockaddr_un un = {AF_UNIX, "/procsys-away/socket"}, told;
  struct sockaddr *address = (struct sockaddr *)&un, *own = (struct sockaddr *)&told;
  socklen_t len = sizeof told;
  int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  printf("== sockets\n");
  CASE("connect", "none", connect(client, address, sizeof un));
  CASE("bind", "redirect", bind(server, address, sizeof un));
  CASE("bind", "again", bind(client, address, sizeof un));
  memset(&told, 0, sizeof told);
  if (!CASE("getsockname", "redirect", getsockname(server, own, &len))) printf("  %u %s\n", len, told.sun_path);
  listen(server, 1);
  CASE("connect", "redirect", connect(client, address, sizeof un));
  len = sizeof told;
  memset(&told, 0, sizeof told);
  if (!CASE("getpeername", "redirect", getpeername(client, own, &len))) printf("  %u %s\n", len, told.sun_path);
  len = 5;
  memset(&told, 0, sizeof told);
  if (!CASE("getsockname", "short", getsockname(server, own, &len))) printf("  %u %.3s\n", len, told.sun_path);
  CASE("connect", "bad", connect(client, (struct sockaddr *)8, sizeof un));
  un.sun_path[1] = 'x';
  CASE("bind", "other", bind(client, address, sizeof un));
  un.sun_path[0] = 0;
  CASE("bind", "abstract", bind(client, address, 12));
  close(server), close(client);
  CASE("unlink", "socket", unlink("/procsys-away/socket"));
}

static void redirected(void) {
  struct stat st;
  char text[PATH_MAX];
  printf("== redirects\n");
  changes("absolute", AT_FDCWD, "/procsys-away");
  changes("dotted", AT_FDCWD, "/./procsys-away//");
  int root = open("/", O_RDONLY | O_DIRECTORY);
  changes("dirfd", root, "procsys-away");
  file("absolute", "/procsys-away/file");
  file("missing", "/procsys-away/none");
  file("no prefix", "/procsys-away-not/file");
  CASE("mkdir", "", mkdir("/procsys-away/d", 0755));
  CASE("chdir", "", chdir("/procsys-away/d"));
  CASE("chdir back", "", chdir("/"));
  CASE("rename", "", rename("/procsys-away/d", "/procsys-away/e"));
  CASE("rmdir", "", rmdir("/procsys-away/e"));
  CASE("symlink", "", symlink("file", "/procsys-away/l"));
  CASE("readlink", "", readlink("/procsys-away/l", text, sizeof text));
  CASE("lchown", "", lchown("/procsys-away/l", 0, 0));
  CASE("link", "", link("/procsys-away/file", "/procsys-away/h"));
  CASE("chmod", "", chmod("/procsys-away/h", 0640));
  CASE("chown", "", chown("/procsys-away/h", 0, 0));
  if (!CASE("stat", "", stat("/procsys-away/file", &st))) printf("  %o %lu\n", st.st_mode, st.st_nlink);
  CASE("truncate", "", truncate("/procsys-away/h", 2));
  CASE("utime", "", utime("/procsys-away/h", NULL));
  CASE("getxattr", "", getxattr("/procsys-away/h", "user.none", text, 1));
  CASE("unlink", "", unlink("/procsys-away/h"));
  CASE("remove", "", remove("/procsys-away/l"));
  CASE("remove", "", remove("/procsys-away/l"));
  CASE("mkfifo", "", mkfifo("/procsys-away/p", 0600));
  CASE("unlink", "", unlink("/procsys-away/p"));
  CASE("open bad", "", open((char *)8, O_RDONLY));
  CASE("stat bad", "", stat((char *)8, &st));
  CASE("open null", "", open(NULL, O_RDONLY));
}

static void plain(void) {
  int value = 0;
  printf("== calls without a path\n");
  CASE("close_range", "retry", close_range(900, 901, 0x400));
  CASE("close_range", "other", close_range(901, 900, 0));
  CASE("close_range", "syscall", syscall(SYS_close_range, 900, 901, 0x400));
  CASE("setns", "ignore", setns(-1, 0));
  CASE("unshare", "ignore", unshare(0x1));
  CASE("unshare", "other", unshare(0x2));
  CASE("ioctl", "errno", ioctl(0, 0x12345, &value));
  CASE("prctl", "ignore", prctl(123456, 1, 2, 3, 4));
  CASE("mount", "retry", mount("none", "/procsys-away/mnt", "tmpfs", 0, "size=4k,nonsense=1"));
  CASE("umount", "", umount("/procsys-away/mnt"));
  CASE("mount", "other", mount("none", "/procsys-away/mnt", "nonsense", 0, "size=4k"));
  CASE("umount2", "other", umount2("/procsys-away/mnt", 0x4000));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  forms("/proc/sys/procsys", "refused");
  forms("/proc/sys/procsys", "accepted");
  forms("/proc/self/ns", "procsys");
  forms("/proc/sys/kernel", "ostype");
  forms("/proc/sys/procsys", "other");
  redirected();
  sockets();
  plain();
  return 0;
}
