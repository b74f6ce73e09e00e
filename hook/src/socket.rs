//! Redirects of AF_UNIX sockets: the path in an address that the program gives is
//! replaced as any other, and an address that it is told is shown with the prefix
//! that the program knows.
//!
//! Abstract and unnamed sockets have no path and are left alone. `sun_path` takes
//! 107 bytes: where the new path is longer, the call fails with ENAMETOOLONG, which
//! is clearer than a socket somewhere else.

#[cfg(feature = "whole")]
use procsys_rules::sockets::MMSGHDR;
use procsys_rules::sockets::{AF_UNIX, Carrier, LONGEST, MSGHDR, SOCKADDR_UN, SUN_PATH, carrier};
use procsys_rules::table::{Kind, Rule, Table};
use procsys_rules::{errno, path};

use crate::kernel::{AT_FDCWD, Kernel};
use crate::memory::{self, Scratch};
#[cfg(feature = "whole")]
use crate::messages;
use crate::{Before, Call, redirect};

/// A `struct sockaddr_un` with room for the NUL that the kernel adds.
pub(crate) type Address = [u8; SOCKADDR_UN + 1];

fn redirects<'t>(table: Table<'t>) -> impl Iterator<Item = Rule<'t>> {
    table.rules().filter(|r| r.kind() == Some(Kind::Redirect))
}

/// Decides about a call that carries an address.
pub(crate) fn before(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    carrier: Carrier,
) -> Before {
    let arg = |position: u8| call.args.get(usize::from(position)).copied().unwrap_or(0);
    match carrier {
        Carrier::Given(address, len) => {
            let new = match replaced(kernel, table, scratch, arg(address), arg(len)) {
                Ok(Some(new)) => new,
                Ok(None) => return Before::Pass,
                Err(errno) => return Before::Answer(-isize::from(errno)),
            };
            let mut changed = *call;
            let to = put(scratch, 0, &new);
            set(&mut changed, address, to);
            set(&mut changed, len, length(&new));
            Before::Replace(changed)
        }
        Carrier::GivenInMessage(message) => {
            in_message(kernel, table, scratch, call, (message, arg(message)))
        }
        Carrier::Asked(buffer, len) => {
            asked(kernel, table, call, (buffer, arg(buffer)), (len, arg(len)))
        }
        #[cfg(feature = "whole")]
        Carrier::GivenInMessages(..) => messages::next(kernel, table, scratch, call, 0),
        _ => Before::Pass,
    }
}

pub(crate) fn set(call: &mut Call, position: u8, value: usize) {
    if let Some(arg) = call.args.get_mut(usize::from(position)) {
        *arg = value;
    }
}

/// Copies bytes to where replaced arguments lie. Their address.
fn put(scratch: &mut Scratch, at: usize, bytes: &[u8]) -> usize {
    let [_, room] = &mut scratch.out;
    if let Some(place) = room.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
    room.as_ptr() as usize + at
}

/// sendmsg: a copy of the message's head, with another address behind it.
fn in_message(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    (position, message): (u8, usize),
) -> Before {
    let mut head = [0; MSGHDR];
    if !memory::read(kernel, message, &mut head) {
        return Before::Pass;
    }
    let (name, len) = name_of(&head);
    let new = match replaced(kernel, table, scratch, name, len) {
        Ok(Some(new)) => new,
        Ok(None) => return Before::Pass,
        Err(errno) => return Before::Answer(-isize::from(errno)),
    };
    let mut changed = *call;
    let to = put_message(scratch, &mut head, &new);
    set(&mut changed, position, to);
    Before::Replace(changed)
}

/// Puts a message to where replaced arguments lie, with another address behind it. Its
/// own address.
pub(crate) fn put_message(scratch: &mut Scratch, head: &mut [u8], new: &Address) -> usize {
    let name = put(scratch, head.len(), new);
    let [name, len] = [name.to_le_bytes(), length(new).to_le_bytes()];
    for (to, from) in
        head.iter_mut().zip(name.iter().chain(len.first_chunk::<4>().into_iter().flatten()))
    {
        *to = *from;
    }
    put(scratch, 0, head)
}

/// Address and length of the name in the head of a message.
pub(crate) fn name_of(head: &[u8]) -> (usize, usize) {
    let name = head.first_chunk().map_or(0, |word| usize::from_le_bytes(*word));
    let len = head.get(8..).and_then(|rest| rest.first_chunk());
    (name, len.map_or(0, |word| u32::from_le_bytes(*word) as usize))
}

/// The address that takes the place of the one that the program gives.
pub(crate) fn replaced(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    address: usize,
    len: usize,
) -> Result<Option<Address>, u8> {
    if address == 0 || !(SUN_PATH + 1..=SOCKADDR_UN).contains(&len) {
        return Ok(None);
    }
    let Scratch { path, out: [out, _], .. } = scratch;
    let Some(given) = path.get_mut(..=len) else { return Ok(None) };
    let Some((last, given)) = given.split_last_mut() else { return Ok(None) };
    *last = 0;
    if !memory::read(kernel, address, given) || !is_path(given) {
        return Ok(None);
    }
    let Some(end) = path.iter().skip(SUN_PATH).position(|&b| b == 0) else { return Ok(None) };
    let Some(text) = path.get_mut(SUN_PATH..=SUN_PATH + end) else { return Ok(None) };
    if !redirects(table).any(|rule| redirect::rewrite(kernel, rule, AT_FDCWD, text, out)) {
        return Ok(None);
    }
    let new = out.split(|&b| b == 0).next().unwrap_or_default();
    of_path(&[new]).map(Some).ok_or(errno::ENAMETOOLONG)
}

