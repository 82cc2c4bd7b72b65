//! Signals, taken by one thread of the main descriptor table.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

/// The signals a daemon of ours acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    Hangup,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
}

const NUMBERS: [(libc::c_int, Signal); 5] = [
    (libc::SIGINT, Signal::Interrupt),
    (libc::SIGTERM, Signal::Terminate),
    (libc::SIGHUP, Signal::Hangup),
    (libc::SIGUSR1, Signal::User1),
    (libc::SIGUSR2, Signal::User2),
];

/// The blocked set; its holder waits for signals.
#[derive(Debug)]
pub struct Signals {
    set: libc::sigset_t,
}

impl Signals {
    /// Blocks our signals in this thread and in all that it starts from now on. SIGPIPE is ignored by the Rust runtime already.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory for one `sigset_t`, which the call initialises.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for (number, _) in NUMBERS {
            // SAFETY: the set was initialised by `sigemptyset`.
            unsafe { libc::sigaddset(set.as_mut_ptr(), number) };
        }
        // SAFETY: `sigemptyset` initialised the whole set.
        let set = unsafe { set.assume_init() };
        // SAFETY: both pointers are valid: a live set, and null for the old mask that nobody wants.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
        if error == 0 {
            Ok(Self { set })
        } else {
            Err(io::Error::from_raw_os_error(error))
        }
    }

    /// Waits for one of our signals, at most `timeout`.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn wait(&self, timeout: Duration) -> io::Result<Option<Signal>> {
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        };
        // SAFETY: the set and the limit are live; a null information pointer is allowed.
        let number =
            unsafe { libc::sigtimedwait(&raw const self.set, ptr::null_mut(), &raw const limit) };
        if number > 0 {
            return Ok(NUMBERS
                .iter()
                .find(|(known, _)| *known == number)
                .map(|(_, signal)| *signal));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Ok(None),
            _ => Err(error),
        }
    }
}
