//! Memory that is written before main, by one thread, and read ever after.

use core::cell::UnsafeCell;

/// See the module; who writes and who reads keep to it.
pub(crate) struct Early<T>(UnsafeCell<T>);

// SAFETY: all writing is done before there are other threads.
unsafe impl<T> Sync for Early<T> {}

impl<T> Early<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// To be read by anybody.
    pub(crate) fn get(&self) -> &T {
        // SAFETY: nothing is written any more, or by this thread alone.
        unsafe { &*self.0.get() }
    }

    /// To be written.
    ///
    /// # Safety
    /// Before main, and with no other reference alive.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn set(&self) -> &mut T {
        // SAFETY: as the caller promises.
        unsafe { &mut *self.0.get() }
    }
}
