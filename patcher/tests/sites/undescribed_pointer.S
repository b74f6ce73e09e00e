// A function that no table describes and of which only data has the address: it starts
// behind padding.
//#Strip
//#ExpectSites: 2
//#ExpectExit: 7
    .globl _start
    .macro filling
    .rept 40
    add $1, %r8d
    mov %r8, %r9
    lea 8(%r9,%r8,2), %r10
    .endr
    .endm
_start:
    mov $39, %edi
    call *pointer
    mov $7, %edi
    mov $231, %eax
    syscall
    filling
    ret
    .p2align 4
function:
    mov %edi, %eax
    syscall
    ret
    filling
    ret
    .data
pointer:
    .quad function
