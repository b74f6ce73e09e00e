// Jumps from other functions, near and far, that have prefixes (MPX's, a branch hint).
//#ExpectSites: 3
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
    mov number, %ecx
    jmp near
first:
    mov number, %ecx
second:
    mov %ecx, %eax
    syscall
    mov number, %ecx
    test %ecx, %ecx
    jmp far
third:
    mov number, %ecx
fourth:
    mov %ecx, %eax
    syscall
    mov $7, %edi
    mov $231, %eax
    syscall
    .size _start, . - _start
    .type near,@function
near:
    bnd jmp second
    .size near, . - near
    .skip 400, 0x90
    .type far,@function
far:
    .byte 0x3e
    jne fourth
    .size far, . - far
    .data
number:
    .quad 39
