//! What an idle, mutually authenticated session costs. Prints the figures (`--nocapture`) that the docs of `TlsSession` quote.

mod tls_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use muster_reactor::tls::{ClientAuth, TlsSession};
use tls_support::{Authority, Feed, Pair, VERSIONS};

struct Counting;

thread_local! {
    /// Bytes this thread holds. Sessions here live on the thread that made them.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: usize, sign: isize) {
    let bytes = isize::try_from(bytes).expect("a layout's size fits an isize");
    // The thread may be ending; what it frees then is of no interest.
    let _ = HELD.try_with(|held| held.set(held.get() + sign * bytes));
}

// SAFETY: all calls go to the system allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: `ptr` came from `alloc` above with this `layout`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SESSIONS: usize = 200;

/// A session's bytes by this allocator, and by the C library, which also sees what the cryptographic library takes for itself.
struct Cost {
    counted: usize,
    malloc: usize,
}

#[cfg(target_env = "gnu")]
fn malloc_in_use() -> usize {
    // SAFETY: reads the allocator's statistics; no argument, no precondition.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

#[cfg(not(target_env = "gnu"))]
fn malloc_in_use() -> usize {
    0
}

fn cost(make: impl Fn() -> TlsSession) -> Cost {
    // The first few pay for lazily made tables.
    let warm: Vec<_> = (0..4).map(|_| make()).collect();
    let mut sessions = Vec::with_capacity(SESSIONS);
    let (counted, malloc) = (HELD.get(), malloc_in_use());
    sessions.extend((0..SESSIONS).map(|_| make()));
    let counted = usize::try_from(HELD.get() - counted).expect("sessions were added");
    let malloc = malloc_in_use().saturating_sub(malloc);
    drop(warm);
    assert_eq!(sessions.len(), SESSIONS);
    Cost {
        counted: counted / SESSIONS,
        malloc: malloc / SESSIONS,
    }
}

#[test]
fn idle_session_stays_small() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    let node = ca.node();
    println!("size_of TlsSession: {}", size_of::<TlsSession>());
    assert!(size_of::<TlsSession>() <= 64);
    for (version, name) in VERSIONS {
        let mut config = (*ca.client_of_version(Some(&node), version)).clone();
        config.resumption = rustls::client::Resumption::disabled();
        let client = Arc::new(config);
        let idle = || {
            let mut pair = Pair::established(&client, &server);
            // Some traffic first, with a record cut in two, so that buffers have been in use.
            pair.client.send(&[7; 5000]);
            pair.server.send(&[8; 5000]);
            (pair.split, pair.feed) = (1000, Feed::InPlace);
            pair.settle().unwrap();
            assert_eq!(pair.server.plaintext.len(), 5000);
            pair
        };
        for (side, cost) in [
            ("server", cost(|| idle().server.session)),
            ("client", cost(|| idle().client.session)),
        ] {
            let Cost { counted, malloc } = cost;
            println!("tls {name} {side}: {counted} bytes counted, {malloc} bytes by malloc");
            assert!(counted > 1000, "the allocator counts: {counted}");
            assert!(counted < 8192, "{name} {side}: {counted} bytes");
        }
    }
}
