// 64 threads that do at once all that is hard for code put into a process:
// answered, redirected and failing calls, each thread signalled by each other on
// an alternate stack of the least size, fork, vfork and exec, and threads that
// are cancelled in calls. What every operation came to is counted: a round has
// the same counts wherever it runs.
//
//   stress seconds N | stress rounds N [wait]
//
// With `wait` it prints `at rest` when all threads are joined, and waits, so that
// its memory can be looked at. For every byte of its standard input it makes its
// calls once more and prints that again; the input's end ends it.
#include "../hazard.h"
#include <sys/auxv.h>
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { THREADS = 64, STEPS = 8 };
#define SIGNAL (SIGRTMIN + 4)

enum kind { EMULATED_READS, REDIRECTED_READS, MISSING_FILES, BAD_CLOSES, SIGNALS, IN_HANDLERS, FORKS, VFORKS, CANCELLED, CLEANUPS, KINDS };
static const char *const names[KINDS] = {"emulated reads", "redirected reads", "missing files", "bad closes", "signals sent", "reads in handlers", "forks", "vforks and execs", "cancelled threads", "cleanups"};
static long counts[KINDS];

static const char *emulated, *redirected;
static pthread_t threads[THREADS];
static pthread_barrier_t barrier;
static __thread volatile long received;
static int ends[2];

static void count(enum kind kind) { __atomic_add_fetch(&counts[kind], 1, __ATOMIC_RELAXED); }

static void handler(int number) {
  (void)number;
  int saved = errno;
  if (wrong_value(emulated) == 0) count(IN_HANDLERS);
  received++;
  errno = saved;
}

// The least alternate stack, and one KiB, above a page that must not be touched.
static void small_stack(char *room) {
  unsigned long least = getauxval(AT_MINSIGSTKSZ);
  stack_t stack = {.ss_sp = room + 4096, .ss_size = (least ? least : 2048) + 1024};
  if (mprotect(room, 4096, PROT_NONE)) die("mprotect");
  if (sigaltstack(&stack, NULL)) die("sigaltstack");
}

static void calls(void) {
  if (wrong_value(emulated) == 0) count(EMULATED_READS);
  char text[32] = "";
  int fd = open(redirected, O_RDONLY | O_CLOEXEC);
  if (read(fd, text, sizeof text - 1) == 11 && !strcmp(text, "redirected\n")) count(REDIRECTED_READS);
  close(fd);
  struct stat stat_of;
  if (stat(MISSING, &stat_of) == -1 && errno == ENOENT) count(MISSING_FILES);
  if (close(-1) == -1 && errno == EBADF) count(BAD_CLOSES);
}

static int ended_as(pid_t child, int code) {
  int status;
  while (waitpid(child, &status, 0) != child)
    if (errno != EINTR) die("waitpid");
  return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static void fork_once(void) {
  pid_t child = fork();
  if (child == 0) _exit(wrong_value(emulated) == 0 ? 7 : 1);
  if (child < 0) die("fork");
  if (ended_as(child, 7)) count(FORKS);
}

static void vfork_once(void) {
  static char *const arguments[] = {"stress", "child", NULL};
  extern char **environ;
  pid_t child = vfork();
  if (child == 0) {
    execve("/proc/self/exe", arguments, environ);
    _exit(127);
  }
  if (child < 0) die("vfork");
  if (ended_as(child, 9)) count(VFORKS);
}

static void cleanup(void *unused) {
  (void)unused;
  count(CLEANUPS);
}

static void *blocked(void *unused) {
  char byte;
  pthread_cleanup_push(cleanup, unused);
  if (read(ends[0], &byte, 1) != -2) die("read came back");
  pthread_cleanup_pop(0);
  return NULL;
}

static void *opening(void *unused) {
  pthread_cleanup_push(cleanup, unused);
  for (;;) {
    int fd = open(emulated, O_RDONLY | O_CLOEXEC), state;
    // Deferred until the next open, so that descriptors are not lost.
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (fd < 0 || close(fd)) die("emulated open");
    pthread_setcancelstate(state, &state);
  }
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancel_once(void *(*start)(void *), long pause) {
  pthread_t thread;
  void *result;
  struct timespec time = {0, pause};
  if ((errno = pthread_create(&thread, NULL, start, NULL))) die("pthread_create");
  nanosleep(&time, NULL);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  if (result == PTHREAD_CANCELED) count(CANCELLED);
}

static void *worker(void *argument) {
  long index = (long)argument;
  char *room = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) die("mmap");
  small_stack(room);
  pthread_barrier_wait(&barrier);
  for (long step = 0; step < STEPS; step++) {
    calls();
    while ((errno = pthread_kill(threads[(index + 1 + step) % THREADS], SIGNAL)) == EAGAIN) sched_yield();
    if (errno) die("pthread_kill");
    count(SIGNALS);
    switch ((index + step) % 4) {
      case 0: fork_once(); break;
      case 1: vfork_once(); break;
      case 2: cancel_once(blocked, step * 1000); break;
      case 3: cancel_once(opening, step * 20000); break;
    }
  }
  // Every thread is sent STEPS signals; a lost one makes this wait for ever.
  struct timespec pause = {0, 1000000};
  while (received < STEPS) nanosleep(&pause, NULL);
  pthread_barrier_wait(&barrier);
  stack_t none = {.ss_flags = SS_DISABLE};
  if (sigaltstack(&none, NULL) || munmap(room, 32768)) die("munmap");
  return NULL;
}

static void round_once(void) {
  for (long i = 0; i < THREADS; i++)
    if ((errno = pthread_create(&threads[i], NULL, worker, (void *)i))) die("pthread_create");
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  // Those that glibc lost: a thread cancelled when open has come back takes the
  // descriptor with it (sourceware bug 12683), stock as well.
  raw(SYS_close_range, ends[1] + 1, 0x7fffffff, 0, 0, 0, 0);
}

int main(int count_of, char **arguments) {
  emulated = EMULATED;
  redirected = REDIRECTED;
  if (count_of == 2 && !strcmp(arguments[1], "child")) return wrong_value(emulated) == 0 ? 9 : 1;
  if (count_of < 3) die("stress seconds|rounds N [wait]");
  int by_time = !strcmp(arguments[1], "seconds");
  long limit = atol(arguments[2]), rounds = 0;
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};
  if (sigaction(SIGNAL, &action, NULL) || pipe2(ends, O_CLOEXEC)) die("sigaction or pipe2");
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  time_t start = time(NULL);
  do {
    round_once();
    rounds++;
  } while (by_time ? time(NULL) - start < limit : rounds < limit);
  printf("rounds: %ld\n", rounds);
  for (int kind = 0; kind < KINDS; kind++) printf("%s: %ld\n", names[kind], counts[kind]);
  if (count_of < 4) return 0;
  char byte;
  do {
    calls();
    puts("at rest");
    fflush(stdout);
  } while (read(0, &byte, 1) > 0);
}
