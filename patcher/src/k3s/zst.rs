//! Compressed streams: read as k3s reads them, written by all cores.
//!
//! A stream is written as one frame after another, each of as many bytes: so cores
//! share the work, and what comes out does not depend on how many there are. Every
//! reader of zstd takes frames one after the other (RFC 8878, 3).

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use rusty_zstd::{CompressOptions, DecompressOptions, Decompressor, compress_with};

/// zstd's level. The old archive stays in the file, so little depends on the size of
/// the new one: level 16, which k3s's builds use, takes ten times as long for 6 % less.
pub const LEVEL: i32 = 9;
/// The widest window that k3s reads, in bytes (`pkg/untar`, `MaxDecoderMemory`).
const WINDOW: u64 = 1 << 25;
/// Bytes of a frame's contents.
const FRAME: u64 = 16 << 20;
/// Compressed bytes that are handed to the decoder at a time.
const PIECE: usize = 128 << 10;

/// What a compressed stream holds.
pub struct Unpacked<'a> {
    rest: &'a [u8],
    decoder: Decompressor,
}

impl<'a> Unpacked<'a> {
    /// Starts to read.
    pub fn new(stream: &'a [u8]) -> Self {
        let options = DecompressOptions { window_max: WINDOW, ..DecompressOptions::default() };
        Self { rest: stream, decoder: Decompressor::with_options(options) }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece: &[u8] = &[];
        while !buffer.is_empty() {
            let is_last = self.rest.is_empty();
            let status = self.decoder.stream(piece, buffer, is_last).map_err(damaged)?;
            if status.output_produced > 0 || status.done {
                return Ok(status.output_produced);
            }
            if is_last {
                return Err(damaged(rusty_zstd::Error::UnexpectedEof));
            }
            (piece, self.rest) = self.rest.split_at(self.rest.len().min(PIECE));
        }
        Ok(0)
    }
}

fn damaged(error: rusty_zstd::Error) -> io::Error {
    let why = match error {
        rusty_zstd::Error::UnexpectedEof => "it ends too early",
        rusty_zstd::Error::WindowTooLarge => "its window is wider than k3s reads",
        rusty_zstd::Error::ChecksumMismatch => "its checksum is not that of its contents",
        _ => "its zstd stream can't be read",
    };
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Compresses the bytes 0 to `len` that `source` gives, in order, to `output`.
/// `done` is called with the bytes that are through.
///
/// # Errors
/// What the source or the output says.
pub fn compress(
    len: u64,
    source: impl Fn(Range<u64>) -> io::Result<Vec<u8>> + Sync,
    output: &mut (impl Write + Send),
    done: impl Fn(u64) + Sync,
) -> io::Result<()> {
    let next = AtomicU64::new(0);
    // The first frame that is not written yet; none when a thread has failed.
    let turn = (Mutex::new((Some(0), output)), Condvar::new());
    let work = || -> io::Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let range = index * FRAME..len.min((index + 1) * FRAME);
            if range.is_empty() {
                return Ok(());
            }
            let frame = source(range.clone()).and_then(|bytes| frame(&bytes));
            let mut state = turn.0.lock().map_err(|_| lost())?;
            while state.0.is_some_and(|now| now != index) {
                state = turn.1.wait(state).map_err(|_| lost())?;
            }
            let written = match state.0 {
                Some(_) => frame.and_then(|frame| state.1.write_all(&frame)),
                None => return Ok(()),
            };
            state.0 = written.is_ok().then_some(index + 1);
            turn.1.notify_all();
            written?;
            done(range.end);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    give_back_at_once();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| lost())?)
    })
}

/// Lets large buffers be mapped each for itself, and be given back when they are freed:
/// glibc would soon take them from a heap of each thread, and keep some 50 MB of those
/// when the threads have ended (mallopt(3), "dynamic mmap threshold").
fn give_back_at_once() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no memory is passed, and allocations that exist are left as they are.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

fn frame(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let options = CompressOptions { level: LEVEL, checksum: true };
    compress_with(bytes, options).map_err(|e| io::Error::other(e.kind()))
}

fn lost() -> io::Error {
    io::Error::other("a thread ended early")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Several frames, the last one short; the same bytes whoever wrote them.
    #[test]
    fn frames_in_order_and_read_back() {
        let bytes: Vec<u8> = (0..(FRAME * 2 + 12_345)).map(|i| (i / 7 % 251) as u8).collect();
        let source =
            |range: Range<u64>| Ok(bytes[range.start as usize..range.end as usize].to_vec());
        let (mut one, mut two) = (Vec::new(), Vec::new());
        compress(bytes.len() as u64, source, &mut one, |_| ()).expect("memory suffices");
        compress(bytes.len() as u64, source, &mut two, |_| ()).expect("memory suffices");
        assert!(one == two);
        let mut back = Vec::new();
        Unpacked::new(&one).read_to_end(&mut back).expect("it was just written");
        assert!(back == bytes);
        for cut in [1, 4, one.len() / 2, one.len() - 1] {
            let error = Unpacked::new(&one[..cut]).read_to_end(&mut Vec::new());
            assert_eq!(error.expect_err("cut off").to_string(), "it ends too early", "{cut}");
        }
    }

    #[test]
    fn a_source_that_fails_ends_it() {
        let source = |range: Range<u64>| match range.start {
            0 => Ok(vec![0; range.end as usize]),
            _ => Err(io::Error::other("no more")),
        };
        let failed = compress(FRAME * 5, source, &mut Vec::new(), |_| ());
        assert_eq!(failed.expect_err("the source failed").to_string(), "no more");
    }
}
