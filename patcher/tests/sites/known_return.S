// A return from a signal handler that a table describes: it is known by its bytes.
//#ExpectSites: 5
//#ExpectSignalReturns: 1
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
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
    .size _start, . - _start
    .type handler,@function
handler:
    movl $7, seen(%rip)
    ret
    .size handler, . - handler
    .type restorer,@function
restorer:
    mov $15, %rax
    syscall
    .size restorer, . - restorer
    .data
action:
    .quad handler
    .quad 0x04000000
    .quad restorer
    .quad 0
seen:
    .long 0
