//! sendmmsg and recvmmsg beside redirects: the same answers as the kernel gives to a
//! program that names the other place itself.
#![cfg(feature = "whole")]

mod fake;

use fake::tree::Body;
use fake::{EFAULT, EINVAL, ENOENT, Program};
use procsys_hook::Call;

const SENDMMSG: usize = 307;
const RECVMMSG: usize = 299;
const RT_SIGPROCMASK: usize = 14;
const ENAMETOOLONG: isize = -36;
/// The prefix that is redirected, and where to.
const FROM: &str = "/run/sysbox";
const TO: &str = "/other";

fn program() -> Program {
    let long = format!("/t{}", "o".repeat(90));
    let p = Program::only(&format!(
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"{FROM}\"\nto = \"{TO}\"\n\
         [[rule]]\nname = \"b\"\naction = \"redirect\"\nfrom = \"/etc\"\nto = \"{long}\"\n"
    ));
    {
        let mut tree = p.kernel.tree.borrow_mut();
        for path in [FROM, "/etc", TO, "/plain"] {
            tree.make_directory(path, 0o755);
        }
        for name in ["a", "b"] {
            for folder in [TO, "/plain"] {
                tree.add(&format!("{folder}/{name}"), Body::File(vec![]), 0o140_777);
            }
        }
    }
    p
}

/// One message of a test.
#[derive(Debug, Clone)]
enum To {
    Path(String),
    Nobody,
    Internet,
    BadName,
    BadBytes,
}

use To::{BadBytes, BadName, Internet, Nobody};

fn to(path: &str) -> To {
    To::Path(path.to_owned())
}

/// `struct mmsghdr`, in words.
type Message = [usize; 8];

/// A row of messages with all that they point to.
struct Row {
    messages: Vec<Message>,
    names: Vec<[u8; 110]>,
    /// Kept for as long as messages point to them.
    _parts: Vec<([usize; 2], [u8; 3])>,
}

/// Messages of one, two, three bytes, and again.
fn row(all: &[To]) -> Row {
    let mut names = vec![[0u8; 110]; all.len()];
    let mut parts = vec![([0usize; 2], [0u8; 3]); all.len()];
    let mut messages = vec![];
    for (n, (to, (name, part))) in all.iter().zip(names.iter_mut().zip(&mut parts)).enumerate() {
        let mut put = |path: &str| {
            name[0] = 1;
            name[2..2 + path.len()].copy_from_slice(path.as_bytes());
            2 + path.len() + 1
        };
        let len = match to {
            To::Path(path) => put(path),
            Nobody => 0,
            BadName | BadBytes => put("/run/sysbox/a"),
            Internet => {
                name[0] = 2;
                16
            }
        };
        let at = match to {
            Nobody => 0,
            BadName => 8,
            _ => name.as_ptr() as usize,
        };
        part.1 = [n as u8; 3];
        let bytes = if matches!(to, BadBytes) { 8 } else { part.1.as_ptr() as usize };
        part.0 = [bytes, n % 3 + 1];
        messages.push([at, len, part.0.as_ptr() as usize, 1, 0, 0, 0, usize::MAX]);
    }
    Row { messages, names, _parts: parts }
}

impl Row {
    fn at(&self) -> usize {
        self.messages.as_ptr() as usize
    }

    /// How many bytes of each message are said to have been sent.
    fn bytes(&self) -> Vec<u32> {
        self.messages.iter().map(|m| m[7] as u32).collect()
    }
}

/// What came of a call: the answer, the counts, and what was delivered.
type Came = (isize, Vec<u32>, Vec<(usize, Vec<u8>)>);

fn send(p: &Program, all: &[To], count: usize) -> Came {
    let row = row(all);
    let heads: Vec<_> = row.messages.iter().map(|m| m[..7].to_vec()).collect();
    let answer = p.call(SENDMMSG, [3, row.at(), count, 0, 0, 0]);
    let after: Vec<_> = row.messages.iter().map(|m| m[..7].to_vec()).collect();
    assert_eq!(heads, after, "the program's own messages changed");
    (answer, row.bytes(), std::mem::take(&mut p.kernel.sent.borrow_mut()))
}

