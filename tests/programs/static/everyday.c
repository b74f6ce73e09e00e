// What C programs ask of the kernel on an ordinary day, through the C library:
// files, directories, pipes, children by every route, signals, timers, memory,
// sockets. Built static with musl and with glibc. Prints the same in every run.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t caught;
static sigjmp_buf out_of_fault;

// A call's result, or the error's name: never the number of a descriptor.
#define SHOW(call) do { errno = 0; long r = (long)(call); \
    printf("%s: %s %s\n", #call, r < 0 ? "-1" : r ? "+" : "0", r < 0 ? strerror(errno) : ""); } while (0)
#define VALUE(call) printf("%s: %ld\n", #call, (long)(call))

static void on_signal(int n) { caught = n; }
static void on_fault(int n) { (void)n; siglongjmp(out_of_fault, 1); }
static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void files(void) {
  puts("# files");
  int fd = open("file", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0640);
  SHOW(fd);
  VALUE(write(fd, "hello, kernel\n", 14));
  struct iovec two[] = {{"scatter ", 8}, {"gather\n", 7}};
  VALUE(writev(fd, two, 2));
  VALUE(pwrite(fd, "HELLO", 5, 0));
  char text[64] = {0};
  VALUE(pread(fd, text, sizeof text - 1, 0));
  fputs(text, stdout);
  struct stat st;
  SHOW(fstat(fd, &st));
  printf("size %ld mode %o\n", (long)st.st_size, st.st_mode);
  VALUE(lseek(fd, 5, SEEK_SET));
  SHOW(ftruncate(fd, 8192));
  char *map = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  printf("mapped: %.5s\n", map);
  memcpy(map + 4096, "second page", 11);
  SHOW(msync(map, 8192, MS_SYNC));
  SHOW(munmap(map, 8192));
  VALUE(pread(fd, text, 11, 4096));
  printf("%.11s\n", text);
  SHOW(fcntl(fd, F_GETFL) & O_RDWR);
  int copy = dup2(fd, 100);
  VALUE(copy);
  SHOW(close(copy));
  SHOW(close(copy));
  SHOW(close(fd));
  SHOW(open("/none/file", O_RDONLY));
  SHOW(open("file", O_CREAT | O_EXCL | O_WRONLY, 0600));
  SHOW(open((char *)1, O_RDONLY));
  SHOW(stat("none", &st));
  SHOW(lstat("/proc/self", &st));
  SHOW(S_ISLNK(st.st_mode));
  SHOW(access("file", R_OK | W_OK));
  SHOW(access("file", X_OK));
  SHOW(mkdir("folder", 0755));
  SHOW(mkdir("folder", 0755));
  SHOW(rename("file", "folder/renamed"));
  SHOW(symlink("renamed", "folder/link"));
  SHOW(link("folder/renamed", "folder/hard"));
  VALUE(readlink("folder/link", text, sizeof text));
  int dir = open("folder", O_RDONLY | O_DIRECTORY);
  SHOW(fstatat(dir, "link", &st, 0));
  VALUE(st.st_nlink);
  SHOW(openat(dir, "../folder/./link", O_RDONLY));
  SHOW(openat(dir, "link", O_RDONLY | O_NOFOLLOW));
  DIR *d = fdopendir(dir);
  char *names[8];
  int n = 0;
  for (struct dirent *e; (e = readdir(d));) names[n++] = strdup(e->d_name);
  qsort(names, n, sizeof *names, by_name);
  for (int i = 0; i < n; i++) printf("%s ", names[i]);
  puts("");
  closedir(d);
  SHOW(rmdir("folder"));
  SHOW(unlink("folder/renamed") | unlink("folder/link") | unlink("folder/hard"));
  SHOW(rmdir("folder"));
  struct statfs fs;
  SHOW(statfs("/proc", &fs));
  printf("%lx\n", (long)fs.f_type);
  FILE *f = fopen("/proc/sys/kernel/ostype", "r");
  printf("%s", fgets(text, sizeof text, f));
  fclose(f);
  f = tmpfile();
  fprintf(f, "%d", 12345);
  rewind(f);
  VALUE(fscanf(f, "%d", &n));
  VALUE(n);
  fclose(f);
  char name[] = "made.XXXXXX";
  fd = mkstemp(name);
  SHOW(fd);
  close(fd);
  SHOW(unlink(name));
}

static int ended(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void children(char *self) {
  puts("# children");
  fflush(stdout);
  pid_t child = fork();
  if (!child) _exit(41);
  VALUE(ended(child));
  child = vfork();
  if (!child) _exit(42);
  VALUE(ended(child));
  child = vfork();
  if (!child) {
    execl(self, self, "exit", "43", (char *)0);
    _exit(99);
  }
  VALUE(ended(child));
  child = vfork();
  if (!child) {
    execl("/none/program", "program", (char *)0);
    _exit(errno == ENOENT ? 44 : 98);
  }
  VALUE(ended(child));
  char *args[] = {self, "exit", "45", 0};
  VALUE(posix_spawn(&child, self, 0, 0, args, environ));
  VALUE(ended(child));
  VALUE(posix_spawn(&child, "/none", 0, 0, args, environ) == ENOENT);
  VALUE(WEXITSTATUS(system("exit 46")));
  FILE *p = popen("echo from popen; exit 7", "r");
  char line[64] = "";
  printf("%s", fgets(line, sizeof line, p));
  VALUE(WEXITSTATUS(pclose(p)));
  for (int i = 0; i < 200; i++) {
    child = i % 2 ? fork() : vfork();
    if (!child) _exit(i % 100);
    if (ended(child) != i % 100) puts("a child ended wrongly");
  }
  child = fork();
  if (!child) abort();
  VALUE(ended(child));
  child = fork();
  if (!child) pause();
  SHOW(kill(child, 0));
  SHOW(kill(child, SIGKILL));
  VALUE(ended(child));
  SHOW(kill(child, 0));
  SHOW(waitpid(-1, 0, WNOHANG));
  int in[2], out[2];
  SHOW(pipe(in) | pipe2(out, O_CLOEXEC));
  child = fork();
  if (!child) {
    char c;
    close(in[1]);
    while (read(in[0], &c, 1) == 1) write(out[1], (c ^= 0x20, &c), 1);
    _exit(0);
  }
  write(in[1], "ECHO", 4);
  close(in[1]);
  for (int i = 0; i < 4; i++) read(out[0], line + i, 1);
  printf("%.4s %d\n", line, ended(child));
}

static void signals(void) {
  puts("# signals");
  static char stack[64 * 1024];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  SHOW(sigaltstack(&alternate, 0));
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  SHOW(sigaction(SIGUSR1, &action, 0) | sigaction(SIGALRM, &action, 0));
  raise(SIGUSR1);
  VALUE(caught == SIGUSR1);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  SHOW(sigprocmask(SIG_BLOCK, &set, &old));
  caught = 0;
  kill(getpid(), SIGUSR1);
  VALUE(caught);
  SHOW(sigprocmask(SIG_SETMASK, &old, 0));
  VALUE(caught == SIGUSR1);
  struct itimerval soon = {.it_value.tv_usec = 20000};
  setitimer(ITIMER_REAL, &soon, 0);
  SHOW(pause());
  setitimer(ITIMER_REAL, &soon, 0);
  struct timespec second = {1, 0}, left = {0, 0};
  SHOW(nanosleep(&second, &left));
  VALUE(left.tv_nsec > 0);
  int fd[2];
  pipe(fd);
  setitimer(ITIMER_REAL, &soon, 0);
  char c;
  SHOW(read(fd[0], &c, 1));
  setitimer(ITIMER_REAL, &soon, 0);
  struct pollfd p = {fd[0], POLLIN, 0};
  SHOW(poll(&p, 1, 1000));
  VALUE(poll(&p, 1, 10));
  // Restarted: the signal comes, and the read goes on until the byte is there.
  action.sa_flags |= SA_RESTART;
  sigaction(SIGALRM, &action, 0);
  caught = 0;
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    usleep(80000);
    write(fd[1], "x", 1);
    _exit(0);
  }
  setitimer(ITIMER_REAL, &soon, 0);
  VALUE(read(fd[0], &c, 1));
  VALUE(caught == SIGALRM);
  VALUE(ended(child));
  signal(SIGPIPE, SIG_IGN);
  close(fd[0]);
  SHOW(write(fd[1], "x", 1));
  action.sa_handler = on_fault;
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGFPE, &action, 0);
  for (int i = 0; i < 3; i++)
    if (!sigsetjmp(out_of_fault, 1)) {
      *(volatile int *)8 = 1;
    } else {
      printf("fault %d\n", i);
    }
  sigprocmask(SIG_BLOCK, &set, 0);
  int sfd = signalfd(-1, &set, SFD_CLOEXEC);
  raise(SIGUSR1);
  struct signalfd_siginfo info;
  VALUE(read(sfd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1);
}

static void events(void) {
  puts("# events");
  int e = epoll_create1(EPOLL_CLOEXEC), v = eventfd(0, EFD_NONBLOCK);
  struct epoll_event want = {.events = EPOLLIN, .data.u64 = 77}, got;
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, v, &want));
  VALUE(epoll_wait(e, &got, 1, 0));
  eventfd_write(v, 5);
  VALUE(epoll_wait(e, &got, 1, 100));
  VALUE(got.data.u64);
  eventfd_t n;
  eventfd_read(v, &n);
  VALUE(n);
  SHOW(eventfd_read(v, &n));
  int t = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec soon = {.it_value.tv_nsec = 10000000};
  SHOW(timerfd_settime(t, 0, &soon, 0));
  VALUE(read(t, &n, 8));
  int s[2];
  SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
  int passed = open("/proc/version", O_RDONLY);
  char control[CMSG_SPACE(sizeof(int))] = {0}, body[4] = "fd";
  struct iovec io = {body, 2};
  struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &passed, sizeof passed);
  VALUE(sendmsg(s[0], &m, 0));
  VALUE(recvmsg(s[1], &m, 0));
  int received;
  memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof received);
  char text[6];
  VALUE(read(received, text, 5));
  printf("%.5s\n", text);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(s[1], &set);
  struct timeval none = {0, 1000};
  VALUE(select(s[1] + 1, &set, 0, 0, &none));
}

