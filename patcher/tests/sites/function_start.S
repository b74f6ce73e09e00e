// A function that starts with its syscall: what follows makes room.
//#ExpectSites: 2
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    mov $39, %eax
    call raw
    test %rbx, %rbx
    jle 1f
    mov $42, %edi
1:  mov $231, %eax
    syscall
    .size _start, . - _start
    .type raw,@function
raw:
    syscall
    mov %rax, %rbx
    ret
    .size raw, . - raw
