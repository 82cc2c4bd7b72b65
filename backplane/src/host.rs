//! What stands for settings that are not given: the host's name, and where its configuration management keeps keys.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The kernel's name of the host, completed from the host's own table where that knows more.
pub(crate) fn hostname() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    Some(qualified(&hosts, name).unwrap_or(name).to_owned())
}

/// The folder of certificates that the host's agent keeps for this user, if the user has a home.
pub(crate) fn puppet_ssl_dir() -> Option<PathBuf> {
    // The owner of our own process is our effective user.
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if is_root {
        return Some(PathBuf::from("/etc/puppetlabs/puppet/ssl"));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute())?;
    Some(home.join(".puppetlabs/etc/puppet/ssl"))
}

fn qualified<'h>(hosts: &'h str, name: &str) -> Option<&'h str> {
    if name.contains('.') {
        return None;
    }
    let lines = hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let mut names = lines.flat_map(|line| line.split_whitespace().skip(1));
    names.find(|host| {
        host.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_completed() {
        let hosts =
            "127.0.0.1 localhost\n10.0.0.1 web10.x # web1.y\n10.0.0.2 web1.example.net web1\n";
        assert_eq!(qualified(hosts, "web1"), Some("web1.example.net"));
        assert_eq!(qualified(hosts, "web1.example.net"), None);
        assert_eq!(qualified(hosts, "db1"), None);
    }
}
