// Code with no symbol and no unwind information: decided by agreement.
//#Strip
//#ExpectSites: 2
//#ExpectInside: 1
//#ExpectExit: 42
    .globl _start
_start:
    xor %ebx, %ebx
    .rept 40
    add $1, %ebx
    mov %rbx, %rcx
    lea 8(%rcx,%rbx,2), %rdx
    .endr
    mov $39, %eax
    syscall
    .rept 40
    add $1, %ebx
    mov %rbx, %rcx
    lea 8(%rcx,%rbx,2), %rdx
    .endr
    mov $0x050f, %edi
    lea -38(%rbx), %edi
    mov $231, %eax
    syscall
    .rept 40
    nop
    .endr
