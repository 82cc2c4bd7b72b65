//! Child processes with a bound on everything: time, output, and what they inherit.
//!
//! [`run`] starts a program, feeds it, reads it and waits for it; it blocks, so it belongs on a thread that has the time.
//! The program gets the given environment and nothing of ours, no descriptor but its three pipes, the default signal mask and
//! dispositions, and a process group of its own. When its time is over, or it writes more than it may, the whole group is
//! killed. What it leaves running when it ends by itself is left alone: a service that an agent started belongs to the host.
//! Nobody is waited for but the program itself, so a grandchild that keeps the pipes open holds nobody up.
//!
//! It is no shell and no job control. Only threads that share the main descriptor table may call it ([`crate::descriptors`]).
//! A write to a program that does not read relies on SIGPIPE being ignored here, which the Rust runtime sees to.

mod pipe;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use self::pipe::{Feed, Pipe};

/// How long a killed program may take to be gone before it is given up as one the kernel cannot end.
const DEATH_MAX: Duration = Duration::from_secs(5);
/// How often a program is asked whether it ended, where the kernel cannot tell by a descriptor (before Linux 5.3).
const ASK_EVERY: Duration = Duration::from_millis(10);

/// What is started, and within which bounds.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable; a path with a slash is not looked up.
    pub path: PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub directory: PathBuf,
    /// What it can read from its standard input before that ends.
    pub input: Vec<u8>,
    /// How long it may run.
    pub time_max: Duration,
    /// What becomes of its standard output.
    pub stdout: Output,
    /// What becomes of its standard error.
    pub stderr: Output,
}

/// What becomes of the bytes of a stream. A program that writes more than `bytes_max` is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// They are kept and returned: at most `bytes_max` of memory.
    Keep {
        /// Bytes it may hold.
        bytes_max: usize,
    },
    /// They are passed on line by line, lines of more than 4 KiB in pieces.
    Lines {
        /// Bytes it may hold.
        bytes_max: usize,
    },
}

/// One of the streams of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// How a program ended.
#[derive(Debug)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// Its time was over, and its group was killed.
    TimedOut(Duration),
    /// It wrote more than it may, and its group was killed.
    OutputTooLarge {
        /// Where to.
        stream: Stream,
        /// Bytes it may write.
        bytes_max: usize,
    },
    /// It did not start.
    FailedToStart(io::Error),
}

/// A program that is over, and what was kept of its output.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// What it wrote to its standard output, if that is kept.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error, if that is kept.
    pub stderr: Vec<u8>,
}

/// Runs a program to its end. Complete lines are given to `on_line` as they come, without the line feed.
pub fn run(program: &Program, on_line: &mut dyn FnMut(Stream, &[u8])) -> Finished {
    let failed = |error| Finished {
        end: End::FailedToStart(error),
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let mut child = match start(program) {
        Ok(child) => child,
        Err(error) => return failed(error),
    };
    let mut watch = match Watch::new(program, &mut child) {
        Ok(watch) => watch,
        Err(error) => {
            kill_group(&child);
            let _ = child.wait();
            return failed(error);
        }
    };
    let end = match watch.follow(&mut child, program.time_max, on_line) {
        Ok(end) => end,
        Err(error) => End::FailedToStart(error),
    };
    if !watch.is_reaped {
        kill_group(&child);
        watch.await_death(&mut child);
    }
    watch.stdout.finish(on_line);
    watch.stderr.finish(on_line);
    Finished {
        end,
        stdout: watch.stdout.into_kept(),
        stderr: watch.stderr.into_kept(),
    }
}

fn start(program: &Program) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(program.environment.iter().map(|(key, value)| (key, value)))
        .current_dir(&program.directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command.stdin(if program.input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    });
    // SAFETY: between fork and exec `clean_slate` makes system calls only, all of them safe in a signal handler; it allocates
    // nothing and takes no lock.
    unsafe { command.pre_exec(clean_slate) };
    command.spawn()
}

/// What a child must not inherit: ignored and blocked signals, and descriptors that somebody opened without CLOEXEC.
fn clean_slate() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // The kernel's refusal for KILL, STOP and the numbers the C library keeps for itself changes nothing.
        // SAFETY: the default disposition installs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = std::mem::MaybeUninit::uninit();
    // SAFETY: the pointer is to memory for one `sigset_t`, which the call initialises.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialised by `sigemptyset`; nobody wants the old one.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
    // A kernel that does not know the call leaves it to whoever opened the descriptors, as ever.
    // SAFETY: the call takes integers only, and marks descriptors without closing any.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    Ok(())
}