/// Whether an address is that of a socket with a path.
fn is_path(address: &[u8]) -> bool {
    matches!(address, [AF_UNIX, 0, first, ..] if *first != 0)
}

/// An address with the path that these parts make. `None` when it is too long.
fn of_path(parts: &[&[u8]]) -> Option<Address> {
    let mut address = [0; SOCKADDR_UN + 1];
    if parts.iter().map(|part| part.len()).sum::<usize>() > LONGEST {
        return None;
    }
    address[0] = AF_UNIX;
    for (to, &from) in address.iter_mut().skip(SUN_PATH).zip(parts.iter().copied().flatten()) {
        *to = from;
    }
    Some(address)
}

/// The length of an address of ours, with its NUL.
fn length(address: &Address) -> usize {
    let path = address.iter().skip(SUN_PATH).position(|&b| b == 0).unwrap_or(LONGEST);
    SUN_PATH + path + 1
}

/// The address as the program knows it, if it lies below a redirect's target.
fn shown(table: Table<'_>, address: &[u8]) -> Option<Address> {
    let text = address.get(SUN_PATH..).filter(|_| is_path(address))?;
    let text = text.split(|&b| b == 0).next()?;
    redirects(table).find_map(|rule| {
        let rest = path::below(rule.value(), text)?;
        of_path(&[rule.path(), rest])
    })
}

/// getsockname, getpeername: the hook asks first. What has to be shown otherwise is
/// written as the kernel would, cut to the room that the program gave.
fn asked(
    kernel: &impl Kernel,
    table: Table<'_>,
    call: &Call,
    (buffer_at, buffer): (u8, usize),
    (len_at, len): (u8, usize),
) -> Before {
    let (mut room, mut address, mut own_len) = ([0; 4], [0; 128], 128u32.to_le_bytes());
    if !memory::read(kernel, len, &mut room) || i32::from_le_bytes(room) < 0 {
        return Before::Pass;
    }
    let mut asked = *call;
    set(&mut asked, buffer_at, address.as_mut_ptr() as usize);
    set(&mut asked, len_at, own_len.as_mut_ptr() as usize);
    if kernel.call(asked.nr, asked.args) < 0 {
        return Before::Pass;
    }
    let given = address.get(..u32::from_le_bytes(own_len) as usize).unwrap_or_default();
    let Some(new) = shown(table, given) else { return Before::Pass };
    let kept = length(&new).min(u32::from_le_bytes(room) as usize);
    let stored = memory::store(kernel, buffer, new.get(..kept).unwrap_or_default())
        .and_then(|()| memory::store(kernel, len, &(length(&new) as u32).to_le_bytes()));
    Before::Answer(stored.map_or_else(|errno| -isize::from(errno), |()| 0))
}

/// Shows the addresses that came with an answer as the program knows them. Whether any
/// was changed.
pub(crate) fn received(
    kernel: &impl Kernel,
    table: Table<'_>,
    call: &Call,
    #[cfg_attr(not(feature = "whole"), allow(unused_variables))] result: isize,
) -> bool {
    if redirects(table).next().is_none() {
        return false;
    }
    let arg = |position: u8| call.args.get(usize::from(position)).copied().unwrap_or(0);
    match carrier(call.nr) {
        Some(Carrier::Received(address, len)) if arg(address) != 0 => {
            let mut room = [0; 4];
            kernel.load(arg(len), &mut room);
            let room = u32::from_le_bytes(room) as usize;
            show(kernel, table, arg(address), room, arg(len))
        }
        Some(Carrier::ReceivedInMessage(message)) => in_received(kernel, table, arg(message)),
        #[cfg(feature = "whole")]
        Some(Carrier::ReceivedInMessages(row)) => {
            let messages = (0..result as usize).map(|n| arg(row) + n * MMSGHDR);
            in_all_received(kernel, table, messages)
        }
        _ => false,
    }
}

/// As [`received`], of all messages of recvmmsg: one socket has one kind of address.
#[cfg(feature = "whole")]
fn in_all_received(
    kernel: &impl Kernel,
    table: Table<'_>,
    messages: impl Iterator<Item = usize>,
) -> bool {
    let mut is_any = false;
    for (n, message) in messages.enumerate() {
        let mut head = [0; MSGHDR];
        kernel.load(message, &mut head);
        let (name, len) = name_of(&head);
        if n == 0 && messages::is_foreign(kernel, name, len) {
            return false;
        }
        is_any |= show(kernel, table, name, len, message + 8);
    }
    is_any
}

/// As [`received`], of the message at this address.
fn in_received(kernel: &impl Kernel, table: Table<'_>, message: usize) -> bool {
    let mut head = [0; MSGHDR];
    kernel.load(message, &mut head);
    let (name, len) = name_of(&head);
    show(kernel, table, name, len, message + 8)
}

/// Shows one address as the program knows it. Whether it was changed. How much room the
/// program gave is no longer known, so an address that was cut short, or would become
/// longer, stays as it is.
fn show(kernel: &impl Kernel, table: Table<'_>, address: usize, len: usize, len_at: usize) -> bool {
    let mut room: Address = [0; SOCKADDR_UN + 1];
    let Some(given) = room.get_mut(..len) else { return false };
    if address == 0 || !memory::read(kernel, address, given) {
        return false;
    }
    let is_whole =
        given.iter().skip(SUN_PATH).position(|&b| b == 0) == len.checked_sub(SUN_PATH + 1);
    let Some(new) = shown(table, given).filter(|new| is_whole && length(new) <= len) else {
        return false;
    };
    kernel.store(address, new.get(..length(&new)).unwrap_or_default());
    kernel.store(len_at, &(length(&new) as u32).to_le_bytes());
    true
}
