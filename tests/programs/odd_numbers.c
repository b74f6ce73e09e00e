// Numbers that no call has, and numbers whose low bits look like one: the answer
// is the kernel's, nothing is looked up by a cut-off number, nor tried again for the
// upper half of a register that the kernel does not look at.
// #Build: glibc, pie, musl
// #Expect: odd numbers answered
#include "hazard.h"

int main(void) {
  const long numbers[] = {-1, -2, -4096, 0x7fffffff, 0x80000000, 100000, 0x10101, 0x10002,
                          0x400000 | 2, 512, 1000, 4096, 0x40000000 | 2, 0x40000000 | 257,
                          0x40000000 | 110, 0x40000000 | 512, 0x40000000 | 1000, 0x7fffffffffffffff};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    long answer = raw(numbers[i], (long)"/dev/null", (long)"/dev/null", 0, 0, 0, 0);
    printf("%#lx: %ld\n", numbers[i], answer);
    if (answer >= 0) die("%#lx succeeded", numbers[i]);
  }
  // The kernel looks at the low 32 bits only: this is getppid, and open.
  if (raw(0x500000000 | SYS_getppid, 0, 0, 0, 0, 0, 0) != getppid()) die("getppid by its low bits");
  long fd = raw(0x500000000 | SYS_open, (long)"/dev/null", O_RDONLY, 0, 0, 0, 0);
  if (fd < 0) die("open by its low bits: %ld", fd);
  // Of other arguments, too: this ends before it starts.
  long range = raw(SYS_close_range, 50, 0x8000000000 | 5, 0, 0, 0, 0);
  printf("close_range by its low bits: %ld\n", range);
  if (range >= 0) die("close_range from 50 to 5 succeeded");
  puts("odd numbers answered");
}
