//! The primitives that the sublist and the match cache share between threads.
//!
//! One place to swap them for loom's, so that the model in `tests/sublist_loom.rs` runs the very
//! code that ships. Counters that order nothing stay on `std` and are not part of the model.

#[cfg(not(loom))]
pub(super) use parking_lot::RwLock;
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

/// loom's lock without its poisoning, so that callers read alike in both builds.
#[cfg(loom)]
#[derive(Debug)]
pub(super) struct RwLock<T>(loom::sync::RwLock<T>);

#[cfg(loom)]
impl<T> RwLock<T> {
    pub(super) fn new(value: T) -> Self {
        Self(loom::sync::RwLock::new(value))
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect("a panic ends the model")
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect("a panic ends the model")
    }
}
