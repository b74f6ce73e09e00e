// What a program's own unwinder finds when a signal comes in a call whose number is
// the caller's: callers, destructors, and a handler for what is thrown.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

static const char *path;
static std::atomic<int> ended, tid;
static volatile long local[8];

struct Counted {
  ~Counted() { ended++; }
};

__attribute__((noipa)) static long by_number(long number) {
  long answer;
  __asm__ volatile("" : : : "rbx", "rbp", "r12", "r13", "r14", "r15", "memory");
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"(number), "D"(AT_FDCWD), "S"(path), "d"(O_RDONLY)
                   : "rcx", "r11", "memory");
  __asm__ volatile("" : : : "rbx", "rbp", "r12", "r13", "r14", "r15", "memory");
  // So that the compiler takes the caller's landing pad for needed.
  if (answer == -4095) throw 2;
  return answer;
}

__attribute__((noipa)) static void outer() {
  Counted counted;
  local[0] = by_number(SYS_openat);
}

static void *blocked(void *) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
  tid = gettid();
  outer();
  return nullptr;
}

// Until the thread waits in openat for the FIFO's other end.
static void until_blocked(int thread) {
  char name[64], line[64] = "";
  snprintf(name, sizeof name, "/proc/self/task/%d/syscall", thread);
  while (strncmp(line, "257 ", 4)) {
    usleep(10000);
    FILE *file = fopen(name, "r");
    if (!file || !fgets(line, sizeof line, file)) line[0] = 0;
    if (file) fclose(file);
  }
}

static void cancelled() {
  pthread_t thread;
  pthread_create(&thread, nullptr, blocked, nullptr);
  while (!tid) usleep(1000);
  until_blocked(tid);
  pthread_cancel(thread);
  void *result;
  pthread_join(thread, &result);
  printf("%s, %d destructors\n", result == PTHREAD_CANCELED ? "cancelled" : "not cancelled",
         ended.load());
}

static bool saw_outer, saw_main;
int main(int count, char **arguments);

static _Unwind_Reason_Code look(_Unwind_Context *context, void *) {
  auto start = _Unwind_GetRegionStart(context);
  saw_outer |= start == (_Unwind_Ptr)outer;
  saw_main |= start == (_Unwind_Ptr)main;
  return _URC_NO_REASON;
}

static void backtrace(int) { _Unwind_Backtrace(look, nullptr); }
static void thrower(int) { throw 1; }

static void *alarmer(void *) {
  until_blocked(getpid());
  kill(getpid(), SIGUSR1);
  return nullptr;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  path = arguments[2];
  bool throws = !strcmp(arguments[1], "throw");
  if (!strcmp(arguments[1], "cancel")) return cancelled(), 0;
  struct sigaction action = {};
  action.sa_handler = throws ? thrower : backtrace;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGUSR1, &action, nullptr);
  pthread_t thread;
  sigset_t set;
  // The signal is for the main thread.
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  pthread_create(&thread, nullptr, alarmer, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  bool caught = false;
  try {
    outer();
  } catch (int) {
    caught = true;
  }
  pthread_join(thread, nullptr);
  if (throws) printf("%s, %d destructors\n", caught ? "caught" : "not caught", ended.load());
  else printf("outer %d, main %d\n", saw_outer, saw_main);
}
