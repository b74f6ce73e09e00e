//! The next definition of a function: libc's, or another preloaded library's.
//!
//! dlsym(RTLD_NEXT) would do, but it takes the loader's lock and may allocate,
//! which no signal handler can bear; and a program linked against glibc 2.34's
//! dlsym does not load where glibc is older. So the tables of the objects that
//! were loaded with us are noted once, and read in place (source: System V ABI,
//! chapter 5; the GNU hash table: glibc, elf/dl-lookup.c).

use core::ffi::c_int;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::early::Early;
use crate::libc;

/// The most objects that are looked at: libc is among the first.
const OBJECTS: usize = 64;

/// A loaded object: where it lies, and where its dynamic section is.
#[derive(Clone, Copy)]
struct Object {
    base: usize,
    dynamic: usize,
}

/// The tables of one loaded object.
struct Tables {
    base: usize,
    symbols: *const Symbol,
    strings: *const u8,
    /// The GNU hash table, or null.
    gnu: *const u32,
    /// The System V hash table, or null.
    sysv: *const u32,
    versions: *const u16,
}

#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: u64,
}

/// The other objects, in the order in which names are looked for: written once,
/// before COUNT says how many there are.
static LIST: Early<[Object; OBJECTS]> = Early::new([Object { base: 0, dynamic: 0 }; OBJECTS]);
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Ourselves.
static OWN: Early<Object> = Early::new(Object { base: 0, dynamic: 0 });
/// How many of them come before ours: the program, and libraries preloaded before.
static BEFORE: AtomicUsize = AtomicUsize::new(0);

/// The objects after ours, or all others.
fn objects(after_ours: bool) -> &'static [Object] {
    let count = COUNT.load(Ordering::Acquire);
    let first = if after_ours { BEFORE.load(Ordering::Relaxed) } else { 0 };
    LIST.get().get(first..count).unwrap_or_default()
}

/// The library's own path, as the loader has it; it keeps the text.
static OWN_PATH: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

/// The library's own path, ended by NUL; null before it is noted.
pub(crate) fn own_path() -> *const u8 {
    OWN_PATH.load(Ordering::Acquire)
}

/// A function's name in place, ended by NUL: a pointer to it would be a
/// relocation of the library's, and there are many.
pub(crate) struct Name([u8; 24]);

impl Name {
    pub(crate) const fn new(text: &str) -> Self {
        let (text, mut name, mut i) = (text.as_bytes(), [0; 24], 0);
        assert!(text.len() < name.len());
        while i < text.len() {
            name[i] = text[i];
            i += 1;
        }
        Self(name)
    }

    /// With its NUL.
    pub(crate) fn text(&self) -> &[u8] {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(0);
        self.0.get(..=len).unwrap_or_default()
    }
}

/// A function's next definition, looked for when it is first needed.
pub(crate) struct Next<'a> {
    name: &'a [u8],
    found: &'a AtomicUsize,
}

const STT_OBJECT: u8 = 1;
const STT_FUNC: u8 = 2;

/// Looked for, and not there.
const MISSING: usize = 1;

impl<'a> Next<'a> {
    /// `name` ends in NUL; `found` starts as 0 and is this name's alone.
    pub(crate) fn of(name: &'a [u8], found: &'a AtomicUsize) -> Self {
        Self { name, found }
    }

    /// Its address; `None` where no library has it.
    #[inline]
    pub(crate) fn address(&self) -> Option<usize> {
        kept(self.found, || Some(self.name))
    }
}

impl Next<'_> {
    /// Calls it: what it returns, or `None` where no library has it.
    ///
    /// # Safety
    /// As [`call`].
    pub(crate) unsafe fn call(&self, args: [usize; 6]) -> Option<isize> {
        // SAFETY: the loader's tables have it there; the rest the caller promises.
        Some(unsafe { call(self.address()?, args) })
    }
}

/// Calls a function: all of them take integers and pointers, at most six, and
/// don't look at the registers of arguments that they do not have.
///
/// # Safety
/// `address` must be that of such a function, and the arguments right for it.
#[inline(never)]
pub(crate) unsafe fn call(address: usize, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    // SAFETY: as the caller promises.
    unsafe {
        let function: unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize =
            core::mem::transmute(address);
        function(a, b, c, d, e, f)
    }
}

/// The address that is kept in `found`, looked for by its name if that is 0.
#[inline]
pub(crate) fn kept<'a>(
    found: &AtomicUsize,
    name: impl FnOnce() -> Option<&'a [u8]>,
) -> Option<usize> {
    match found.load(Ordering::Relaxed) {
        0 => {
            note_objects_once();
            look(found, name()?)
        }
        MISSING => None,
        address => Some(address),
    }
}

#[cold]
fn look(found: &AtomicUsize, name: &[u8]) -> Option<usize> {
    let address = objects(true).iter().find_map(|o| o.find(name, STT_FUNC));
    found.store(address.unwrap_or(MISSING), Ordering::Relaxed);
    address
}

