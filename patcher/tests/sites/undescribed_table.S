// No table describes this code; that of its switch leads to the middle of what a detour
// before the syscall would cover, and is far away.
//#Strip
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .macro filling
    .rept 40
    add $1, %r8d
    mov %r8, %r9
    lea 8(%r9,%r8,2), %r10
    .endr
    .endm
_start:
    mov number, %ecx
    mov $1, %ebx
    lea table(%rip), %rdx
    movslq (%rdx,%rbx,4), %rax
    add %rdx, %rax
    jmp *%rax
other:
    filling
first:
    mov number, %ecx
second:
    mov %ecx, %eax
    syscall
    mov $7, %edi
    mov $231, %eax
    syscall
    filling
    ret
    .section .rodata
    .balign 4
table:
    .long other - table
    .long second - table
    .data
number:
    .quad 39
