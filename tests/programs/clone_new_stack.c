// clone and clone3 with a stack of the child's own: the child comes back on an
// empty stack where nothing of the detour may be looked for, and without a
// thread area of its own.
// #Build: glibc, pie, musl
// #Expect: 400 bare threads ran
#include "hazard.h"
#define FUTEX_WAIT 0 // musl comes without the kernel's headers
#include <sched.h>

// long bare_thread(long number, long a, long b, const char *path, long *result, int *alive):
// the child opens path, stores the answer in *result, and ends; the kernel
// clears *alive.
__asm__(".text\n.globl bare_thread\n.type bare_thread,@function\nbare_thread:\n"
        "  push %rbx\n  push %r12\n  push %r13\n"
        "  mov %rcx, %r12\n  mov %r8, %r13\n"
        "  mov %rdi, %rax\n  mov %rsi, %rdi\n  mov %rdx, %rsi\n"
        "  xor %edx, %edx\n  mov %r9, %r10\n  xor %r8d, %r8d\n"
        "  syscall\n"
        "  test %rax, %rax\n"
        "  jz 1f\n"
        "  pop %r13\n  pop %r12\n  pop %rbx\n  ret\n"
        "1: mov $2, %eax\n  mov %r12, %rdi\n  xor %esi, %esi\n  xor %edx, %edx\n"
        "  syscall\n"
        "  mov %rax, (%r13)\n"
        "  mov $60, %eax\n  xor %edi, %edi\n"
        "  syscall\n"
        "  hlt\n.size bare_thread, .-bare_thread\n");
long bare_thread(long number, long a, long b, const char *path, long *result, int *alive);

#define FLAGS                                                                                   \
  (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID)

int main(void) {
  const char *path = EMULATED;
  char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) die("mmap");
  for (int i = 0; i < 400; i++) {
    long result = -9999;
    static volatile int alive;
    alive = 1;
    long thread;
    if (i % 2) {
      struct {
        unsigned long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
      } args;
      memset(&args, 0, sizeof args);
      args.flags = FLAGS;
      args.child_tid = (unsigned long)&alive;
      args.stack = (unsigned long)stack;
      args.stack_size = 65536;
      thread = bare_thread(SYS_clone3, (long)&args, sizeof args, path, &result, NULL);
    } else {
      thread = bare_thread(SYS_clone, FLAGS, (long)stack + 65536, path, &result, (int *)&alive);
    }
    if (thread <= 0) die("clone answered %ld", thread);
    while (alive) syscall(SYS_futex, &alive, FUTEX_WAIT, 1, NULL, NULL, 0);
    if (result < 0) die("the thread's open answered %ld", result);
    close((int)result);
  }
  puts("400 bare threads ran");
}