/// Calls come before our own start from libraries that start before.
fn note_objects_once() {
    if COUNT.load(Ordering::Acquire) == 0 {
        note_objects();
    }
}

/// The name, with NUL, under which the library exports the function of that number:
/// that of the symbol whose code is `mov al, number` and a jump
/// ([`crate::function::interpose`]). So the names are in the file but once.
pub(crate) fn exported_name(number: u8) -> Option<&'static [u8]> {
    const MOV_AL: u8 = 0xb0;
    const JMP: u8 = 0xe9;
    // SAFETY: our own tables; the table of versions follows the symbols, one for
    // each (preload/.cargo/config.toml names the linker; `preload_library` checks).
    unsafe {
        let tables = Tables::read(OWN.get())?;
        let count = (tables.versions as usize - tables.symbols as usize) / size_of::<Symbol>();
        (1..count).find_map(|index| {
            let symbol = &*tables.symbols.add(index);
            if symbol.section == 0 {
                return None;
            }
            let code = tables.base.wrapping_add(symbol.value) as *const [u8; 3];
            let name = tables.strings.add(symbol.name as usize);
            let is_it = code.read() == [MOV_AL, number, JMP];
            is_it.then(|| core::slice::from_raw_parts(name, libc::bytes(name).len() + 1))
        })
    }
}

/// The next definition of the function called so.
macro_rules! next {
    ($name:expr) => {{
        static NAME: $crate::next::Name = $crate::next::Name::new($name);
        static FOUND: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
        $crate::next::Next::of(NAME.text(), &FOUND)
    }};
}

pub(crate) use next;

/// Notes the objects that are loaded now. Called before main, by one thread.
pub(crate) fn note_objects() {
    let mut state = Noting { count: 0, before: 0 };
    // SAFETY: the callback keeps to its contract, and `state` outlives the call.
    unsafe { libc::each_object(note, (&raw mut state).cast()) };
    BEFORE.store(state.before, Ordering::Relaxed);
    COUNT.store(state.count, Ordering::Release);
}

struct Noting {
    count: usize,
    before: usize,
}

/// `struct dl_phdr_info`, as far as it is needed.
#[repr(C)]
struct Info {
    base: usize,
    name: *const u8,
    headers: *const Header,
    count: u16,
}

/// A program header of an ELF file.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    offset: u64,
    pub(crate) address: usize,
    physical: u64,
    file: u64,
    pub(crate) memory: usize,
    align: u64,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_PHDR: u32 = 6;

/// How far a program lies from where it was linked: `headers` lie in its memory.
pub(crate) fn base(headers: &[Header]) -> usize {
    let at = headers.as_ptr() as usize;
    let linked = headers.iter().find(|h| h.kind == PT_PHDR).map_or(at, |h| h.address);
    at.wrapping_sub(linked)
}

/// Start and end of a program's memory, as far as it is one run of pages.
pub(crate) fn mapped_run(headers: &[Header]) -> (usize, usize) {
    const PAGE: usize = 4096;
    let base = base(headers);
    let mut run: Option<(usize, usize)> = None;
    for header in headers.iter().filter(|h| h.kind == PT_LOAD) {
        let start = base.wrapping_add(header.address);
        let end = start.wrapping_add(header.memory).next_multiple_of(PAGE);
        let start = start & !(PAGE - 1);
        match &mut run {
            None => run = Some((start, end)),
            Some((_, until)) if start <= *until => *until = end.max(*until),
            Some(_) => break,
        }
    }
    run.unwrap_or((0, 0))
}

/// The address of a variable of the next objects.
pub(crate) fn data(name: &Name) -> Option<usize> {
    objects(true).iter().find_map(|object| object.find(name.text(), STT_OBJECT))
}

/// The address of a function as the program sees it: its own, if it has one.
pub(crate) fn global(name: &Name) -> Option<usize> {
    objects(false).iter().find_map(|object| object.find(name.text(), STT_FUNC))
}

unsafe extern "C" fn note(info: *mut u8, _size: usize, data: *mut u8) -> c_int {
    // SAFETY: dl_iterate_phdr hands over its structure and our `Noting`.
    let (info, state) = unsafe { (&*info.cast::<Info>(), &mut *data.cast::<Noting>()) };
    // SAFETY: the loader's table of program headers.
    let headers = unsafe { core::slice::from_raw_parts(info.headers, usize::from(info.count)) };
    let own = (&raw const COUNT) as usize;
    let holds_us = headers.iter().any(|h| {
        h.kind == PT_LOAD && own.wrapping_sub(info.base.wrapping_add(h.address)) < h.memory
    });
    let dynamic = headers.iter().find(|h| h.kind == PT_DYNAMIC);
    let object = |dynamic: &Header| Object {
        base: info.base,
        dynamic: info.base.wrapping_add(dynamic.address),
    };
    if let (true, Some(dynamic)) = (holds_us, dynamic) {
        state.before = state.count;
        // SAFETY: as below.
        *unsafe { OWN.set() } = object(dynamic);
        OWN_PATH.store(info.name.cast_mut(), Ordering::Release);
        return 0;
    }
    if let Some(dynamic) = dynamic {
        // SAFETY: only this thread is here, before main.
        if let Some(place) = unsafe { LIST.set() }.get_mut(state.count) {
            *place = object(dynamic);
            state.count += 1;
        }
    }
    0
}

