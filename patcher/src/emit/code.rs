//! A small assembler: bytes with labels. Only instructions that leave the flags
//! and every register but rcx and r11 as they are (the register contract).

/// A place in the code, known when it is [bound](Code::bind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

#[derive(Debug, Clone, Copy)]
enum Reference {
    /// A signed byte, relative to the next instruction.
    Short,
    /// 32 bits, relative to the next instruction.
    Near,
    /// 32 bits, relative to this address.
    From(u64),
}

/// Code at an address.
pub(super) struct Code {
    /// The bytes so far.
    pub(super) bytes: Vec<u8>,
    /// Where the stack is as it is at another address, of the program: here, there.
    pub(super) marks: Vec<(u64, u64)>,
    base: u64,
    labels: Vec<Option<u64>>,
    references: Vec<(usize, Label, Reference)>,
}

impl Code {
    pub(super) fn new(base: u64) -> Self {
        let (labels, references) = (Vec::new(), Vec::new());
        Self { bytes: Vec::new(), marks: Vec::new(), base, labels, references }
    }

    /// Says that the stack is at an address as it is at one of the program.
    pub(super) fn mark(&mut self, here: u64, there: u64) {
        self.marks.push((here, there));
    }

    /// The address of the next byte.
    pub(super) fn here(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// A label for an address that is known.
    pub(super) fn label_at(&mut self, address: u64) -> Label {
        self.labels.push(Some(address));
        Label(self.labels.len() - 1)
    }

    /// Says that the label is here.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.here());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn align(&mut self, to: u64) {
        while !self.here().is_multiple_of(to) {
            self.bytes.push(0xcc);
        }
    }

    fn reference(&mut self, label: Label, kind: Reference) {
        self.references.push((self.bytes.len(), label, kind));
        let width = if matches!(kind, Reference::Short) { 1 } else { 4 };
        self.bytes.resize(self.bytes.len() + width, 0);
    }

    /// `jmp label`
    pub(super) fn jmp(&mut self, label: Label) {
        self.raw(&[0xe9]);
        self.reference(label, Reference::Near);
    }

    /// `jmp address`
    pub(super) fn jmp_to(&mut self, address: u64) {
        let label = self.label_at(address);
        self.jmp(label);
    }

    /// `jCC address`, by the low half of its opcode.
    pub(super) fn jcc_to(&mut self, condition: u8, address: u64) {
        let label = self.label_at(address);
        self.raw(&[0x0f, 0x80 | condition]);
        self.reference(label, Reference::Near);
    }

    /// `call address`
    pub(super) fn call_to(&mut self, address: u64) {
        let label = self.label_at(address);
        self.raw(&[0xe8]);
        self.reference(label, Reference::Near);
    }

    /// `jrcxz label`, near by.
    pub(super) fn jrcxz(&mut self, label: Label) {
        self.raw(&[0xe3]);
        self.reference(label, Reference::Short);
    }

    /// `lea label(%rip), %r11`
    pub(super) fn lea_r11(&mut self, label: Label) {
        self.raw(&[0x4c, 0x8d, 0x1d]);
        self.reference(label, Reference::Near);
    }

    /// `lea -value(%rcx), %ecx`: subtracts without flags.
    pub(super) fn lea_ecx_minus(&mut self, value: u32) {
        self.raw(&[0x8d, 0x89]);
        self.raw(&value.wrapping_neg().to_le_bytes());
    }

    /// `movzbl label(%rip), %ecx`
    pub(super) fn movzx_ecx_at(&mut self, label: Label) {
        self.raw(&[0x0f, 0xb6, 0x0d]);
        self.reference(label, Reference::Near);
    }

    /// `movzwl offset(register of argument), %ecx`
    pub(super) fn movzx_ecx_argument(&mut self, argument: u8, offset: u8) {
        // rdi rsi rdx r10 r8 r9: REX.B and the low three bits.
        let (extended, register) =
            [(false, 7), (false, 6), (false, 2), (true, 2), (true, 0), (true, 1)]
                [argument as usize];
        if extended {
            self.raw(&[0x41]);
        }
        self.raw(&[0x0f, 0xb7, 0x48 | register, offset]);
    }

    /// `mov %ARGUMENT, %rcx`, of a system call's argument.
    pub(super) fn mov_rcx_argument(&mut self, argument: u8) {
        // rdi rsi rdx r10 r8 r9: REX.R and the register's three bits.
        let (rex, register) =
            [(0x48, 7), (0x48, 6), (0x48, 2), (0x4c, 2), (0x4c, 0), (0x4c, 1)][argument as usize];
        self.raw(&[rex, 0x89, 0xc1 | register << 3]);
    }

    /// `syscall`
    pub(super) fn syscall(&mut self) {
        self.raw(&[0x0f, 0x05]);
    }

    /// 32 bits: the distance from `origin` to the label.
    pub(super) fn distance(&mut self, label: Label, origin: u64) {
        self.reference(label, Reference::From(origin));
    }

    /// Fills in the references.
    ///
    /// # Errors
    /// When a label is out of reach, with its address.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, String> {
        for &(at, label, kind) in &self.references {
            let to = self.labels[label.0].ok_or("a label without a place")?;
            let (origin, width) = match kind {
                Reference::Short => (self.base + at as u64 + 1, 1),
                Reference::Near => (self.base + at as u64 + 4, 4),
                Reference::From(origin) => (origin, 4),
            };
            let distance = to.wrapping_sub(origin) as i64;
            let fits = if width == 1 {
                i8::try_from(distance).is_ok()
            } else {
                i32::try_from(distance).is_ok()
            };
            if !fits {
                return Err(format!("{to:#x} is out of reach of {origin:#x}"));
            }
            self.bytes[at..at + width].copy_from_slice(&distance.to_le_bytes()[..width]);
        }
        Ok(self.bytes)
    }
}
