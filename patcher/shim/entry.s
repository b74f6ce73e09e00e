# The slow path's way in and out (AT&T syntax; included by main.rs).
#
# Register contract. A trampoline jumps to procsys_slow with
#   r11  the address of its descriptor (layout.rs: Descriptor)
#   rax  the kernel's answer (KIND_AFTER) or the call's number (KIND_BEFORE)
#   rcx  free: the kernel overwrites rcx and r11 at every system call
# and every other register, the flags, the vector registers and the whole stack
# as the program had them at its `syscall`. They are all given back, rax as the
# hook decides, at the address that the hook chose. Nothing is ever written to
# the program's stack: a goroutine may have a few bytes left of it, a C leaf
# function owns 128 below rsp.
#
# Where flags are not saved yet, or are back, no instruction here changes them: mov,
# lea, bswap, jrcxz, jmp and syscall only. The search for a slot needs cmpxchg, which
# does, so that it keeps them in cl and ch (lahf, seto) meanwhile.
#
# Signals are blocked while rsp points into a slot. A handler would run on the
# slot's small stack, or leave it by longjmp and never give the slot back.

# A lock is 8 bytes: 0, or the stack pointer of who has taken the slot, until the hook
# has named the thread in it (slots.rs).
    .set SLOTS, 64
    .set LOCK_SIZE, 8
    .set SLOT_SIZE, 0x8000
    .set STACK_TOP, 0x4000

    .set S_LOCK, 0x00       # the address of the slot's lock, written by the hook
    .set S_DESC, 0x08
    .set S_RAX, 0x10
    .set S_RBX, 0x18
    .set S_RDX, 0x20
    .set S_RSI, 0x28
    .set S_RDI, 0x30
    .set S_RSP, 0x38
    .set S_R8, 0x40
    .set S_R9, 0x48
    .set S_R10, 0x50
    .set S_MASK, 0x58       # the signal mask that was
    .set S_NEXT, 0x60       # procsys_finish or procsys_replace
    .set S_TARGET, 0x68     # where the program goes on
    .set S_NR, 0x70         # the replaced call
    .set S_ARGS, 0x78
    .set S_STAGE, 0xa8      # 0, or 1 when a replaced call has failed; the hook makes it 2
                            # where one call takes the place of another's first step
    .set S_STATE, 0xb0      # what the lock becomes on the way out
    .set S_GOES_ON, 0xb8    # the save area to go on with: this slot or a parked one
    .set S_TOUCHED, 0xf8    # nobody's: written by who is about to take the slot
    .set S_XMM, 0x100

    .set SYS_rt_sigprocmask, 14
    .set SIG_SETMASK, 2

    .section .text.procsys_entry,"ax",@progbits
    .globl procsys_slow
    .type procsys_slow,@function
procsys_slow:
    .cfi_startproc simple
    .cfi_def_cfa rsp, 0
    .cfi_undefined rip
# From here on cl is the overflow flag and ch the others, rcx without them the
# descriptor's address (of 48 bits), its bytes turned round, and r11 the program's rax.
    bswap %r11
    mov %r11, %rcx
    mov %rax, %r11
    lahf
    mov %ah, %ch
    seto %cl
    test %rsp, %rsp
    jz procsys_no_stack
# Take the first free slot. Unrolled, because a loop would need a register more.
# The lock becomes the stack pointer: it stands for the thread until the hook has named
# it, since a signal may still come, and its handler may never come back. The slot's
# own page is written to before: a fault there, as at the first write after a fork,
# is where threads wait and signals come.
procsys_search:
    .set i, 0
    .rept SLOTS
    cmpq $0, procsys_locks + i * LOCK_SIZE(%rip)
    jne 1f
    xor %eax, %eax
    mov %eax, procsys_slots + i * SLOT_SIZE + S_TOUCHED(%rip)
    lock cmpxchg %rsp, procsys_locks + i * LOCK_SIZE(%rip)
    jne 1f
    lea procsys_slots + i * SLOT_SIZE(%rip), %rax
    jmp procsys_enter
1:
    .set i, i + 1
    .endr
    pause
    jmp procsys_search

# A stack pointer of 0 would read as a free slot. It is -1 until one is taken.
procsys_no_stack:
    or $2, %cl
    not %rsp
    jmp procsys_search

procsys_enter:
    test $2, %cl
    jz 1f
    and $1, %cl
    not %rsp
1:  mov %r11, S_RAX(%rax)
    mov %rbx, S_RBX(%rax)
    mov %rdx, S_RDX(%rax)
    mov %rsi, S_RSI(%rax)
    mov %rdi, S_RDI(%rax)
    mov %rsp, S_RSP(%rax)
    mov %r8, S_R8(%rax)
    mov %r9, S_R9(%rax)
    mov %r10, S_R10(%rax)
    movl $0, S_STAGE(%rax)
    mov %rax, %rbx
