// jrcxz reaches 127 bytes and can't be moved; with the syscall jumped to, no room is left.
//#ExpectRefusal: {again}: _start: no five bytes around it that are not jumped into and can be moved
    .globl _start
    .type _start,@function
_start:
    mov $39, %eax
again:
    syscall
    jrcxz again
    jrcxz again
    jmp again
    .size _start, . - _start
