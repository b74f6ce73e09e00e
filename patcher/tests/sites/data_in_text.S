// Data among code that reads as a syscall: what can't be decided is refused.
//#Strip
//#ExpectRefusal: 0x401190: no function: decodings from different starts disagree
    .globl _start
_start:
    mov $231, %eax
    mov $42, %edi
    .rept 195
    .byte 0x48, 0xb8
    .endr
    .byte 0x0f, 0x05
    .skip 64, 0x90
