// A program's own allocator, which tells each call of it: on_malloc() is the
// program's. Nothing is ever freed; memory is used again from the start.
#include <string.h>

static char heap[64 << 20];
static size_t used;
// Whether a call is under way, which takes a while: a signal may find it so.
static volatile int is_inside;

void *malloc(size_t size) {
  on_malloc();
  is_inside = 1;
  if (used + size + 32 > sizeof heap) used = 1 << 20;
  size_t *block = (size_t *)(heap + used);
  used += (size + 31) & ~15ul;
  *block = size;
  for (volatile int i = 0; i < 200; i++);
  is_inside = 0;
  return block + 2;
}

void free(void *block) {
  (void)block;
  on_malloc();
}

void *calloc(size_t n, size_t size) { return memset(malloc(n * size), 0, n * size); }

void *realloc(void *old, size_t size) {
  size_t *block = malloc(size);
  if (old) memcpy(block, old, ((size_t *)old)[-2] < size ? ((size_t *)old)[-2] : size);
  return block;
}
