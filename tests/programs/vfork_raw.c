// vfork as an instruction in line: parent and child come back to the same
// address, one after the other, on the same stack.
// #Build: glibc, pie, musl
// #Expect: raw vfork returned twice 300 times
#include "hazard.h"

// long raw_vfork(const char *path): the child opens path, and exits with 7 if that
// gave a file descriptor. The child writes below rsp, where a detour that kept
// something for the parent would have it.
__asm__(".text\n.globl raw_vfork\n.type raw_vfork,@function\nraw_vfork:\n"
        "  push %rbx\n  mov %rdi, %rbx\n"
        "  mov $58, %eax\n"
        "  syscall\n"
        "  test %rax, %rax\n"
        "  jnz 2f\n"
        "  movq $0xbad, -8(%rsp)\n  movq $0xbad, -16(%rsp)\n  movq $0xbad, -64(%rsp)\n"
        "  mov $2, %eax\n  mov %rbx, %rdi\n  xor %esi, %esi\n  xor %edx, %edx\n"
        "  syscall\n"
        "  mov $1, %edi\n  test %rax, %rax\n  js 1f\n  mov $7, %edi\n"
        "1: mov $60, %eax\n"
        "  syscall\n"
        "  hlt\n"
        "2: pop %rbx\n  ret\n.size raw_vfork, .-raw_vfork\n");
long raw_vfork(const char *path);

int main(void) {
  const char *path = EMULATED;
  for (int i = 0; i < 300; i++) {
    long child = raw_vfork(path);
    if (child <= 0) die("vfork answered %ld", child);
    int status;
    if (waitpid((pid_t)child, &status, 0) != child) die("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) die("child %d: status %#x", i, status);
    must_be_42(path, "the parent");
  }
  puts("raw vfork returned twice 300 times");
}
