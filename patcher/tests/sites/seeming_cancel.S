// musl's cancellation point, and bytes inside an instruction of another function that
// no table describes, which read as a jump into it.
//#Strip
//#ExpectSites: 2
//#ExpectCode: cmpl   $0x0,(%r11)
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
    lea flag(%rip), %rdi
    mov $39, %esi
    sub $16, %rsp
    call cancellable
    mov $7, %edi
    mov $231, %eax
    syscall
    filling
    ret
cancellable:
    mov (%rdi), %eax
    test %eax, %eax
    jne away
    mov %rdi, %r11
    mov %rsi, %rax
    mov %rdx, %rdi
    mov %rcx, %rsi
    mov %r8, %rdx
inside:
    mov %r9, %r10
    mov 8(%rsp), %r8
    mov 16(%rsp), %r9
    mov %r11, 8(%rsp)
    syscall
    ret
away:
    mov $-125, %rax
    ret
behind:
    mov %rsi, %r10
1:  test %rcx, %rcx
    je 2f
    inc %rdi
    dec %rcx
    jmp 1b
2:  .rept 4
    add $1, %ebx
    mov %rbx, %rcx
    lea 8(%rcx,%rbx,2), %rdx
    .endr
    // lea of a byte's distance from %r9; its third byte alone is jno.
    .byte 0x41, 0x8d, 0x71, inside - . - 1
    filling
    ret
    .data
flag:
    .long 0
