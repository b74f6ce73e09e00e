// A loop whose head is aligned behind a jump: the number comes from before it,
// and nothing comes through the padding.
//#ExpectSites: 2
//#ExpectInPlace: 2
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    mov $39, %r9d
    mov $3, %ebx
    jmp call
    .balign 16
head:
    lea -1(%rbx), %rbx
    test %rbx, %rbx
    je done
call:
    mov %r9d, %eax
    syscall
    cmp $-4095, %rax
    jb head
done:
    mov $42, %edi
    mov $231, %eax
    syscall
    nop
    nop
    nop
    nop
    nop
    .size _start, . - _start
