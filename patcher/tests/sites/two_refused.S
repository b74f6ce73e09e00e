// Every site that can't be detoured is named, not only the first.
//#ExpectRefusal: 2 syscall sites can't be detoured
//#ExpectRefusal: {raw}: raw: no five bytes
//#ExpectRefusal: {other}: other: no five bytes
    .globl _start
    .type _start,@function
_start:
    mov $231, %eax
    mov $42, %edi
    syscall
    .size _start, . - _start
    .type raw,@function
raw:
    syscall
    ret
    .size raw, . - raw
    .type other,@function
other:
    syscall
    ret
    .size other, . - other
