// Thousands of functions that the symbol table lays into each other: to decode
// each to its end would take the square of the file's size.
//#ExpectRefusal: more code to look at before than a file of this size should need
    .altmacro
    .macro one n
    .type f\n, @function
f\n:
    syscall
    .size f\n, end - f\n
    .endm
    .globl _start
_start:
    .set i, 0
    .rept 3000
    one %i
    .set i, i + 1
    .endr
end:
    ret
