// A function of three bytes has no room for a jump: refused by address, name and why.
//#ExpectRefusal: {raw}: raw: no five bytes around it that are not jumped into and can be moved
    .globl _start
    .type _start,@function
_start:
    mov $39, %eax
    call raw
    mov $231, %eax
    mov $42, %edi
    syscall
    .size _start, . - _start
    .type raw,@function
raw:
    syscall
    ret
    .size raw, . - raw
