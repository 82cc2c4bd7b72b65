//! The groups file: names for several callers.
//!
//! ```text
//! # name  members, between single blanks
//! admins choria=rip.mcollective choria=admin.mcollective
//! ```

use std::collections::HashMap;

use super::parse::lines;
use super::{LINE_BYTES_MAX, PolicyWarning};

/// Groups of callers.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    members: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Groups {
    /// Reads the text of a groups file; of two groups of one name the later one counts. `file_name` is for messages.
    #[must_use]
    pub fn parse(text: &str, file_name: &str) -> (Self, Vec<PolicyWarning>) {
        let mut groups = Self::default();
        let mut warnings = Vec::new();
        for (line, text) in lines(text) {
            let mut words = text.split(' ');
            let name = words.next().unwrap_or_default();
            let members: Vec<Box<str>> = words.map(Into::into).collect();
            let problem = if text.len() >= LINE_BYTES_MAX {
                Some(format!(
                    "the line has {} bytes, at most {LINE_BYTES_MAX} are allowed; it is skipped",
                    text.len()
                ))
            } else if members.is_empty() {
                Some("the group has no members; it is skipped".to_owned())
            } else if !is_group_name(name) {
                Some(format!(
                    "{name:?} is no name for a group; the line is skipped"
                ))
            } else {
                None
            };
            match problem {
                Some(message) => warnings.push(PolicyWarning {
                    file_name: file_name.into(),
                    line,
                    message: message.into(),
                }),
                None => {
                    groups.members.insert(name.into(), members);
                }
            }
        }
        (groups, warnings)
    }

    /// Whether a caller is in a group.
    #[must_use]
    pub fn contains(&self, group: &str, caller: &str) -> bool {
        let members = self.members.get(group);
        members.is_some_and(|members| members.iter().any(|member| **member == *caller))
    }
}

fn is_group_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}
