// A table that is named by its address as a number.
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
    mov number, %ecx
    mov $1, %ebx
    mov $table, %edx
    jmp *(%rdx,%rbx,8)
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
    .balign 8
table:
    .quad first
    .quad second
    .data
number:
    .quad 39
