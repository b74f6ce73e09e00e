// Bytes inside an instruction that no table describes read as a jump to the
// syscall of a return from a signal handler, as in klibc's lksh; behind it
// another function starts.
//#Strip
//#ExpectSites: 6
//#ExpectSignalReturns: 1
//#ExpectExit: 7
    .macro filling
    .rept 30
    add $1, %ebx
    mov %rbx, %rcx
    lea 8(%rcx,%rbx,2), %rdx
    .endr
    .endm
    .globl _start
_start:
    filling
    xor %ecx, %ecx
    call behind
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
    filling
    ret
handler:
    movl $7, seen(%rip)
    mov $39, %eax
    syscall
    ret
restorer:
    mov $15, %eax
returns:
    syscall
behind:
    mov %rsi, %r10
1:  test %rcx, %rcx
    je 2f
    inc %rdi
    dec %rcx
    jmp 1b
2:  .rept 8
    add $1, %ebx
    mov %rbx, %rcx
    lea 8(%rcx,%rbx,2), %rdx
    .endr
    // lea of a byte's distance from %r9; its third byte alone is jno.
    .byte 0x41, 0x8d, 0x71, returns - . - 1
    filling
    ret
    .data
action:
    .quad handler
    .quad 0x04000000
    .quad restorer
    .quad 0
seen:
    .long 0
