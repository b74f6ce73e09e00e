// A return from a signal handler that no table describes, between filling that
// does not read as code: as in valgrind and dietlibc.
//#ExpectSites: 6
//#ExpectSignalReturns: 1
//#ExpectExit: 7
//#Strip
    .globl _start
    .type _start,@function
_start:
    .cfi_startproc
    mov $13, %eax
    mov $10, %edi
    lea action(%rip), %rsi
    xor %edx, %edx
    mov $8, %r10d
    syscall
    mov $39, %eax
    syscall
    mov %eax, %edi
    mov $10, %esi
    mov $62, %eax
    syscall
    mov seen(%rip), %edi
    mov $231, %eax
    syscall
    .cfi_endproc
    .size _start, . - _start
    .type handler,@function
handler:
    .cfi_startproc
    movl $7, seen(%rip)
    mov $39, %eax
    syscall
    ret
    .cfi_endproc
    .size handler, . - handler
    .fill 300, 2, 0x0b0f
restorer:
    mov $15, %rax
    syscall
    .fill 300, 2, 0x0b0f
    .data
action:
    .quad handler
    .quad 0x04000000
    .quad restorer
    .quad 0
seen:
    .long 0
