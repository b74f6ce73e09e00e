// The syscall is jumped to, and a conditional branch must be moved to make room.
//#ExpectSites: 3
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    mov $2, %ebx
    mov $39, %eax
again:
    syscall
    test %eax, %eax
    js wrong
    mov $39, %eax
    dec %ebx
    jnz again
    mov $231, %eax
    mov $42, %edi
    syscall
wrong:
    mov $231, %eax
    mov $1, %edi
    syscall
    .size _start, . - _start