# The flags as they were: add sets the overflow flag if cl is 1.
    mov %cl, %al
    add $0x7f, %al
    mov %ch, %ah
    sahf
    mov $0, %cx
    bswap %rcx
    mov %rcx, S_DESC(%rbx)
procsys_decide:
    mov $SYS_rt_sigprocmask, %eax
    mov $SIG_SETMASK, %edi
    lea procsys_all_signals(%rip), %rsi
    lea S_MASK(%rbx), %rdx
    mov $8, %r10d
    syscall
    lea STACK_TOP(%rbx), %rsp
    pushfq
    pushq $2                # no flag set: no AC, which would fault in the hook, no DF
    popfq
    pushq $0                # keeps the stack aligned to 16 at the call
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movups %xmm\n, S_XMM + 16 * \n(%rbx)
    .endr
    mov %rbx, %rdi
    call procsys_hook
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movups S_XMM + 16 * \n(%rbx), %xmm\n
    .endr
    popq %rcx
    popfq
    mov S_RSP(%rbx), %rsp
    mov S_LOCK(%rbx), %rcx
    mov S_STATE(%rbx), %rax
    mov S_GOES_ON(%rbx), %rbx
    mov %rax, (%rcx)        # the slot may be somebody else's from here on
    mov $SYS_rt_sigprocmask, %eax
    mov $SIG_SETMASK, %edi
    lea S_MASK(%rbx), %rsi
    mov $0, %edx
    mov $8, %r10d
    syscall
    jmp *S_NEXT(%rbx)

    .globl procsys_replace
    .type procsys_replace,@function
procsys_replace:
    mov S_ARGS + 0(%rbx), %rdi
    mov S_ARGS + 8(%rbx), %rsi
    mov S_ARGS + 16(%rbx), %rdx
    mov S_ARGS + 24(%rbx), %r10
    mov S_ARGS + 32(%rbx), %r8
    mov S_ARGS + 40(%rbx), %r9
    mov S_NR(%rbx), %rax
    syscall
    mov %rax, S_RAX(%rbx)
# After a step there may be another. Else a failure of the replaced call is looked at
# like any other.
    mov S_STAGE(%rbx), %ecx
    jrcxz 1f
    jmp procsys_decide
1:  mov %rax, %rcx
    bswap %rcx
    movzbl %cl, %ecx
    jrcxz procsys_finish
    movl $1, S_STAGE(%rbx)
    jmp procsys_decide

    .size procsys_replace, . - procsys_replace
    .globl procsys_finish
procsys_finish:
    mov %rbx, %rcx
    mov S_TARGET(%rcx), %r11
    mov S_RAX(%rcx), %rax
    mov S_RBX(%rcx), %rbx
    mov S_RDX(%rcx), %rdx
    mov S_RSI(%rcx), %rsi
    mov S_RDI(%rcx), %rdi
    mov S_R8(%rcx), %r8
    mov S_R9(%rcx), %r9
    mov S_R10(%rcx), %r10
    mov S_LOCK(%rcx), %rcx
    movq $0, (%rcx)
    jmp *%r11
    .cfi_endproc
    .size procsys_slow, . - procsys_slow

# A child made by fork has a copy of the slots, with those taken that other
# threads of its parent held at that moment: they are free in the child. One on
# its way out (2) may be the caller's own, below a signal handler that forks.
# r11 is where to go on; rcx is free; rax is 0, as the child's answer is, and is
# so again at the end; flags and all else stay.
    .globl procsys_forked
    .type procsys_forked,@function
procsys_forked:
    .cfi_startproc simple
    .cfi_def_cfa rsp, 0
    .cfi_undefined rip
    mov $SLOTS - 1, %eax
1:  lea procsys_locks(%rip), %rcx
    mov (%rcx,%rax,LOCK_SIZE), %rcx
    jrcxz 3f
    mov %ecx, %ecx
    lea -2(%rcx), %rcx
    jrcxz 3f
    lea procsys_locks(%rip), %rcx
    movq $0, (%rcx,%rax,LOCK_SIZE)
3:  mov %rax, %rcx
    jrcxz 4f
    lea -1(%rax), %rax
    jmp 1b
4:  jmp *%r11
    .cfi_endproc
    .size procsys_forked, . - procsys_forked

    .section .rodata.procsys_entry,"a",@progbits
    .balign 8
procsys_all_signals:
    .quad -1

    .section .header,"a",@progbits
    .globl procsys_header
procsys_header:
    .ascii "procsysX"
    .long procsys_slow - procsys_header
    .long procsys_forked - procsys_header
    .long 0                 # offset of the rule table
    .long 0                 # length of the rule table
    .long procsys_start - procsys_header
    .long 0                 # distance to the program's entry point
    .quad 0                 # address of the function that completes an execve
    .balign 16
    .text
