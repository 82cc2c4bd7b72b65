//! What is piped into a command: the results of an earlier request, whose nodes are meant.
//!
//! Only a pipe or a file is read, never a terminal, a device or a socket. As in other clients it is read to its end, so a command that inherits an open
//! pipe, as below `ssh` or in a loop over lines, would wait: after a second it says so.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::sync::mpsc;
use std::time::Duration;

use crate::exit::Failure;

/// What is piped in may have so many bytes.
const BYTES_MAX: u64 = 256 << 20;
/// The wait before somebody is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// All that is piped in; none where nothing is.
pub(crate) fn read() -> Result<Option<String>, Failure> {
    let Ok(metadata) = fs::metadata("/proc/self/fd/0") else {
        return Ok(None);
    };
    if !(metadata.file_type().is_fifo() || metadata.is_file()) {
        return Ok(None);
    }
    let (sender, receiver) = mpsc::channel();
    let reading = move || {
        let mut text = Vec::new();
        let read = io::stdin().take(BYTES_MAX + 1).read_to_end(&mut text);
        // Nobody listens any more where the command has ended.
        let _ = sender.send(read.map(|_| text));
    };
    std::thread::spawn(reading);
    let read = match receiver.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            eprintln!(
                "muster: waiting for the end of the standard input, which may name nodes; < /dev/null asks without it"
            );
            receiver.recv().ok()
        }
        read => read.ok(),
    };
    let failed = |why: String| Failure::new(format!("cannot read the standard input: {why}"));
    let text = match read {
        Some(read) => read.map_err(|error| failed(error.to_string()))?,
        None => return Ok(None),
    };
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(failed(format!("more than {BYTES_MAX} bytes")));
    }
    // What is no text names no nodes, just as text that is no JSON.
    Ok(String::from_utf8(text).ok())
}
