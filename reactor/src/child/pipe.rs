//! Our ends of a child's pipes: never waited for, and bounded.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::ChildStdin;

use super::{Output, Stream};

/// Longest line that is passed on in one piece, in bytes.
const LINE_MAX: usize = 4096;
/// Bytes taken at once, on the stack.
const READ_AT_ONCE: usize = 8192;

/// The standard input of a program, and what is still to be written to it.
#[derive(Debug)]
pub(super) struct Feed<'p> {
    pipe: Option<ChildStdin>,
    left: &'p [u8],
}

/// An output of a program.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: Stream,
    source: Option<File>,
    output: Output,
    /// Bytes taken so far.
    taken: usize,
    /// All that is kept, or the line under way.
    buffer: Vec<u8>,
}

impl<'p> Feed<'p> {
    pub(super) fn new(pipe: Option<ChildStdin>, input: &'p [u8]) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            set_nonblocking(pipe.as_raw_fd())?;
        }
        Ok(Self { pipe, left: input })
    }

    pub(super) fn raw_fd(&self) -> Option<RawFd> {
        self.pipe.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Writes what the pipe takes. It is closed after the last byte, and when the program does not read on.
    pub(super) fn write(&mut self) {
        while let Some(pipe) = &mut self.pipe {
            match pipe.write(self.left) {
                Ok(count) if count < self.left.len() => self.left = &self.left[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.pipe = None,
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.pipe = None;
    }
}

impl Pipe {
    pub(super) fn new<S: Into<OwnedFd>>(
        stream: Stream,
        source: Option<S>,
        output: Output,
    ) -> io::Result<Self> {
        let source = source.map(|source| File::from(source.into()));
        if let Some(source) = &source {
            set_nonblocking(source.as_raw_fd())?;
        }
        Ok(Self {
            stream,
            source,
            output,
            taken: 0,
            buffer: Vec::new(),
        })
    }

    pub(super) const fn stream(&self) -> Stream {
        self.stream
    }

    pub(super) fn raw_fd(&self) -> Option<RawFd> {
        self.source.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Takes what is there.
    ///
    /// # Errors
    /// The bound, which there is more than.
    pub(super) fn read(&mut self, on_line: &mut dyn FnMut(Stream, &[u8])) -> Result<(), usize> {
        let mut chunk = [0; READ_AT_ONCE];
        while let Some(source) = &mut self.source {
            match source.read(&mut chunk) {
                Ok(0) => self.source = None,
                Ok(count) => self.take(&chunk[..count], on_line)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.source = None,
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(Stream, &[u8])) -> Result<(), usize> {
        let (Output::Keep { bytes_max } | Output::Lines { bytes_max }) = self.output;
        let room = bytes_max - self.taken;
        let is_over = bytes.len() > room;
        let bytes = &bytes[..bytes.len().min(room)];
        self.taken += bytes.len();
        self.buffer.extend_from_slice(bytes);
        if let Output::Lines { .. } = self.output {
            self.pass_lines(on_line);
        }
        if is_over { Err(bytes_max) } else { Ok(()) }
    }

    fn pass_lines(&mut self, on_line: &mut dyn FnMut(Stream, &[u8])) {
        let mut rest = &self.buffer[..];
        loop {
            let window = &rest[..rest.len().min(LINE_MAX + 1)];
            if let Some(end) = window.iter().position(|&byte| byte == b'\n') {
                on_line(self.stream, &rest[..end]);
                rest = &rest[end + 1..];
            } else if rest.len() > LINE_MAX {
                on_line(self.stream, &rest[..LINE_MAX]);
                rest = &rest[LINE_MAX..];
            } else {
                break;
            }
        }
        let passed = self.buffer.len() - rest.len();
        self.buffer.drain(..passed);
    }

    /// Passes on a last line without a line feed.
    pub(super) fn finish(&mut self, on_line: &mut dyn FnMut(Stream, &[u8])) {
        if let Output::Lines { .. } = self.output
            && !self.buffer.is_empty()
        {
            on_line(self.stream, &self.buffer);
            self.buffer.clear();
        }
    }

    pub(super) fn close(&mut self) {
        self.source = None;
    }

    pub(super) fn into_kept(self) -> Vec<u8> {
        self.buffer
    }
}

/// Concerns our end only: the other one is another open file.
fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: the call takes integers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call takes integers only.
    if unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
