//! Functions that libc makes of several calls on a path that it is given: with
//! redirects they get the path that the rules put in its place. What they give back
//! has the names that the program knows.

use core::cell::Cell;
use core::ffi::c_int;

use procsys_hook::Call;

use crate::engine::{self, call};
use crate::next::{Next, next};
use crate::redirect;

const UNLINK: usize = 87;
const OPENAT: usize = 257;
const MKDIRAT: usize = 258;
const NEWFSTATAT: usize = 262;
const AT_FDCWD: usize = -100isize as usize;

/// What `function` makes of the path: the program's, or the one in its place. To the
/// rules it is the call of that number, which has path, flags and mode.
fn with_path(nr: usize, path: usize, flags: usize, function: impl Fn(usize) -> isize) -> isize {
    if !redirect::is_any() {
        return function(path);
    }
    // The call is not made, so that its answer is none to look at: a mode of zeros.
    let nothing = [0usize; 18];
    let (third, fourth) = match nr {
        NEWFSTATAT => (nothing.as_ptr() as usize, flags),
        _ => (flags, 0o600),
    };
    let result = Cell::new(-1);
    engine::run(&call(nr, &[AT_FDCWD, path, third, fourth]), &|call: &Call| {
        result.set(function(call.args[1]));
        0
    });
    result.get()
}

/// As [`with_path`], for a function that asks about what is there; `flags` are those
/// of fstatat(2).
pub(crate) fn asks(path: usize, flags: usize, function: impl Fn(usize) -> isize) -> isize {
    with_path(NEWFSTATAT, path, flags, function)
}

macro_rules! asking {
    ($(fn $name:ident(path, $more:ident: $type:ty) -> $result:ty;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: usize, $more: $type) -> $result {
            let next = next!(stringify!($name));
            asks(path, 0, |path| {
                // SAFETY: the program's own arguments, perhaps with another path.
                unsafe { next.call([path, $more as usize, 0, 0, 0, 0]) }.unwrap_or(-1)
            }) as $result
        }
    )*};
}

asking! {
    fn pathconf(path, name: c_int) -> isize;
    fn ftok(path, project: c_int) -> c_int;
    fn updwtmp(path, entry: usize) -> c_int;
    fn updwtmpx(path, entry: usize) -> c_int;
}

/// What is replaced in a template.
const LETTERS: &[u8; 6] = b"XXXXXX";

/// mkostemps(3) and its kin by `next`: the letters that it has found are put into the
/// program's own template.
fn temporary(
    next: &Next<'_>,
    nr: usize,
    template: *mut u8,
    suffix: c_int,
    more: [usize; 2],
) -> isize {
    const O_RDWR_CREAT_EXCL: usize = 0o302;
    with_path(nr, template as usize, O_RDWR_CREAT_EXCL, |path| {
        let [second, third] = more;
        // SAFETY: the program's own arguments; another path lies on our stack.
        let result = unsafe { next.call([path, second, third, 0, 0, 0]) }.unwrap_or(-1);
        let made = path as *mut u8;
        if made != template {
            // SAFETY: both are texts, and the one ends as the other did.
            unsafe { copy_letters(made, template, suffix as usize) };
        }
        result
    })
}

/// Copies the letters before a suffix of that length from one text to a template. An
/// empty text is mktemp's failure.
///
/// # Safety
/// Both must be texts that may be written.
unsafe fn copy_letters(from: *mut u8, to: *mut u8, suffix: usize) {
    // SAFETY: as the caller promises; positions are within the texts.
    unsafe {
        if from.read() == 0 {
            return to.write(0);
        }
        let letters = |text| crate::libc::bytes(text).len().checked_sub(suffix + LETTERS.len());
        let (Some(source), Some(place)) = (letters(from), letters(to)) else { return };
        let place = to.add(place).cast::<[u8; LETTERS.len()]>();
        if place.read() == *LETTERS {
            place.write(from.add(source).cast::<[u8; LETTERS.len()]>().read());
        }
    }
}

macro_rules! temporaries {
    ($($name:ident $nr:ident ($($arg:ident),*) suffix $suffix:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(template: *mut u8 $(, $arg: c_int)*) -> c_int {
            let mut more = [0; 2];
            more.iter_mut().zip([$($arg as usize),*]).for_each(|(to, from): (&mut usize, usize)| *to = from);
            temporary(&next!(stringify!($name)), $nr, template, $suffix, more) as c_int
        }
    )*};
}

temporaries! {
    mkstemp OPENAT () suffix 0;
    mkstemp64 OPENAT () suffix 0;
    mkostemp OPENAT (flags) suffix 0;
    mkostemp64 OPENAT (flags) suffix 0;
    mkstemps OPENAT (suffix) suffix suffix;
    mkstemps64 OPENAT (suffix) suffix suffix;
    mkostemps OPENAT (suffix, flags) suffix suffix;
    mkostemps64 OPENAT (suffix, flags) suffix suffix;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdtemp(template: *mut u8) -> *mut u8 {
    let made = temporary(&next!("mkdtemp"), MKDIRAT, template, 0, [0; 2]);
    if made == 0 { core::ptr::null_mut() } else { template }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mktemp(template: *mut u8) -> *mut u8 {
    temporary(&next!("mktemp"), NEWFSTATAT, template, 0, [0; 2]);
    template
}

/// What shm_open(3) makes of a name: a file in `/dev/shm`; `None` where libc is to say
/// what is wrong with it.
fn shared(name: *const u8, path: &mut [u8; 300]) -> Option<()> {
    const FOLDER: &[u8] = b"/dev/shm/";
    if !redirect::is_any() || name.is_null() {
        return None;
    }
    // SAFETY: libc reads the text too.
    let name = unsafe { crate::libc::bytes(name) };
    let slashes = name.iter().take_while(|&&b| b == b'/').count();
    let name = name.get(slashes..).unwrap_or_default();
    if matches!(name, b"" | b"." | b"..") || crate::libc::has(name, b'/') || name.len() > 255 {
        return None;
    }
    path.iter_mut().zip(FOLDER.iter().chain(name)).for_each(|(to, from)| *to = *from);
    Some(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn shm_open(name: *const u8, flags: c_int, mode: u32) -> c_int {
    const O_NOFOLLOW_CLOEXEC: c_int = 0o2_400_000;
    let mut path = [0; 300];
    if shared(name, &mut path).is_none() {
        let args = [name as usize, flags as usize, mode as usize, 0, 0, 0];
        // SAFETY: the program's own arguments.
        return unsafe { next!("shm_open").call(args) }.unwrap_or(-1) as c_int;
    }
    let flags = (flags | O_NOFOLLOW_CLOEXEC) as usize;
    let opened = call(OPENAT, &[AT_FDCWD, path.as_ptr() as usize, flags, mode as usize]);
    engine::run(&opened, &engine::directly) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn shm_unlink(name: *const u8) -> c_int {
    let mut path = [0; 300];
    if shared(name, &mut path).is_none() {
        // SAFETY: the program's own argument.
        return unsafe { next!("shm_unlink").call([name as usize, 0, 0, 0, 0, 0]) }.unwrap_or(-1)
            as c_int;
    }
    engine::run(&call(UNLINK, &[path.as_ptr() as usize]), &engine::directly) as c_int
}
