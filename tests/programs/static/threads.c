// Threads: creation by the hundred, locks, conditions, barriers, cancellation,
// thread-local data, signals to threads, fork from a thread, setuid in all of
// them. Prints the same in every run.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_key_t key;
static sem_t sem;
static long total, turn, cleaned, destroyed;
static __thread long own;
static volatile sig_atomic_t signalled;

static void on_signal(int n) { (void)n; __atomic_fetch_add(&signalled, 1, __ATOMIC_SEQ_CST); }
static void clean(void *p) { (void)p; __atomic_fetch_add(&cleaned, 1, __ATOMIC_SEQ_CST); }
static void destroy(void *p) { (void)p; __atomic_fetch_add(&destroyed, 1, __ATOMIC_SEQ_CST); }

static void *adds(void *p) {
  pthread_setspecific(key, p);
  for (int i = 0; i < 2000; i++) {
    own++;
    if (i % 50 == 0) syscall(SYS_getppid);
    pthread_mutex_lock(&lock);
    total++;
    pthread_mutex_unlock(&lock);
  }
  return (void *)own;
}

static void *takes_turns(void *p) {
  long me = (long)p;
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&lock);
    while (turn % 4 != me) pthread_cond_wait(&changed, &lock);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  pthread_barrier_wait(&barrier);
  return 0;
}

static void *blocks(void *p) {
  pthread_cleanup_push(clean, 0);
  int *fd = p;
  char c;
  sem_post(&sem);
  for (;;) read(fd[0], &c, 1);
  pthread_cleanup_pop(0);
  return 0;
}

static void *blocks_in_open(void *p) {
  pthread_cleanup_push(clean, 0);
  sem_post(&sem);
  for (;;) open(p, O_RDONLY);
  pthread_cleanup_pop(0);
  return 0;
}

static void *opens(void *p) {
  long bad = 0;
  for (int i = 0; i < 300; i++) {
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    bad += fd < 0 || close(fd);
    bad += open("/none", O_RDONLY) != -1 || errno != ENOENT;
  }
  (void)p;
  return (void *)bad;
}

static void *forks(void *p) {
  long bad = 0;
  for (int i = 0; i < 20; i++) {
    int status;
    pid_t child = fork();
    if (!child) _exit(i);
    bad += waitpid(child, &status, 0) != child || WEXITSTATUS(status) != i;
  }
  (void)p;
  return (void *)bad;
}

static void *shows_uid(void *p) { sem_wait(&sem); (void)p; return (void *)(long)getuid(); }

static long all(int n, void *(*body)(void *), void *arg, size_t stack) {
  pthread_t t[64];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (stack) pthread_attr_setstacksize(&attributes, stack);
  long sum = 0;
  for (int i = 0; i < n; i++)
    if (pthread_create(&t[i], &attributes, body, arg ? arg : (void *)(long)i)) puts("no thread");
  for (int i = 0; i < n; i++) {
    void *result;
    pthread_join(t[i], &result);
    sum += (long)result;
  }
  return sum;
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  pthread_key_create(&key, destroy);
  pthread_barrier_init(&barrier, 0, 4);
  sem_init(&sem, 0, 0);
  long sum = all(16, adds, &key, 0);
  printf("adds: %ld, own %ld, destroyed %ld\n", total, sum, destroyed);
  for (int i = 0; i < 20; i++) sum += all(32, opens, 0, 16384);
  printf("640 threads on small stacks, wrong answers: %ld\n", sum - 32000);
  all(4, takes_turns, 0, 0);
  printf("turns: %ld\n", turn);
  int fd[2];
  pipe(fd);
  mkfifo("fifo", 0600);
  for (int i = 0; i < 4000; i++) {
    pthread_t t;
    void *result;
    if (i % 2) pthread_create(&t, 0, blocks, fd);
    else pthread_create(&t, 0, blocks_in_open, "fifo");
    sem_wait(&sem);
    for (volatile int k = 0; k < i % 64 * 8; k++) {}
    pthread_cancel(t);
    pthread_join(t, &result);
    if (result != PTHREAD_CANCELED) puts("not cancelled");
  }
  printf("cancelled in read and open: %ld\n", cleaned);
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, 0);
  pthread_t t;
  pthread_create(&t, 0, blocks, fd);
  sem_wait(&sem);
  for (int i = 0; i < 100; i++) {
    pthread_kill(t, SIGUSR1);
    while (signalled <= i) sched_yield();
  }
  pthread_cancel(t);
  pthread_join(t, 0);
  printf("signals to a thread: %d\n", (int)signalled);
  printf("forks from threads, wrong answers: %ld\n", all(4, forks, 0, 0));
  if (getuid() == 0) {
    pthread_t w[4];
    void *uid;
    for (int i = 0; i < 4; i++) pthread_create(&w[i], 0, shows_uid, 0);
    if (setresuid(1234, 1234, 0)) perror("setresuid");
    for (int i = 0; i < 4; i++) sem_post(&sem);
    for (int i = 0; i < 4; i++) {
      pthread_join(w[i], &uid);
      printf("uid in a thread: %ld\n", (long)uid);
    }
  }
  for (int i = 0; i < 8; i++) {
    pthread_create(&t, 0, adds, &key);
    pthread_detach(t);
  }
  puts("main leaves first");
  pthread_exit(0);
}
