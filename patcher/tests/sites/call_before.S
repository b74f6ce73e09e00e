// A call right before: it can't be moved, its return address is the syscall.
//#ExpectSites: 2
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    call number
    syscall
    mov %rax, %rbx
    xor %edi, %edi
    test %rbx, %rbx
    jle 1f
    mov $42, %edi
1:  mov $231, %eax
    syscall
    .size _start, . - _start
    .type number,@function
number:
    mov $39, %eax
    ret
    .size number, . - number
