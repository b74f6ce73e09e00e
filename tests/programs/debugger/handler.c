// A handler that asks libgcc's unwinder who was interrupted, in a program on musl: the way
// from the handler leads through musl's return from it, of which there are no rows.
#define _GNU_SOURCE
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unwind.h>

int main(void);
static volatile int *volatile nowhere;

static _Unwind_Reason_Code is_main(struct _Unwind_Context *context, void *found) {
  void *at = (void *)(_Unwind_GetIP(context) - 1);
  if (_Unwind_FindEnclosingFunction(at) == (void *)main) *(int *)found = 1;
  return _URC_NO_REASON;
}

static void handler(int signal) {
  (void)signal;
  int found = 0;
  _Unwind_Backtrace(is_main, &found);
  puts(found ? "main" : "not main");
  exit(0);
}

int main(void) {
  signal(SIGSEGV, handler);
  return *nowhere + 1;
}

// What glibc has for libgcc since 2.35, and musl has not: where a program's table is.
struct dl_find_object {
  unsigned long long flags;
  void *start, *end, *map, *table;
  unsigned long long reserved[7];
};

static int look(struct dl_phdr_info *info, size_t size, void *table) {
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
      *(void **)table = (void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  return 1;
}

int _dl_find_object(void *address, struct dl_find_object *found) {
  (void)address;
  *found = (struct dl_find_object){.end = (void *)-1};
  dl_iterate_phdr(look, &found->table);
  return found->table ? 0 : -1;
}
