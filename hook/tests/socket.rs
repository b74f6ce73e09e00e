//! Redirects of sockets: which addresses are replaced, and what is shown of them.
#![cfg(feature = "whole")]

mod fake;

use fake::Program;
use procsys_hook::{Before, Call};

const CONNECT: usize = 42;
const ACCEPT: usize = 43;
const SENDMSG: usize = 46;
const RECVMSG: usize = 47;
const ENAMETOOLONG: isize = -36;

/// `struct sockaddr_un`, with room for the NUL that the kernel adds.
type Address = [u8; 111];
/// `struct msghdr`, in words.
type Head = [usize; 7];

fn program() -> Program {
    let to = format!("/t{}", "o".repeat(90));
    let p = Program::only(&format!(
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/run/sysbox\"\nto = \"/other\"\n\
         [[rule]]\nname = \"b\"\naction = \"redirect\"\nfrom = \"/etc\"\nto = \"{to}\"\n"
    ));
    for path in ["/run/sysbox", "/etc", "/other/run"] {
        p.kernel.tree.borrow_mut().make_directory(path, 0o755);
    }
    p
}

/// The address of a path, and its length with `more` bytes behind the path.
fn address(path: &str, more: usize) -> (Address, usize) {
    let mut address = [0; 111];
    address[0] = 1;
    address[2..2 + path.len()].copy_from_slice(path.as_bytes());
    (address, 2 + path.len() + more)
}

fn path_of(address: &Address) -> &str {
    let path = address[2..].split(|&b| b == 0).next().expect("there is a first part");
    std::str::from_utf8(path).expect("UTF-8")
}

/// What connect gets instead: path and length; `None` when it is passed on.
fn connect(p: &Program, address: &Address, len: usize) -> Option<(String, usize)> {
    let args = [3, address.as_ptr() as usize, len, 4, 5, 6];
    match p.before(&Call { nr: CONNECT, args }) {
        Before::Pass => None,
        Before::Replace(call) => {
            assert_eq!((call.nr, call.args[0], &call.args[3..]), (CONNECT, 3, &args[3..]));
            // SAFETY: the hook's address lies in the program's scratch.
            let new = unsafe { &*(call.args[1] as *const Address) };
            assert_eq!(new[..2], [1, 0]);
            Some((path_of(new).to_owned(), call.args[2]))
        }
        Before::Answer(answer) => panic!("answered with {answer}"),
    }
}

#[test]
fn a_path_below_the_prefix_is_replaced() {
    let p = program();
    // With its NUL, without it, and with the whole structure.
    for more in [1, 0, 80] {
        let (given, len) = address("/run/sysbox/fs.sock", more);
        let expected = ("/other/fs.sock".to_owned(), 2 + 14 + 1);
        assert_eq!(connect(&p, &given, len), Some(expected), "{more}");
    }
    let (given, len) = address("/run/../run/sysbox", 1);
    assert_eq!(connect(&p, &given, len), Some(("/other".to_owned(), 9)));
}

#[test]
fn other_addresses_are_left_alone() {
    let p = program();
    let (other, len) = address("/run/sysboxes/fs.sock", 1);
    assert_eq!(connect(&p, &other, len), None);
    let (below, len) = address("/run/sysbox/fs.sock", 1);
    // Cut short, too long for any, of another family, abstract, unnamed.
    for len in [0, 1, 2, 111, usize::MAX] {
        assert_eq!(connect(&p, &below, len), None, "{len}");
    }
    let mut internet = below;
    internet[0] = 2;
    assert_eq!(connect(&p, &internet, len), None);
    let mut named = [0; 111];
    named[0] = 1;
    named[3..7].copy_from_slice(b"/etc");
    assert_eq!(connect(&p, &named, 8), None);
    let null = Call { nr: CONNECT, args: [3, 0, len, 0, 0, 0] };
    assert_eq!(p.before(&null), Before::Pass);
    let bad = Call { nr: CONNECT, args: [3, 8, len, 0, 0, 0] };
    assert_eq!(p.before(&bad), Before::Pass);
}

/// `sun_path` takes 107 bytes.
#[test]
fn a_path_that_becomes_too_long_fails() {
    let p = program();
    let longest = format!("/etc/{}", "s".repeat(107 - 92 - 1));
    let (given, len) = address(&longest, 1);
    let (new, new_len) = connect(&p, &given, len).expect("it is replaced");
    assert_eq!((new.len(), new_len), (107, 110));
    let (given, len) = address(&format!("{longest}s"), 1);
    let call = Call { nr: CONNECT, args: [3, given.as_ptr() as usize, len, 0, 0, 0] };
    assert_eq!(p.before(&call), Before::Answer(ENAMETOOLONG));
}

fn message(address: &Address, len: usize) -> Head {
    [address.as_ptr() as usize, len, 11, 12, 13, 14, 15]
}

#[test]
fn a_messages_head_is_copied_with_another_name() {
    let p = program();
    let (given, len) = address("/run/sysbox/fs.sock", 1);
    let head = message(&given, len);
    let args = [3, head.as_ptr() as usize, 0x40, 0, 0, 0];
    let Before::Replace(call) = p.before(&Call { nr: SENDMSG, args }) else {
        panic!("it is replaced");
    };
    // SAFETY: head and name lie in the program's scratch.
    let (new, name) = unsafe {
        let new = *(call.args[1] as *const Head);
        (new, &*(new[0] as *const Address))
    };
    assert_eq!((path_of(name), new[1] as u32), ("/other/fs.sock", 17));
    assert_eq!(new[2..], head[2..], "the rest of the head changed");
    assert_eq!(call.args[2..], args[2..]);
    assert_eq!(path_of(&given), "/run/sysbox/fs.sock", "the program's own address changed");
    let unnamed = message(&given, 0);
    let args = [3, unnamed.as_ptr() as usize, 0, 0, 0, 0];
    assert_eq!(p.before(&Call { nr: SENDMSG, args }), Before::Pass);
}

/// An address that came with an answer is shown as the program knows it, where it is
/// whole and does not become longer.
#[test]
fn what_came_is_shown_with_the_known_prefix() {
    let p = program();
    let long = format!("/t{}/client", "o".repeat(90));
    for (came, shown) in [
        (long.as_str(), "/etc/client"),
        ("/other/client", "/other/client"), // Its own name is longer.
        ("/srv/client", "/srv/client"),
    ] {
        let (mut told, mut len) = address(came, 1);
        let len_at = (&raw mut len).cast::<u32>();
        let args = [3, told.as_mut_ptr() as usize, len_at as usize, 0, 0, 0];
        assert_eq!(p.after(&Call { nr: ACCEPT, args }, 7), 7);
        assert_eq!((path_of(&told), len), (shown, 2 + shown.len() + 1), "accept");
        let (mut told, len) = address(came, 1);
        let mut head = message(&told, len);
        head[0] = told.as_mut_ptr() as usize;
        let args = [3, head.as_mut_ptr() as usize, 0, 0, 0, 0];
        assert_eq!(p.after(&Call { nr: RECVMSG, args }, 1), 1);
        assert_eq!((path_of(&told), head[1]), (shown, 2 + shown.len() + 1), "recvmsg");
    }
}
