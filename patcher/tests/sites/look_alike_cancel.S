// As musl's cancellation point, but the flag is four bytes on: a second look at it, as
// musl has it, would see something else.
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .type _start,@function
_start:
    lea flag(%rip), %rdi
    mov $39, %esi
    sub $16, %rsp
    call cancellable
    mov $7, %edi
    test %rax, %rax
    jg 1f
    mov $1, %edi
1:  mov $231, %eax
    syscall
    .size _start, . - _start
    .type cancellable,@function
cancellable:
    mov 4(%rdi), %eax
    test %eax, %eax
    jne away
    mov %rdi, %r11
    mov %rsi, %rax
    mov %rdx, %rdi
    mov %rcx, %rsi
    mov %r8, %rdx
    mov %r9, %r10
    mov 8(%rsp), %r8
    mov 16(%rsp), %r9
    mov %r11, 8(%rsp)
    syscall
    ret
away:
    mov $-125, %rax
    ret
    .size cancellable, . - cancellable
    .data
flag:
    .long 1, 0
