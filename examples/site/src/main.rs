//! A site's own server: the node of `muster server` with the agent `rack` compiled in, for a site that wants one file on each
//! machine and nothing beside it. `docs/site-build.md` says how to make one's own of it.
//!
//! Argument: the configuration file, that of any node.

#![forbid(unsafe_code)]

mod rack;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_reactor::signal::{Signal, Signals};
use muster_server::agent::Rpc;
use muster_server::daemon::{Daemon, Stop};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

/// Signals wake their thread; there is nothing to do in between.
const IDLE: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let path = std::env::args().nth(1).ok_or("which configuration file?")?;
    let daemon = daemon(Path::new(&path))?;
    let signals = Signals::block()?;
    let stop = Stop::new()?;
    let request = stop.clone();
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait(IDLE) {
            if matches!(signal, Some(Signal::Interrupt | Signal::Terminate)) {
                return request.request();
            }
        }
    });
    Ok(daemon.run(&stop)?)
}

/// The node of this configuration, with the site's agent.
fn daemon(path: &Path) -> Result<Daemon, Box<dyn Error>> {
    let list = |folder: &Path| {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    let settings = Settings::load(path, None, |path| fs::read_to_string(path), list)?;
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let flags = NodeFlags {
        is_root: true,
        hostname: Some(hostname.trim().to_owned()),
        config_file: path.to_string_lossy().into_owned(),
        ..NodeFlags::default()
    };
    let config = NodeConfig::from_settings(&settings, &flags)?;
    let rack = rack::Rack::new("/etc/rack")?;
    Ok(Daemon::new(config).with_agent(Arc::new(Rpc::new(rack))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_made_of_an_ordinary_configuration() {
        let path = std::env::temp_dir().join(format!("site-server-{}.conf", std::process::id()));
        let text = "identity = n1.example.net\nplugin.choria.middleware_hosts = 127.0.0.1:4222\n";
        fs::write(&path, text).unwrap();
        let daemon = daemon(&path);
        fs::remove_file(&path).unwrap();
        assert!(daemon.is_ok(), "{daemon:?}");
    }
}
