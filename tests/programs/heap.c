// The heap (brk) begins after the last segment: what the patch adds there must be
// neither in its way nor under it.
// #Build: glibc, pie, musl
// #Expect: heap grown and filled
#include "hazard.h"

int main(void) {
  const char *path = EMULATED;
  char *start = (char *)raw(SYS_brk, 0, 0, 0, 0, 0, 0);
  for (size_t size = 4096; size <= 32 << 20; size *= 2) {
    char *end = (char *)raw(SYS_brk, (long)start + (long)size, 0, 0, 0, 0, 0);
    if (end != start + size) die("brk of %zu bytes", size);
    memset(start, 0x5a, size);
    must_be_42(path, "beside the heap");
  }
  for (size_t i = 0; i < 32 << 20; i++)
    if (start[i] != 0x5a) die("byte %zu of the heap changed", i);
  raw(SYS_brk, (long)start, 0, 0, 0, 0, 0);
  puts("heap grown and filled");
}