/// What the kernel says to a program that names the other place itself.
fn expected(p: &Program, all: &[To], count: usize) -> Came {
    let moved: Vec<To> = all
        .iter()
        .map(|to| match to {
            To::Path(path) => To::Path(path.replace("/run/../run/sysbox", FROM).replace(FROM, TO)),
            other => other.clone(),
        })
        .collect();
    let row = row(&moved);
    let answer = p.kernel.answer(SENDMMSG, [3, row.at(), count, 0, 0, 0]);
    (answer, row.bytes(), std::mem::take(&mut p.kernel.sent.borrow_mut()))
}

fn same(all: &[To], count: usize) -> Came {
    let p = program();
    let came = send(&p, all, count);
    assert_eq!(came, expected(&p, all, count), "{all:?}");
    came
}

#[test]
fn each_message_goes_where_its_path_leads() {
    let all = [
        to("/plain/a"),
        to("/run/sysbox/a"),
        to("/run/sysbox/b"),
        to("/plain/b"),
        to("/plain/a"),
        to("/run/../run/sysbox/a"),
    ];
    let (answer, bytes, sent) = same(&all, all.len());
    assert_eq!((answer, bytes), (6, vec![1, 2, 3, 1, 2, 3]));
    let places = |p: &Program, path: &str| p.kernel.tree.borrow().place(path).node;
    let p = program();
    let went: Vec<_> = sent.iter().map(|(node, _)| *node).collect();
    let wanted = ["/plain/a", "/other/a", "/other/b", "/plain/b", "/plain/a", "/other/a"];
    assert_eq!(went, wanted.map(|path| places(&p, path)));
}

/// The count of those before the first failure; the failure, if it is the first.
#[test]
fn the_first_failure_ends_it() {
    let moved = to("/run/sysbox/a");
    for (failing, errno) in [
        (to("/run/sysbox/none"), ENOENT),
        (to("/plain/none"), ENOENT),
        (Nobody, -107),
        (Internet, EINVAL),
        (BadName, EFAULT),
        (BadBytes, EFAULT),
    ] {
        let first = [failing.clone(), moved.clone()];
        assert_eq!(same(&first, 2).0, errno, "{failing:?}");
        let second = [moved.clone(), failing.clone(), moved.clone()];
        assert_eq!(same(&second, 3).0, 1, "{failing:?}");
        let third = [to("/plain/a"), moved.clone(), failing, moved.clone()];
        let (answer, bytes, _) = same(&third, 4);
        assert_eq!((answer, bytes), (2, vec![1, 2, u32::MAX, u32::MAX]));
    }
}

#[test]
fn a_path_that_becomes_too_long() {
    let p = program();
    let long = to(&format!("/etc/{}", "s".repeat(90)));
    assert_eq!(send(&p, std::slice::from_ref(&long), 1).0, ENAMETOOLONG);
    for before in ["/run/sysbox/a", "/plain/a"] {
        let (answer, bytes, sent) = send(&p, &[to(before), long.clone(), to(before)], 3);
        assert_eq!((answer, bytes, sent.len()), (1, vec![1, u32::MAX, u32::MAX], 1), "{before}");
    }
}

/// The kernel takes 1024 at most, and none of none.
#[test]
fn many_and_none() {
    let all: Vec<To> = (0..1030).map(|n| to(["/plain/a", "/run/sysbox/b"][n / 3 % 2])).collect();
    assert_eq!(same(&all, all.len()).0, 1024);
    assert_eq!(same(&all, 1000).0, 1000);
    assert_eq!(same(&all, 0).0, 0);
    // An unsigned int.
    assert_eq!(same(&all, (7 << 32) + 5).0, 5);
}

