//! What the command finds around it: user, host, home.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The user who runs the command.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) is_root: bool,
}

/// Who runs the command; of the name, the password file knows more than the environment.
pub(crate) fn user() -> User {
    // The owner of our own process is our effective user.
    let uid = fs::metadata("/proc/self")
        .map(|metadata| metadata.uid())
        .ok();
    let listed = uid.and_then(|uid| {
        let users = fs::read_to_string("/etc/passwd").ok()?;
        user_name(&users, uid)
    });
    let name = listed.or_else(|| std::env::var("USER").ok());
    User {
        name: name.unwrap_or_default(),
        is_root: uid == Some(0),
    }
}

/// The host's name as the kernel has it.
pub(crate) fn kernel_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The host's name: fully qualified where its own table of hosts knows more than the kernel.
pub(crate) fn hostname() -> Option<String> {
    let name = kernel_name()?;
    if name.contains('.') {
        return Some(name);
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    Some(qualified(&hosts, &name).unwrap_or(name))
}

/// The user's home directory.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

/// Whether an environment variable is set to `true`.
pub(crate) fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "true")
}

fn user_name(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn qualified(hosts: &str, name: &str) -> Option<String> {
    let prefix = format!("{name}.");
    let words = hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let mut names = words.flat_map(|line| line.split_whitespace().skip(1));
    names
        .find(|host| host.starts_with(&prefix))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nrip:x:1000:1000::/home/rip:/bin/sh\n";
        assert_eq!(user_name(users, 1000).as_deref(), Some("rip"));
        assert_eq!(user_name(users, 7), None);
    }

    #[test]
    fn the_table_of_hosts_completes_a_short_name() {
        let hosts = "127.0.0.1 localhost\n10.0.0.1 web10.example.net # web1.example.org\n\
                     10.0.0.2 web1.example.net web1\n";
        assert_eq!(
            qualified(hosts, "web1").as_deref(),
            Some("web1.example.net")
        );
        assert_eq!(qualified(hosts, "db1"), None);
    }
}
