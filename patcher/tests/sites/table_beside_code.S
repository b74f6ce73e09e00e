// A table beside code, in one segment with it, as older linkers, gold and Go's have it.
//#Link: -Wl,-z,noseparate-code
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
    mov number, %ecx
    mov $1, %ebx
    lea table(%rip), %rdx
    movslq (%rdx,%rbx,4), %rax
    add %rdx, %rax
    jmp *%rax
first:
    mov number, %ecx
second:
    mov %ecx, %eax
    syscall
    mov $7, %edi
    mov $231, %eax
    syscall
    .size _start, . - _start
    .section .rodata
    .balign 4
table:
    .long first - table
    .long second - table
    .data
number:
    .quad 39
