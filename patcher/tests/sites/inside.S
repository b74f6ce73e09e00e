// The bytes 0f 05 in immediates, displacements and branch offsets are no syscalls.
//#ExpectSites: 1
//#ExpectInside: 5
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    mov $0x050f, %eax
    lea 0x050f(%rax), %rbx
    movabs $0x11050f2233445566, %rcx
    cmpl $0x050f0000, %ebx
    xor %edi, %edi
    cmp $0x0a1e, %ebx
    jne wrong
    mov $42, %edi
wrong:
    mov $231, %eax
    syscall
    jmp . + 0x0514
    .size _start, . - _start
    .skip 0x600, 0x90
