//! Wake-ups that cross descriptor tables.
//!
//! An eventfd made by the main thread before any thread takes a private table has the same number in every table,
//! so each thread can write to it by number. mio's own waker is made later, in one table, and would write elsewhere.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// One loop's eventfd. Cloning shares it; the descriptor lives as long as the last clone.
#[derive(Debug, Clone)]
pub struct Wake {
    event: Arc<OwnedFd>,
}

impl Wake {
    /// Makes the eventfd; call it on the main thread, before any loop takes a private table.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes integers only.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just returned by the kernel and is owned by nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            event: Arc::new(event),
        })
    }

    /// The number, equal in all tables.
    #[must_use]
    pub fn raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Makes the loop's poll return. A full counter is a wake that is still unread, so its error is no loss.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the descriptor is open for as long as `self`, and the buffer holds the eight bytes named.
        let _ = unsafe { libc::write(self.raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Empties the counter after the poll returned.
    pub fn drain(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: the descriptor is open for as long as `self`, and the buffer has room for the eight bytes named.
        let _ = unsafe { libc::read(self.raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
