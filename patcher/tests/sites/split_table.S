// A table whose first entries lead out of the function, to what is seldom run and was
// split off, and then one to the middle of what a detour before the syscall would cover.
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
    mov number, %ecx
    mov $2, %ebx
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
    .type cold,@function
cold:
    ud2
    .size cold, . - cold
    .section .rodata
    .balign 4
table:
    .long cold - table
    .long first - table
    .long second - table
    .data
number:
    .quad 39
