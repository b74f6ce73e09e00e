// Thousands of byte pairs in code that no table describes: to decide each takes
// some hundred decodings.
//#ExpectRefusal: more code to look at before than a file of this size should need
//#Strip
    .globl _start
_start:
    .rept 4000
    syscall
    .endr
    ret
