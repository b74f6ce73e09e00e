// A table leads to the middle of what a detour before the syscall would cover.
//#ExpectSites: 2
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    xor %ebx, %ebx
    xor %r12d, %r12d
next:
    mov $39, %ecx
    lea table(%rip), %rdx
    movslq (%rdx,%rbx,4), %rax
    add %rdx, %rax
    jmp *%rax
first:
    mov $39, %ecx
second:
    mov %ecx, %eax
    syscall
    test %rax, %rax
    setg %al
    movzbl %al, %eax
    add %eax, %r12d
    inc %ebx
    cmp $2, %ebx
    jne next
    lea 40(%r12), %edi
    mov $231, %eax
    syscall
    .size _start, . - _start
    .section .rodata
    .balign 4
table:
    .long first - table
    .long second - table
