//! What the kernel says of a process: CPU time and memory, read from /proc.

use std::fs;
use std::io;
use std::time::Duration;

/// One reading of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user and system mode of all threads.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Resident memory that no other process shares, in bytes.
    pub private_bytes: u64,
}

/// Reads a process's figures; `None` is the calling process.
///
/// # Errors
/// The process is gone, or /proc is not there or not in the form of proc(5).
pub fn usage(pid: Option<u32>) -> io::Result<Usage> {
    let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let stat = fs::read_to_string(format!("{folder}/stat"))?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| malformed("stat"))?;
    let memory = fs::read_to_string(format!("{folder}/smaps_rollup"))?;
    let kib = |name| memory_kib(&memory, name).ok_or_else(|| malformed("smaps_rollup"));
    Ok(Usage {
        cpu: Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / ticks_a_second())),
        resident_bytes: kib("Rss:")? * 1024,
        private_bytes: (kib("Private_Clean:")? + kib("Private_Dirty:")?) * 1024,
    })
}

/// CPU time of this process and of the children it has waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// In user mode, of all threads.
    pub user: Duration,
    /// In system mode, of all threads.
    pub system: Duration,
    /// Of children, in user mode.
    pub children_user: Duration,
    /// Of children, in system mode.
    pub children_system: Duration,
}

/// Reads the CPU times; noughts where /proc does not tell.
#[must_use]
pub fn cpu_times() -> CpuTimes {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let [user, system, children_user, children_system] = cpu_fields(&stat).unwrap_or_default();
    let time = |ticks: u64| Duration::from_nanos(ticks * (1_000_000_000 / ticks_a_second()));
    CpuTimes {
        user: time(user),
        system: time(system),
        children_user: time(children_user),
        children_system: time(children_system),
    }
}

/// CPU time of the calling thread.
#[must_use]
pub fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live `timespec` that the call fills.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if result != 0 {
        return Duration::ZERO;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processors this process may run on.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Asks the kernel for small pages only from here on: for processes that should be small, for an allocator that asks for
/// huge ones makes each arena it touches two megabytes. A kernel that refuses changes nothing but memory.
pub fn use_small_pages() {
    // SAFETY: the call takes integers only, and changes nothing that the program can observe but its memory.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

fn ticks_a_second() -> u64 {
    // SAFETY: the call takes an integer only.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks)
        .ok()
        .filter(|ticks| *ticks > 0)
        .unwrap_or(100)
}

/// User and system ticks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let [user, system, ..] = cpu_fields(stat)?;
    Some(user + system)
}

/// Fields 14 to 17, user and system ticks, own and of children; the name in field 2 may hold blanks and brackets.
fn cpu_fields(stat: &str) -> Option<[u64; 4]> {
    let after_name = stat.get(stat.rfind(')')? + 2..)?;
    let mut fields = after_name.split(' ').skip(11);
    let mut next = || fields.next()?.parse().ok();
    Some([next()?, next()?, next()?, next()?])
}

fn memory_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("/proc {file} has an unknown form"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let usage = usage(None).unwrap();
        assert!(usage.resident_bytes >= usage.private_bytes);
        assert!(usage.private_bytes > 0);
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 12 30 0 0";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_fields(stat), Some([12, 30, 0, 0]));
    }
}
