// No memory of the program is writable and executable at once, neither at the
// start nor after served calls.
// #Build: glibc, pie, musl
// #Expect: nothing is writable and executable
#include "hazard.h"

int main(void) {
  for (int round = 0; round < 2; round++) {
    FILE *maps = fopen("/proc/self/maps", "r");
    if (!maps) die("maps");
    char line[512];
    while (fgets(line, sizeof line, maps))
      if (strstr(line, "rwx") || strstr(line, "-wx")) die("%s", line);
    fclose(maps);
    must_be_42(EMULATED, "between two looks");
    if (access(REDIRECTED, R_OK)) die("access");
  }
  puts("nothing is writable and executable");
}
