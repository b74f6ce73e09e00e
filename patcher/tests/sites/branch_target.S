// The syscall itself is jumped to: no detour may cover it together with what is before.
//#ExpectSites: 3
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    mov $3, %ebx
    mov $39, %eax
again:
    syscall
    mov $39, %eax
    dec %ebx
    jnz again
    test %eax, %eax
    js wrong
    mov $231, %eax
    mov $42, %edi
    syscall
wrong:
    mov $231, %eax
    mov $1, %edi
    syscall
    .size _start, . - _start
