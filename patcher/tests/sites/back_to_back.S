// Two syscalls side by side: each has its detour, and neither covers the other.
// The second one's number is the first one's answer (0 of close_range, so read
// of zero bytes from descriptor 0).
//#ExpectSites: 4
//#ExpectExit: 42
    .globl _start
    .type _start,@function
_start:
    mov $436, %eax
    mov $1000, %edi
    mov $1000, %esi
    xor %edx, %edx
    syscall
    syscall
    cmp $-9, %rax
    jne wrong
    mov $231, %eax
    mov $42, %edi
    syscall
wrong:
    mov $231, %eax
    mov $1, %edi
    syscall
    .size _start, . - _start
