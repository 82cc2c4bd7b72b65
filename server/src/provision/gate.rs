//! Who may call the agent, and when: pure decisions, before anything is touched.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

/// How long a lock lasts after the holder's last call.
const LOCK_TIME: Duration = Duration::from_secs(120);

/// How the node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// It waits for a provisioner.
    pub in_mode: bool,
    /// A secret guards the agent.
    pub has_token: bool,
    /// There is a configuration file to write.
    pub has_config_file: bool,
    /// The provisioner may replace the program.
    pub may_update: bool,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The action is for nodes that wait for a provisioner.
    NotInMode,
    /// The action is for configured nodes.
    InMode,
    /// The node waits for no provisioner and has no secret, so that anybody could call.
    Unguarded,
    /// The file to write is not known.
    NoConfigFile,
    /// The program may not be replaced.
    NoUpdates,
    /// The secret is another.
    WrongToken,
    /// Somebody else is at it.
    Locked,
}

impl Standing {
    /// Whether the action makes sense for the node.
    ///
    /// # Errors
    /// Why not.
    pub const fn admit(&self, action: &str) -> Result<(), Refusal> {
        match action.as_bytes() {
            b"reprovision" => match (self.in_mode, self.has_token, self.has_config_file) {
                (true, _, _) => Err(Refusal::InMode),
                (false, false, _) => Err(Refusal::Unguarded),
                (false, true, false) => Err(Refusal::NoConfigFile),
                (false, true, true) => Ok(()),
            },
            b"restart" | b"shutdown" => {
                if self.in_mode || self.has_token {
                    Ok(())
                } else {
                    Err(Refusal::Unguarded)
                }
            }
            _ if !self.in_mode => Err(Refusal::NotInMode),
            b"release_update" if !self.may_update => Err(Refusal::NoUpdates),
            b"configure" | b"gencsr" | b"gen25519" if !self.has_config_file => {
                Err(Refusal::NoConfigFile)
            }
            _ => Ok(()),
        }
    }
}

/// Whether the secret given is the one expected; how long it takes says nothing of either. Without one to expect, every
/// one is right.
pub(super) fn is_token(expected: &str, given: &str) -> bool {
    let hash = |text: &str| digest(&SHA256, text.as_bytes());
    expected.is_empty()
        || verify_slices_are_equal(hash(expected).as_ref(), hash(given).as_ref()).is_ok()
}

/// Whether the action changes the node, so that one caller at a time may use it.
pub(super) const fn is_locked(action: &str) -> bool {
    !matches!(action.as_bytes(), b"reprovision" | b"restart" | b"shutdown")
}

/// Who provisions the node at the moment: a sender with a caller, for two minutes from its last call on.
#[derive(Debug, Default)]
pub struct ProvisionLock {
    holder: String,
    until: Duration,
}

impl ProvisionLock {
    /// Takes the lock, or holds it longer; false while another has it.
    pub fn take(&mut self, sender: &str, caller: &str, now: Duration) -> bool {
        let holder = format!("{sender}.{caller}");
        if now < self.until && self.holder != holder {
            return false;
        }
        self.holder = holder;
        self.until = now + LOCK_TIME;
        true
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInMode => "the node is not in provisioning mode",
            Self::InMode => "the node is in provisioning mode already",
            Self::Unguarded => "the node is not in provisioning mode and has no provision token",
            Self::NoConfigFile => "the node does not know which configuration file to write",
            Self::NoUpdates => "the node does not allow updates of its program",
            Self::WrongToken => "the provision token is wrong",
            Self::Locked => "the node is being provisioned by somebody else",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_refusals() {
        let standing = |in_mode, has_token, has_config_file, may_update| Standing {
            in_mode,
            has_token,
            has_config_file,
            may_update,
        };
        let waiting = standing(true, true, true, false);
        let configured = standing(false, true, true, true);
        let bare = standing(false, false, true, true);
        let nowhere = standing(true, true, false, true);
        let all = [
            "gencsr",
            "gen25519",
            "jwt",
            "configure",
            "release_update",
            "reprovision",
            "restart",
            "shutdown",
        ];
        use Refusal::{InMode, NoConfigFile, NoUpdates, NotInMode, Unguarded};
        let ok = Ok(());
        let rows = [
            (
                waiting,
                [ok, ok, ok, ok, Err(NoUpdates), Err(InMode), ok, ok],
            ),
            (
                configured,
                [
                    Err(NotInMode),
                    Err(NotInMode),
                    Err(NotInMode),
                    Err(NotInMode),
                    Err(NotInMode),
                    ok,
                    ok,
                    ok,
                ],
            ),
            (
                bare,
                [
                    Err(NotInMode),
                    Err(NotInMode),
                    Err(NotInMode),
                    Err(NotInMode),
                    Err(NotInMode),
                    Err(Unguarded),
                    Err(Unguarded),
                    Err(Unguarded),
                ],
            ),
            (
                nowhere,
                [
                    Err(NoConfigFile),
                    Err(NoConfigFile),
                    ok,
                    Err(NoConfigFile),
                    ok,
                    Err(InMode),
                    ok,
                    ok,
                ],
            ),
        ];
        for (standing, expected) in rows {
            for (action, expected) in all.iter().zip(expected) {
                assert_eq!(standing.admit(action), expected, "{standing:?} {action}");
            }
        }
    }

    #[test]
    fn only_the_secret_is_the_secret() {
        assert!(is_token("", "anything"));
        assert!(is_token("s3cret", "s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!is_token("s3cret", wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_lock_is_for_one_pair_and_two_minutes_after_its_last_call() {
        let mut lock = ProvisionLock::default();
        let secs = Duration::from_secs;
        assert!(lock.take("s1", "c1", secs(1000)));
        assert!(!lock.take("s2", "c1", secs(1010)));
        assert!(!lock.take("s1", "c2", secs(1010)));
        assert!(lock.take("s1", "c1", secs(1100)));
        assert!(!lock.take("s2", "c1", secs(1219)));
        assert!(lock.take("s2", "c1", secs(1220)));
        assert!(!lock.take("s1", "c1", secs(1221)));
    }
}
