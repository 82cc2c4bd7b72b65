//! A non-blocking TCP stream of one loop.

use std::io::{self, IoSlice, Read, Write};
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// What one read or write on a non-blocking stream came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes went through, at least one.
    Bytes(usize),
    /// Nothing can move until the poll says so.
    Blocked,
    /// The peer has closed its side.
    End,
}

/// A TCP stream. `!Send`: its descriptor may be in a private table.
#[derive(Debug)]
pub struct Stream {
    inner: TcpStream,
    local: PhantomData<*const ()>,
}

impl Stream {
    pub(crate) fn accepted(inner: TcpStream) -> Self {
        // A refusal concerns latency only; the stream works without it.
        let _ = inner.set_nodelay(true);
        Self {
            inner,
            local: PhantomData,
        }
    }

    /// Starts to connect to `peer`, from `source` if given; the stream is writable once connected ([`Stream::connected`]).
    ///
    /// With a source address the port is chosen at connect time, so that one port serves many peers.
    ///
    /// # Errors
    /// The operating system's refusal, such as no free port at `source`.
    pub fn connect(peer: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let domain = if peer.is_ipv4() {
            Domain::IPV4
        } else {
            Domain::IPV6
        };
        let socket = Socket::new(
            domain,
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        if let Some(source) = source {
            choose_port_at_connect(&socket)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&peer.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Self::accepted(TcpStream::from_std(socket.into())))
    }

    /// After the first writable event of a connecting stream: whether it is connected.
    ///
    /// # Errors
    /// Why the connection failed.
    pub fn connected(&self) -> io::Result<bool> {
        if let Some(error) = self.inner.take_error()? {
            return Err(error);
        }
        match self.inner.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what is there into `buffer`, which is not empty.
    ///
    /// # Errors
    /// The connection's failure.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Moved> {
        match self.inner.read(buffer) {
            Ok(0) => Ok(Moved::End),
            other => moved(other),
        }
    }

    /// Writes what the kernel takes of `buffers`.
    ///
    /// # Errors
    /// The connection's failure.
    pub fn write(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<Moved> {
        match self.inner.write_vectored(buffers) {
            Ok(0) => Ok(Moved::Blocked),
            other => moved(other),
        }
    }

    /// The address this side is bound to.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    /// Ends this side of the connection, so that the peer reads everything that was written before it sees the end.
    pub fn shutdown(&mut self) {
        // A connection that is gone already needs no end.
        let _ = self.inner.shutdown(std::net::Shutdown::Write);
    }

    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.inner
    }
}

/// Without it, `bind` takes a port for all peers at once and one source address carries 28,000 connections in all.
fn choose_port_at_connect(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).expect("an int is four bytes long");
    // SAFETY: the descriptor is open, and the value is a live int of the length named.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn moved(result: io::Result<usize>) -> io::Result<Moved> {
    match result {
        Ok(count) => Ok(Moved::Bytes(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Moved::Blocked),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Moved::Blocked),
        Err(error) => Err(error),
    }
}
