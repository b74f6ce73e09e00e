# The way in before the program's first instruction (AT&T syntax; in the whole
# image only).
    .set HEADER_ENTRY, 28

    .section .text.procsys_entry,"ax",@progbits
# The program's entry point, where a rule asks for something at start. The kernel
# hands over rsp (what lies there is the program's) and, in other systems, rdx;
# both and all else are given back. Below rsp nothing is in use yet: this is the
# one place that may write there.
    .globl procsys_start
    .type procsys_start,@function
procsys_start:
    .cfi_startproc simple
    .cfi_def_cfa rsp, 0
    .cfi_undefined rip
    pushfq
    .irp r, rax,rcx,rdx,rsi,rdi,r8,r9,r10,rbx
    pushq %\r
    .endr
    mov %rsp, %rbx
    and $-16, %rsp
    call procsys_started
    mov %rbx, %rsp
    .irp r, rbx,r10,r9,r8,rdi,rsi,rdx
    popq %\r
    .endr
    movslq procsys_header + HEADER_ENTRY(%rip), %r11
    lea procsys_header(%rip), %rcx
    lea (%rcx,%r11), %r11
    popq %rcx
    popq %rax
    popfq
    jmp *%r11
    .cfi_endproc
    .size procsys_start, . - procsys_start
