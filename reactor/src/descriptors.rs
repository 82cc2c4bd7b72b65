//! Descriptor limits, and descriptor tables that belong to one thread.
//!
//! The hard limit on descriptors counts per table, and threads share a table only by default.
//! A thread that calls [`take_private_table`] leaves the shared table with a copy of its low numbers and has the whole limit for itself.
//! From then on a descriptor number of that thread means nothing to any other thread.

use std::fs::File;
use std::io;
use std::marker::PhantomData;

/// Descriptors a table keeps free for everything that is not a connection: epoll, wakes, logs, listeners, standard streams.
pub const RESERVED: u64 = 256;

/// Raises the soft limit on descriptors to the hard one and returns it.
///
/// # Errors
/// The operating system's refusal.
pub fn raise_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live, properly aligned `rlimit` that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to a live `rlimit` that the call only reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Connections that one table can hold under `limit`, with the reserve taken off.
#[must_use]
pub fn table_capacity(limit: u64) -> u64 {
    limit.saturating_sub(RESERVED)
}

/// Gives the calling thread a descriptor table of its own.
///
/// The thread keeps copies of all descriptors up to and including `highest_kept`; higher ones are closed in the new table only.
/// The copies are never closed by the caller: they name what the other threads use.
///
/// # Errors
/// The operating system's refusal, for example in a container whose profile denies the call; the thread then still shares its table.
pub fn take_private_table(highest_kept: u32) -> io::Result<()> {
    let first = libc::c_uint::from(highest_kept) + 1;
    // SAFETY: the call takes integers only. It can close descriptors that other code of this thread holds in the new table;
    // callers run it as the first act of a thread that owns no descriptor yet.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The highest number in use in the calling thread's table.
///
/// # Errors
/// /proc is not there.
pub fn highest_open() -> io::Result<u32> {
    let mut highest = 2;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}

/// A descriptor kept back, so that a connection that finds the table full can still be accepted and told why.
#[derive(Debug)]
pub struct Spare {
    held: Option<File>,
    local: PhantomData<*const ()>,
}

impl Spare {
    /// Takes the descriptor in the calling thread's table.
    #[must_use]
    pub fn take() -> Self {
        Self {
            held: open_null(),
            local: PhantomData,
        }
    }

    /// Runs `act` while the descriptor is free.
    pub fn lend<T>(&mut self, act: impl FnOnce() -> T) -> T {
        self.held = None;
        let result = act();
        self.held = open_null();
        result
    }
}

fn open_null() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether an error says that no descriptor is left, in the table or in the whole system.
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let limit = raise_limit().unwrap();
        assert_eq!(raise_limit().unwrap(), limit);
        assert!(limit > RESERVED);
    }

    #[test]
    fn a_private_table_leaves_the_shared_one_alone() {
        let kept = File::open("/dev/null").unwrap();
        let later = File::open("/dev/null").unwrap();
        let highest = u32::try_from(kept.as_raw_fd()).unwrap();
        let same_numbers = std::thread::spawn(move || {
            if take_private_table(highest).is_err() {
                return None;
            }
            let first = File::open("/dev/null").unwrap();
            Some(first.as_raw_fd())
        })
        .join()
        .unwrap();
        if let Some(number) = same_numbers {
            assert_eq!(
                number,
                kept.as_raw_fd() + 1,
                "the new table is empty above the kept ones"
            );
        }
        assert!(later.metadata().is_ok());
    }
}
