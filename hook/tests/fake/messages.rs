//! sendmmsg, as Linux makes it (net/socket.c): one message after the other.

use super::kernel::FakeKernel;
use super::tree::Found;
use super::{AT_FDCWD, EFAULT, EINVAL, ENOENT};

const ENOTCONN: isize = -107;
/// Lengths of `struct msghdr`, `struct mmsghdr`, `struct sockaddr_storage`, in bytes.
const MSGHDR: usize = 56;
const MMSGHDR: usize = 64;
const LONGEST: usize = 128;

fn word(bytes: &[u8], at: usize) -> usize {
    usize::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl FakeKernel {
    pub(crate) fn sendmmsg(&self, row: usize, count: usize) -> Result<isize, isize> {
        let count = (count as u32).min(1024) as usize;
        for n in 0..count {
            let message = row + n * MMSGHDR;
            let sent = self
                .send(message)
                .and_then(|len| self.memory.write(message + MSGHDR, &(len as u32).to_le_bytes()));
            if let Err(errno) = sent {
                return if n > 0 { Ok(n as isize) } else { Err(errno) };
            }
        }
        Ok(count as isize)
    }

    /// Sends the message at this address to the file of its path. Its length.
    fn send(&self, message: usize) -> Result<usize, isize> {
        let mut head = [0; MSGHDR];
        self.memory.read(message, &mut head)?;
        let (name, len) = (word(&head, 0), word(&head, 8) as u32 as usize);
        let (parts, count) = (word(&head, 16), word(&head, 24));
        let mut address = vec![0; if name == 0 { 0 } else { len.min(LONGEST) }];
        if !address.is_empty() {
            self.memory.read(name, &mut address)?;
        }
        let mut bytes = Vec::new();
        for part in 0..count {
            let mut part_of = [0; 16];
            self.memory.read(parts + part * 16, &mut part_of)?;
            let mut piece = vec![0; word(&part_of, 8)];
            self.memory.read(word(&part_of, 0), &mut piece).map_err(|_| EFAULT)?;
            bytes.extend(piece);
        }
        let path = match &address[..] {
            [] => return Err(ENOTCONN),
            [1, 0, path @ ..] if path.first().is_some_and(|&b| b != 0) => path,
            _ => return Err(EINVAL),
        };
        let path = path.split(|&b| b == 0).next().expect("there is a first part");
        match self.walk(AT_FDCWD, path, true)? {
            Found::Here(place) => self.sent.borrow_mut().push((place.node, bytes.clone())),
            Found::Missing(..) => return Err(ENOENT),
        }
        Ok(bytes.len())
    }
}
