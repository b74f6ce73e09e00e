//! Small files of the shape of k3s's: programs that look like Go's, an archive of them,
//! and a program that carries it.

use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_patcher::emit::note;
use procsys_patcher::k3s::zst;

use super::{BARE, HELLO, Place};

/// What Go leaves in every program: here, that its version is 1.24.
const BUILD_INFO: &str = r#"
    .section .go.buildinfo, "aw"
    .balign 16
    .ascii "\377 Go buildinf:"
    .byte 8, 2
    .zero 16
    .byte 6
    .ascii "go1.24"
    .zero 16
"#;

/// A program that Go seems to have built; it prints its name.
pub(crate) fn program(place: &Place, name: &str) -> Vec<u8> {
    let source = HELLO.replace("hello", name) + BUILD_INFO;
    let path = place.compile(name, &source, BARE);
    let bytes = std::fs::read(&path).expect("it was just built");
    std::fs::remove_file(path).expect("it was just built");
    bytes
}

/// What an archive is to hold: files under `bin/`, and what to spoil.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) links: Vec<(&'static str, &'static str)>,
    /// Files that are not listed as they are.
    pub(crate) listed_wrong: Option<&'static str>,
    /// Links that are not listed as they are.
    pub(crate) linked_wrong: bool,
    /// Without the lists.
    pub(crate) unlisted: bool,
    /// With the list of digests once more at the end.
    pub(crate) listed_twice: bool,
    /// A file whose size stands in a pax record, too.
    pub(crate) recorded: Option<&'static str>,
}

impl Parts {
    /// Two Go programs, one of C, a script, a link.
    pub(crate) fn of_k3s(place: &Place) -> Self {
        let other = place.compile("other", HELLO, BARE);
        Self {
            files: vec![
                ("k3s", program(place, "k3s")),
                ("runc", program(place, "runc")),
                ("aux/mount", std::fs::read(other).expect("it was just built")),
                ("check-config", b"#!/bin/sh\necho checked\n".to_vec()),
            ],
            links: vec![("kubelet", "k3s"), ("containerd", "k3s")],
            ..Self::default()
        }
    }

    /// The list of digests, as k3s's build writes it.
    pub(crate) fn sums(&self) -> String {
        let line = |(name, bytes): &(&str, Vec<u8>)| {
            let mut bytes = bytes.clone();
            if self.listed_wrong == Some(*name) {
                bytes.push(0);
            }
            format!("{}  {name}\n", note::hex(&note::digest(&bytes)))
        };
        self.files.iter().map(line).collect()
    }

    /// The archive, before it is compressed: the lists first, as a folder may be read.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |name: &str, bytes: &[u8], mode: u32| {
            if self.recorded == Some(name) {
                let size = bytes.len().to_string();
                tar.append_pax_extensions([("size", size.as_bytes())]).expect("memory suffices");
            }
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append_data(&mut header, format!("./bin/{name}"), bytes).expect("memory suffices");
        };
        if !self.unlisted {
            add(".sha256sums", self.sums().as_bytes(), 0o644);
            let links = self.links.iter().map(|(name, to)| match self.linked_wrong {
                false => format!("{name} {to}\n"),
                true => format!("{name} {to}-elsewhere\n"),
            });
            add(".links", links.collect::<String>().as_bytes(), 0o644);
        }
        self.files.iter().for_each(|(name, bytes)| add(name, bytes, 0o755));
        for (name, to) in &self.links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, format!("./bin/{name}"), to).expect("memory suffices");
        }
        if self.listed_twice {
            let mut header = tar::Header::new_gnu();
            header.set_size(self.sums().len() as u64);
            let sums = self.sums();
            let added = tar.append_data(&mut header, "bin/.sha256sums", sums.as_bytes());
            added.expect("memory suffices");
        }
        tar.into_inner().expect("memory suffices")
    }
}

/// Compresses as the patcher does.
pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let source =
        |range: std::ops::Range<u64>| Ok(bytes[range.start as usize..range.end as usize].to_vec());
    zst::compress(bytes.len() as u64, source, &mut packed, |_| ()).expect("memory suffices");
    packed
}

/// How the outer program is linked, and what it holds beside the archive.
pub(crate) struct Outer {
    pub(crate) flags: &'static [&'static str],
    pub(crate) suffix: &'static str,
    pub(crate) is_embedded: bool,
    pub(crate) more: &'static str,
}

/// As k3s's are built.
pub(crate) const STATIC: Outer =
    Outer { flags: BARE, suffix: ".tar.zst", is_embedded: true, more: "" };

/// Builds a program that carries an archive, named after its sha256, in an entry as
/// go:embed makes it, behind one of a hidden file. It prints the entry's name and the
/// first four bytes of its data.
pub(crate) fn outer(place: &Place, name: &str, archive: &[u8], how: &Outer) -> PathBuf {
    let hash = note::hex(&note::digest(archive));
    let file = place.write(&format!("{name}.data"), archive);
    let digest: Vec<_> =
        note::digest(archive)[..16].iter().map(|byte| format!("{byte:#x}")).collect();
    // Without an entry, what the program prints is never looked at.
    let entry = match how.is_embedded {
        true => format!(
            ".quad hidden, 12, 0, 0, 0, 0\nentry: .quad name, name_end - name, data, data_end - data\n.byte {}",
            digest.join(", ")
        ),
        false => "entry: .zero 32".into(),
    };
    let (suffix, more, shown) = (how.suffix, how.more, file.display());
    let source = format!(
        r#"
    .globl _start
    .type _start,@function
_start:
    mov $1, %eax
    mov $1, %edi
    mov entry(%rip), %rsi
    mov 8+entry(%rip), %rdx
    syscall
    mov $1, %eax
    mov $1, %edi
    mov 16+entry(%rip), %rsi
    mov $4, %edx
    syscall
    mov $231, %eax
    xor %edi, %edi
    syscall
    .size _start, . - _start
    .section .rodata
    .ascii "before"
hidden: .ascii "embed/.empty"
name: .ascii "embed/{hash}{suffix}"
name_end: .ascii "after{more}"
    .balign 32
data: .incbin "{shown}"
data_end:
    .section .data.rel.ro, "aw"
    .balign 8
{entry}
    .data
more: .quad 1
{BUILD_INFO}"#
    );
    let built = place.compile(name, &source, how.flags);
    std::fs::remove_file(file).expect("it was written above");
    built
}

/// Runs such a program: the name and the start of the data in its entry.
pub(crate) fn said(program: &Path) -> (String, [u8; 4]) {
    let output = Command::new(program).output().expect("it is a program");
    assert!(output.status.success(), "{program:?}: {:?}", output.status);
    let (name, data) = output.stdout.split_at(output.stdout.len() - 4);
    (String::from_utf8_lossy(name).into_owned(), data.try_into().expect("four bytes"))
}

/// The files of a tar, by name.
pub(crate) fn files(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar");
    let file = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("a whole tar");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("a whole tar");
        (name, bytes)
    };
    entries.map(file).collect()
}