/// Rows that end where memory does, or can't be written to.
#[test]
fn bad_rows() {
    let p = program();
    for (all, then) in [
        (vec![to("/run/sysbox/a"), to("/plain/a"), to("/run/sysbox/b")], 3),
        (vec![], EFAULT),
        (vec![to("/plain/a")], 1),
    ] {
        let row = row(&all);
        let bytes: Vec<u8> = row.messages.iter().flatten().flat_map(|w| w.to_le_bytes()).collect();
        let at = p.kernel.memory.before_a_hole(&bytes);
        for count in [all.len() + 1, all.len() + 5] {
            assert_eq!(p.call(SENDMMSG, [3, at, count, 0, 0, 0]), then);
        }
        // The last message is there but for where its bytes are counted.
        if let Some(whole) = all.len().checked_sub(1) {
            let at = p.kernel.memory.before_a_hole(&bytes[..bytes.len() - 8]);
            let then = if whole == 0 { EFAULT } else { whole as isize };
            assert_eq!(p.call(SENDMMSG, [3, at, all.len(), 0, 0, 0]), then);
        }
    }
    let bad = [8, usize::MAX - 3, 1 << 47];
    for at in bad {
        assert_eq!(p.call(SENDMMSG, [3, at, 1, 0, 0, 0]), EFAULT, "{at:#x}");
    }
    // The first goes, and how much of it did can't be said.
    let row = row(&[to("/run/sysbox/a"), to("/run/sysbox/b")]);
    let page = p.kernel.memory.read_only_page();
    // SAFETY: a page of this process, large enough.
    unsafe { std::ptr::copy_nonoverlapping(row.messages.as_ptr(), page as *mut Message, 2) };
    p.kernel.sent.borrow_mut().clear();
    assert_eq!(p.call(SENDMMSG, [3, page, 2, 0, 0, 0]), EFAULT);
    assert_eq!(p.kernel.sent.borrow().len(), 1);
}

/// Any row: as the kernel, in answer, counts, and what is delivered.
#[test]
fn any_row() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    let (mut whole, mut cut) = (0, 0);
    for _ in 0..3000 {
        let all: Vec<To> = (0..random(12))
            .map(|_| match random(40) {
                0 => Nobody,
                1 => Internet,
                2 => BadName,
                3 => BadBytes,
                4 => to("/run/sysbox/none"),
                5..12 => to("/run/../run/sysbox/b"),
                12..25 => to(["/plain/a", "/plain/b"][random(2)]),
                _ => to(["/run/sysbox/a", "/run/sysbox/b"][random(2)]),
            })
            .collect();
        let (answer, ..) = same(&all, all.len());
        *if answer == all.len() as isize { &mut whole } else { &mut cut } += 1;
    }
    assert!(whole > 500 && cut > 500, "{whole} whole, {cut} cut short");
}

/// Where no address is of AF_UNIX, few questions are asked, whatever the length.
#[test]
fn other_sockets_are_left_alone() {
    let p = program();
    for (to, most) in [(Internet, 4), (Nobody, 20)] {
        let row = row(&vec![to; 1000]);
        p.asked();
        let call = Call { nr: SENDMMSG, args: [3, row.at(), 1000, 0, 0, 0] };
        assert_eq!(p.before(&call), procsys_hook::Before::Pass);
        let asked = p.asked();
        assert!(asked.iter().all(|made| made.nr == RT_SIGPROCMASK));
        assert!((1..=most).contains(&asked.len()), "{} questions", asked.len());
    }
}

/// Each address that came is shown as the program knows it, of as many as came.
#[test]
fn what_came_is_shown_with_the_known_prefix() {
    let p = program();
    let long = format!("/t{}", "o".repeat(90));
    let came = [to(&format!("{long}/x")), to("/plain/a"), Nobody, to(&format!("{long}/y"))];
    let mut with = row(&came);
    let names = |row: &Row| -> Vec<(String, usize)> {
        let name = |n: usize| {
            let path = row.names[n][2..].split(|&b| b == 0).next().expect("there is one");
            (String::from_utf8(path.to_vec()).expect("UTF-8"), row.messages[n][1])
        };
        (0..row.messages.len()).map(name).collect()
    };
    // Three came: the last one's memory is not looked at.
    with.messages[3][0] = 8;
    let args = [3, with.at(), 4, 0, 0, 0];
    assert_eq!(p.after(&Call { nr: RECVMMSG, args }, 3), 3);
    let shown = names(&with);
    assert_eq!(shown[0], ("/etc/x".to_owned(), 9));
    assert_eq!(shown[1], ("/plain/a".to_owned(), 11));
    assert_eq!(shown[2].1, 0);
    assert_eq!(shown[3].0, format!("{long}/y"));
    // None came, and a failure.
    p.stored();
    for result in [0, -11] {
        assert_eq!(p.after(&Call { nr: RECVMMSG, args }, result), result);
    }
    assert_eq!(p.stored(), []);
    let with = row(&vec![Internet; 500]);
    p.asked();
    assert_eq!(p.after(&Call { nr: RECVMMSG, args: [3, with.at(), 500, 0, 0, 0] }, 500), 500);
    assert!(p.asked().len() <= 2);
}
