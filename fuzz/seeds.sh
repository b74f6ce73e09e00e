#!/usr/bin/env bash
# Makes the seeds anew: tiny files of each kind, from the sources below alone.
# They are committed, so that a run needs no compiler; run this when a parser
# learns a new form. `fuzz/seeds.sh`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p seeds/{file,patched,go,rules,table}

cat >"$work/small.S" <<'SOURCE'
    .globl _start
    .type _start,@function
_start:
    .cfi_startproc
    mov $39, %eax
    syscall
    test %rax, %rax
    js 1f
    mov %eax, %edi
    call number
1:  mov $231, %eax
    xor %edi, %edi
    syscall
    .cfi_endproc
    .size _start, . - _start
    .type number,@function
number:
    .cfi_startproc
    mov %rdi, %rax
    cmp $2, %rsi
    ja 2f
    lea table(%rip), %rcx
    movslq (%rcx,%rsi,4), %rdx
    add %rcx, %rdx
    jmp *%rdx
2:  mov %rcx, %r10
    syscall
    ret
    .cfi_endproc
    .size number, . - number
    .section .rodata
table: .long 2b - table, number - table
    .asciz "/proc/sys/kernel/cap_last_cap"
    .data
    .quad 1
SOURCE
# small NAME FLAG...: a file of about two kilobytes.
small() {
    local name=$1
    shift
    gcc -nostdlib -Wl,-z,noseparate-code,--build-id=none,-z,max-page-size=4096 "$@" \
        -o "seeds/file/$name" "$work/small.S"
    strip --remove-section=.comment --remove-section=.note.gnu.property "seeds/file/$name" --keep-symbol=_start --keep-symbol=number
}
small static -static
small static-pie -static-pie
small hash -static -Wl,--no-eh-frame-hdr
small stripped -static && strip "seeds/file/stripped"
small dynamic -pie -Wl,--dynamic-linker=/x
python3 - seeds <<'PYTHON'
import struct, sys
seeds = sys.argv[1]

def write(name, data):
    with open(f"{seeds}/{name}", "wb") as file:
        file.write(data)

def read(name):
    with open(f"{seeds}/{name}", "rb") as file:
        return file.read()

whole = bytearray(read("file/static"))
whole[40:48] = bytes(8)
whole[60:64] = bytes(4)
write("file/no-sections", whole)

# Go's tables, by Go's debug/buildinfo and cmd/link/internal/ld/pcln.go; the
# go target puts them at DATA, below code of 256 bytes at CODE.
CODE, DATA = 0x401000, 0x500000
text = b"go1.27.3"
build = b"\xff Go buildinf:\x08\x02" + bytes(16) + bytes([len(text)]) + text
build += bytes(-len(build) % 16)
old = b"\xff Go buildinf:\x08\x00" + struct.pack("<QQ", DATA + 32, 0)
old += struct.pack("<QQ", DATA + 48, 8) + b"go1.16.2" + bytes(8)
settings = bytes.fromhex("3077af0c92740802 41e1c107e6d618e6")
settings += b"path\tx\nbuild\tCGO_ENABLED=0\n" + bytes.fromhex("f932433186182072 008242104116d8f2")
names = b"main.main\0runtime.rt0\0syscall.Syscall6\0"

def functab(magic, wide, with_text):
    header = 8 + 8 * (8 if with_text else 7)
    count, field = 3, 8 if wide else 4
    starts = [0, 32, 96, 256]
    entries, funcs = b"", b""
    base = (2 * count + 1) * field
    for i in range(count):
        start = starts[i] + (CODE if wide else 0)
        entries += struct.pack("<QQ" if wide else "<II", start, base + len(funcs))
        funcs += struct.pack("<Qi" if wide else "<Ii", start, [0, 10, 22][i]) + bytes(28)
    entries += struct.pack("<Q" if wide else "<I", starts[3] + (CODE if wide else 0))
    data = header + len(names)
    words = [count, 1] + ([CODE] if with_text else []) + [header, header, header, header, data]
    return struct.pack("<IHBB", magic, 0, 1, 8) + b"".join(struct.pack("<Q", w) for w in words) + names + entries + funcs

write("go/go1.20", functab(0xFFFFFFF1, False, True) + bytes(8) + build + settings)
write("go/go1.18", build + functab(0xFFFFFFF0, False, True))
write("go/go1.16", old + functab(0xFFFFFFFA, True, False))
zero = bytearray(functab(0xFFFFFFF1, False, True))
zero[24:32] = bytes(8)
zero += bytes(-len(zero) % 8)
module = struct.pack("<Q", DATA) + bytes(21 * 8) + struct.pack("<Q", CODE) + bytes(64)
write("go/module", bytes(zero) + module)

# Edits of patched files: see src/edits.rs.
write("patched/whole", bytes([0]))
for part in range(7):
    write(f"patched/byte-{part}", bytes([part, 0x00 | part, 9, 0, 0x41]))
    write(f"patched/word-{part}", bytes([part, 0x80 | part, 8, 0, 7]) + b"\xff" * 7 + b"\x7f")
    write(f"patched/bit-{part}", bytes([part, 0xF0 | part, 33, 1, 3, 0xF0 | part, 40, 1, 4]))
write("patched/cut", bytes([1, 0xD4, 0, 0x40, 0]))
write("patched/longer", bytes([2, 0xE0, 200, 0, 0]))

write("rules/redirect", b'[[rule]]\nname = "r"\naction = "redirect"\nfrom = "/a"\nto = "/b/c"\n')
write("rules/emulate", b'[profile]\nname = "p"\nsummary = "s"\n\n[[rule]]\nname = "e"\naction = "emulate"\npath = "/proc/*/x"\nvalue = "1\\n"\nmode = 0o644\nwrite = "accept"\non = ["ENOENT", "EACCES"]\n')
write("rules/probe", b'[[rule]]\nname = "p"\naction = "emulate"\npath = "/proc/sys/kernel/cap_last_cap"\nprobe = "cap_last_cap"\n')
write("rules/retry", b'[[rule]]\nname = "t"\naction = "retry"\ncall = "mount"\non = ["EINVAL"]\nwhen = [{ arg = 2, text = "tmpfs" }, { arg = 4, has_option = "nr_blocks" }]\nchange = [{ arg = 4, drop_options = "nr_blocks" }]\n')
write("rules/ignore", b'[[rule]]\nname = "i"\naction = "ignore"\ncall = "fchmod"\non = ["EPERM"]\nwhen = [{ arg = 0, is = "emulated-namespace" }, { arg = 1, equal = 3 }]\n')
write("rules/report", b'[[rule]]\nname = "o"\naction = "report"\ncall = "prctl"\non = ["EINVAL"]\nerrno = "EFAULT"\nwhen = [{ arg = 0, greater = 1 }, { arg = 1, has_bits = 2 }, { arg = 2, lacks_bits = 4 }]\n')
write("rules/subject", b'[[rule]]\nname = "s"\naction = "report"\nsubject = "procfs-root-inode"\n')
PYTHON
rm -f seeds/file/*.tmp

# Compiled rules: a table of another version is refused at its first bytes.
patcher=../target/release/procsys-patch
[ -x "$patcher" ] || { echo "fuzz/seeds.sh: $patcher is missing: make build" >&2; exit 2; }
"$patcher" compile -o seeds/table/gvisor
"$patcher" compile --redirect /run/a=/srv/b/run -o seeds/table/redirect
ls -l seeds/*
