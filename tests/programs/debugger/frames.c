// A call whose number is the caller's, in functions with frames of their own: it
// is made in the trampoline, with rsp as far from the return address as here.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noipa)) static long by_number(long number, const char *path, int count) {
  char local[300];
  memset(local, count, sizeof local);
  __asm__ volatile("" : : "r"(local) : "rbx", "rbp", "r12", "r13", "r14", "r15", "memory");
  long answer;
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"(number), "D"(AT_FDCWD), "S"(path), "d"(O_RDONLY)
                   : "rcx", "r11", "memory");
  __asm__ volatile("" : : "r"(local) : "memory");
  return answer + local[count];
}

__attribute__((noipa)) static long outer(const char *path, int count) {
  char local[100];
  memset(local, count, sizeof local);
  __asm__ volatile("" : : "r"(local) : "rbx", "r12", "memory");
  long fd = by_number(SYS_openat, path, count);
  __asm__ volatile("" : : "r"(local) : "memory");
  return fd + local[0];
}

int main(int count, char **arguments) {
  // A path, and how often.
  long opened = 0, times = count > 2 ? strtol(arguments[2], NULL, 10) : 1;
  for (long i = 0; i < times; i++) {
    long fd = outer(arguments[1], count - count);
    if (fd < 0) continue;
    opened++;
    close((int)fd);
  }
  printf("%s\n", opened > 0 ? "opened" : "not opened");
}
