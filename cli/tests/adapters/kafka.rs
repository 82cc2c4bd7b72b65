//! A real Kafka.

use crate::Act;

pub(crate) const ALL: &[(&str, Act)] = &[];

/// Whether it can be tried here.
pub(crate) fn is_present() -> bool {
    false
}
