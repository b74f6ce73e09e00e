// As jump_table.S, with addresses in the table, as non-PIE code has them.
//#ExpectSites: 2
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    xor %ebx, %ebx
    xor %r12d, %r12d
next:
    mov $39, %ecx
    jmp *table(,%rbx,8)
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
    .balign 8
table:
    .quad first
    .quad second
