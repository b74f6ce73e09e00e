// A bare thread may have no thread area: the hook must not look there, nor leave
// a changed fs or gs base behind.
// #Build: glibc, pie, musl
// #Expect: thread area untouched
#include "hazard.h"
// musl comes without the kernel's headers.
enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS };

int main(void) {
  struct call calls[] = CALLS;
  long fs, none, now;
  if (raw(SYS_arch_prctl, ARCH_GET_FS, (long)&fs, 0, 0, 0, 0)) die("ARCH_GET_FS");
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    const struct call *c = &calls[i];
    // Nothing of libc in here: errno itself lives in the thread area.
    raw(SYS_arch_prctl, ARCH_SET_FS, 0, 0, 0, 0, 0);
    raw(SYS_arch_prctl, ARCH_SET_GS, 0x1234000, 0, 0, 0, 0);
    long answer = raw(c->number, c->a, c->b, c->c, c->d, c->e, c->f);
    raw(SYS_arch_prctl, ARCH_GET_FS, (long)&none, 0, 0, 0, 0);
    raw(SYS_arch_prctl, ARCH_GET_GS, (long)&now, 0, 0, 0, 0);
    raw(SYS_arch_prctl, ARCH_SET_FS, fs, 0, 0, 0, 0);
    if (none) die("%s: fs base is %#lx", c->name, none);
    if (now != 0x1234000) die("%s: gs base is %#lx", c->name, now);
    settle(c, answer);
  }
  puts("thread area untouched");
}
