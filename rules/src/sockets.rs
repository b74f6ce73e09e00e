//! The calls that carry the address of a socket, which for AF_UNIX is a path
//! (unix(7)). Only redirects reach them by it.

/// How a call carries an address. Positions are those of each call's man page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The program gives it: the arguments with the address and its length.
    Given(u8, u8),
    /// The program gives it in the message at this argument (`struct msghdr`).
    GivenInMessage(u8),
    /// The program asks for it, and the kernel answers at once: the arguments with
    /// the buffer and the address of its length.
    Asked(u8, u8),
    /// It comes with something that the program waits for: as above.
    Received(u8, u8),
    /// The same, in the message at this argument.
    ReceivedInMessage(u8),
    /// The program gives one in each message of the row at the first argument; so
    /// many messages there are at the second (`struct mmsghdr`).
    GivenInMessages(u8, u8),
    /// One came with each of as many messages as the call returns, in the row at this
    /// argument.
    ReceivedInMessages(u8),
}

/// The calls that do, by their numbers.
const CARRIERS: [(u16, Carrier); 12] = [
    (42, Carrier::Given(1, 2)),            // connect
    (43, Carrier::Received(1, 2)),         // accept
    (44, Carrier::Given(4, 5)),            // sendto
    (45, Carrier::Received(4, 5)),         // recvfrom
    (46, Carrier::GivenInMessage(1)),      // sendmsg
    (47, Carrier::ReceivedInMessage(1)),   // recvmsg
    (49, Carrier::Given(1, 2)),            // bind
    (51, Carrier::Asked(1, 2)),            // getsockname
    (52, Carrier::Asked(1, 2)),            // getpeername
    (288, Carrier::Received(1, 2)),        // accept4
    (299, Carrier::ReceivedInMessages(1)), // recvmmsg
    (307, Carrier::GivenInMessages(1, 2)), // sendmmsg
];

/// How the call with this number carries an address, if it does.
pub fn carrier(nr: usize) -> Option<Carrier> {
    CARRIERS.iter().find(|(n, _)| usize::from(*n) == nr).map(|(_, carrier)| *carrier)
}

/// `AF_UNIX` (include/linux/socket.h).
pub const AF_UNIX: u8 = 1;
/// Where the path starts in a `struct sockaddr_un`, in bytes.
pub const SUN_PATH: usize = 2;
/// The longest path in a `struct sockaddr_un`, in bytes, without a NUL (unix(7):
/// `sun_path` has 108).
pub const LONGEST: usize = 107;
/// Length of a `struct sockaddr_un`, in bytes.
pub const SOCKADDR_UN: usize = 110;
/// Length of a `struct msghdr`, in bytes: the address is its first word, the
/// address's length the 32 bits behind (include/linux/socket.h: user_msghdr).
pub const MSGHDR: usize = 56;
/// Length of a `struct mmsghdr`, in bytes: a `struct msghdr`, and behind it in 32 bits
/// how many bytes were sent or came (include/linux/socket.h).
pub const MMSGHDR: usize = 64;
/// How many messages one call takes at most, of however many it is given
/// (include/uapi/linux/uio.h: UIO_MAXIOV).
pub const MOST_MESSAGES: usize = 1024;
