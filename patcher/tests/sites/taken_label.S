// A function that takes the addresses of its own labels, as C does by `&&label`.
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
    mov number, %ecx
    lea second(%rip), %rdx
    test %ecx, %ecx
    jnz 1f
    lea first(%rip), %rdx
1:  jmp *%rdx
first:
    mov number, %ecx
second:
    mov %ecx, %eax
    syscall
    mov $7, %edi
    mov $231, %eax
    syscall
    .size _start, . - _start
    .data
number:
    .quad 39
