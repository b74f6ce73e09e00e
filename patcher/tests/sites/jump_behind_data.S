// A jump behind bytes in the function that are no instructions.
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
    mov number, %ecx
    jmp behind
first:
    mov number, %ecx
second:
    mov %ecx, %eax
    syscall
    mov $7, %edi
    mov $231, %eax
    syscall
    .byte 0x06, 0x06, 0x06, 0x06
behind:
    jmp second
    .size _start, . - _start
    .data
number:
    .quad 39
