// What is moved may say where something is from where it is itself.
//#ExpectSites: 2
//#ExpectExit: 42
//#ExpectOutput: moved
    .globl _start
    .type _start,@function
_start:
    mov $1, %eax
    mov $1, %edi
    mov $6, %edx
    lea text(%rip), %rsi
    syscall
    mov status(%rip), %edi
    mov $231, %eax
    syscall
    .size _start, . - _start
    .section .rodata
text: .ascii "moved\n"
    .balign 4
status: .long 42
