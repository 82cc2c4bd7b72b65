//! Listeners that share one port among loops, while the port still belongs to one process.

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::stream::Stream;

/// Connections the kernel keeps for one listener before they are accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// The claim on a port: the first listening socket. It can be handed to the thread that will accept from it.
#[derive(Debug)]
pub struct Claim {
    socket: Socket,
    address: SocketAddr,
}

/// A listening socket of one loop.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
    local: PhantomData<*const ()>,
}

impl Claim {
    /// Binds and listens on `address`; port 0 takes a free one.
    ///
    /// The socket is bound without `SO_REUSEPORT`, so a port that any other process listens on is refused.
    /// The option is set afterwards, so that [`Listener::join`] can add more sockets to the port.
    ///
    /// # Errors
    /// `AddrInUse` when the port is taken, else the operating system's refusal.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = open(address)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_reuse_port(true)?;
        let address = local_address(&socket)?;
        Ok(Self { socket, address })
    }

    /// The address with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The listener of the claim itself, for the loop that accepts from it.
    #[must_use]
    pub fn into_listener(self) -> Listener {
        let inner = TcpListener::from_std(self.socket.into());
        Listener {
            inner,
            address: self.address,
            local: PhantomData,
        }
    }
}

impl Listener {
    /// Adds one more listener to a port that a [`Claim`] of this process holds.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn join(address: SocketAddr) -> io::Result<Self> {
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let inner = TcpListener::from_std(socket.into());
        Ok(Self {
            inner,
            address,
            local: PhantomData,
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes one waiting connection.
    ///
    /// # Errors
    /// `WouldBlock` when none waits; else the operating system's refusal, which may concern that one connection only.
    pub fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = self.inner.accept()?;
        Ok((Stream::accepted(stream), peer))
    }

    pub(crate) fn source(&mut self) -> &mut TcpListener {
        &mut self.inner
    }
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(
        domain,
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("a TCP socket has no IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn the_port_belongs_to_one_claim() {
        let claim = Claim::new(loopback()).unwrap();
        let second = Claim::new(claim.address()).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn listeners_join_the_claimed_port() {
        let claim = Claim::new(loopback()).unwrap();
        let joined = Listener::join(claim.address()).unwrap();
        assert_eq!(joined.address(), claim.address());
        let third = Claim::new(claim.address()).unwrap_err();
        assert_eq!(third.kind(), io::ErrorKind::AddrInUse);
    }
}