static void rest(void) {
  puts("# memory, limits, identity");
  char *p = malloc(1 << 20);
  for (int i = 0; i < 64; i++) p = realloc(p, (size_t)(i + 1) << 18);
  memset(p, 1, 16 << 20);
  free(p);
  p = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SHOW(mprotect(p, 4096, PROT_READ | PROT_WRITE));
  p[0] = 1;
  SHOW(mmap(0, 0, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED ? -1 : 0);
  struct rlimit limit;
  SHOW(getrlimit(RLIMIT_CORE, &limit));
  limit.rlim_cur = 0;
  SHOW(setrlimit(RLIMIT_CORE, &limit));
  VALUE(getuid() == geteuid());
  SHOW(setpgid(0, 0));
  VALUE(getpgrp() == getpid());
  struct utsname name;
  SHOW(uname(&name));
  puts(name.sysname);
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, 5000000}, 0);
  clock_gettime(CLOCK_MONOTONIC, &b);
  VALUE(b.tv_sec > a.tv_sec || b.tv_nsec - a.tv_nsec >= 5000000);
  SHOW(chdir("/none"));
  SHOW(umask(027));
  VALUE(umask(027));
  SHOW(sysconf(_SC_PAGESIZE));
  SHOW(fchmodat(AT_FDCWD, "none", 0600, 0));
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "exit")) return atoi(argv[2]);
  files();
  children("/proc/self/exe");
  signals();
  events();
  rest();
  fprintf(stderr, "and one line of errors\n");
  return 23;
}