/// Kills the program and all it started that is still in its group. The program must not have been waited for: until then
/// its number is its own.
fn kill_group(child: &Child) {
    if let Ok(group) = libc::pid_t::try_from(child.id()) {
        // SAFETY: the call takes integers only.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// A descriptor that is readable once the program has ended; none where the kernel has no such thing.
fn exit_descriptor(child: &Child) -> Option<OwnedFd> {
    let pid = libc::pid_t::try_from(child.id()).ok()?;
    // SAFETY: the call takes integers only. The program was not waited for, so the number is its own.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel just returned the descriptor, close-on-exec; nobody else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A program that runs, seen from outside.
#[derive(Debug)]
struct Watch<'p> {
    /// The program was waited for, so its number may be another's.
    is_reaped: bool,
    exit: Option<OwnedFd>,
    feed: Feed<'p>,
    stdout: Pipe,
    stderr: Pipe,
}

impl<'p> Watch<'p> {
    fn new(program: &'p Program, child: &mut Child) -> io::Result<Self> {
        Ok(Self {
            is_reaped: false,
            exit: exit_descriptor(child),
            feed: Feed::new(child.stdin.take(), &program.input)?,
            stdout: Pipe::new(Stream::Stdout, child.stdout.take(), program.stdout)?,
            stderr: Pipe::new(Stream::Stderr, child.stderr.take(), program.stderr)?,
        })
    }

    /// Serves the pipes until the program ends, its time is over, or it has written too much.
    fn follow(
        &mut self,
        child: &mut Child,
        time_max: Duration,
        on_line: &mut dyn FnMut(Stream, &[u8]),
    ) -> io::Result<End> {
        let start = Instant::now();
        loop {
            // Asked before the pipes are read: whatever a program wrote before it ended is in them by then.
            let status = child.try_wait()?;
            self.is_reaped = status.is_some();
            self.feed.write();
            for pipe in [&mut self.stdout, &mut self.stderr] {
                if let Err(bytes_max) = pipe.read(on_line) {
                    return Ok(End::OutputTooLarge {
                        stream: pipe.stream(),
                        bytes_max,
                    });
                }
            }
            if let Some(status) = status {
                return Ok(end_of(status));
            }
            let left = time_max.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(End::TimedOut(time_max));
            }
            self.wait(left)?;
        }
    }

    /// Sleeps until something can be done, at most `time`.
    fn wait(&self, time: Duration) -> io::Result<()> {
        let entry = |fd: Option<RawFd>, events| libc::pollfd {
            // The kernel passes over negative numbers.
            fd: fd.unwrap_or(-1),
            events,
            revents: 0,
        };
        let mut entries = [
            entry(self.exit.as_ref().map(AsRawFd::as_raw_fd), libc::POLLIN),
            entry(self.feed.raw_fd(), libc::POLLOUT),
            entry(self.stdout.raw_fd(), libc::POLLIN),
            entry(self.stderr.raw_fd(), libc::POLLIN),
        ];
        let time = if self.exit.is_some() {
            time
        } else {
            time.min(ASK_EVERY)
        };
        // Rounded up, so that the last turn before the limit does not spin.
        let millis = libc::c_int::try_from(time.as_millis() + 1).unwrap_or(libc::c_int::MAX);
        let count = libc::nfds_t::try_from(entries.len()).expect("four descriptors");
        // SAFETY: the pointer is to `count` live entries, and the descriptors in them are open for as long as `self`.
        let result = unsafe { libc::poll(entries.as_mut_ptr(), count, millis) };
        if result >= 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        }
    }

    /// Reaps a program that was killed. One that hangs in the kernel is left to it.
    fn await_death(&mut self, child: &mut Child) {
        self.feed.close();
        self.stdout.close();
        self.stderr.close();
        let start = Instant::now();
        while let Ok(None) = child.try_wait() {
            let left = DEATH_MAX.saturating_sub(start.elapsed());
            if left.is_zero() || self.wait(left).is_err() {
                return;
            }
        }
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests;
