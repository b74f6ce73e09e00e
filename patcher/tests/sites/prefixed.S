// A syscall with a prefix: no compiler writes one, and it is not passed over.
//#ExpectRefusal: : _start: a syscall with a prefix
    .globl _start
    .type _start,@function
_start:
    mov $39, %eax
    .byte 0x48
    syscall
    mov $7, %edi
    mov $231, %eax
    syscall
    .size _start, . - _start
