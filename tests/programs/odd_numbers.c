// Numbers that no call has, and numbers whose low bits look like one: the answer
// is the kernel's, nothing is looked up by a cut-off number.
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
  puts("odd numbers answered");
}