impl Object {
    /// The address of `name` (with NUL), of that kind, in its default version.
    fn find(&self, name: &[u8], kind: u8) -> Option<usize> {
        // SAFETY: the object's dynamic section and tables are mapped while it is
        // loaded, and well-formed, or the loader could not have bound the program
        // against them.
        unsafe {
            let tables = Tables::read(self)?;
            if tables.gnu.is_null() {
                tables.find_sysv(name, kind)
            } else {
                tables.find_gnu(name, kind)
            }
        }
    }
}

impl Tables {
    /// # Safety
    /// The object must be loaded.
    unsafe fn read(of: &Object) -> Option<Self> {
        let Object { base, dynamic } = *of;
        let mut object = Self {
            base,
            symbols: core::ptr::null(),
            strings: core::ptr::null(),
            gnu: core::ptr::null(),
            sysv: core::ptr::null(),
            versions: core::ptr::null(),
        };
        let mut entry = dynamic as *const [usize; 2];
        loop {
            // SAFETY: the section ends with DT_NULL.
            let [tag, value] = unsafe { *entry };
            // glibc puts addresses here when it loads an object; musl, and the
            // vdso everywhere, have offsets.
            let address = if value < base { base.wrapping_add(value) } else { value };
            match tag {
                0 => break,
                4 => object.sysv = address as *const u32,
                5 => object.strings = address as *const u8,
                6 => object.symbols = address as *const Symbol,
                0x6fff_fef5 => object.gnu = address as *const u32,
                0x6fff_fff0 => object.versions = address as *const u16,
                _ => {}
            }
            entry = entry.wrapping_add(1);
        }
        let has_hash = !object.gnu.is_null() || !object.sysv.is_null();
        (has_hash && !object.symbols.is_null() && !object.strings.is_null()).then_some(object)
    }

    unsafe fn find_gnu(&self, name: &[u8], kind: u8) -> Option<usize> {
        let text = name.split_last()?.1;
        let hash = text.iter().fold(5381u32, |h, &b| h.wrapping_mul(33).wrapping_add(u32::from(b)));
        // SAFETY: the layout of the GNU hash table (see the header).
        unsafe {
            let (buckets, first) = (*self.gnu, *self.gnu.add(1));
            let (blooms, shift) = (*self.gnu.add(2), *self.gnu.add(3));
            let bloom = self.gnu.add(4).cast::<u64>();
            let at = (hash / 64).checked_rem(blooms)?;
            let word = *bloom.add(at as usize);
            if word >> (hash % 64) & word >> (hash.wrapping_shr(shift) % 64) & 1 == 0 {
                return None;
            }
            let bucket = bloom.add(blooms as usize).cast::<u32>();
            let chain = bucket.add(buckets as usize);
            let mut index = *bucket.add(hash.checked_rem(buckets)? as usize);
            if index < first {
                return None;
            }
            loop {
                let entry = *chain.add((index - first) as usize);
                if entry | 1 == hash | 1
                    && let Some(address) = self.accept(index as usize, name, kind)
                {
                    return Some(address);
                }
                if entry & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    unsafe fn find_sysv(&self, name: &[u8], kind: u8) -> Option<usize> {
        // SAFETY: bucket count, chain count: every symbol is looked at, as
        // their number is all that is needed of the table.
        let count = unsafe { *self.sysv.add(1) };
        // SAFETY: as above.
        (0..count as usize).find_map(|index| unsafe { self.accept(index, name, kind) })
    }

    /// The address of symbol `index`, if it is of that name and kind.
    unsafe fn accept(&self, index: usize, name: &[u8], kind: u8) -> Option<usize> {
        const HIDDEN: u16 = 0x8000;
        // SAFETY: the hash table gave the index; names end in NUL.
        unsafe {
            let symbol = &*self.symbols.add(index);
            if symbol.section == 0 || symbol.info & 0xf != kind {
                return None;
            }
            let text = self.strings.add(symbol.name as usize);
            if !name.iter().enumerate().all(|(i, &b)| text.add(i).read() == b) {
                return None;
            }
            if !self.versions.is_null() && *self.versions.add(index) & HIDDEN != 0 {
                return None;
            }
            Some(self.base.wrapping_add(symbol.value))
        }
    }
}
