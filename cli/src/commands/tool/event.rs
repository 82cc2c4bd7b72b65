//! `muster tool event`: follows the lifecycle events of the fleet.

use std::time::Duration;

use clap::{Args, ValueEnum};
use muster_protocol::lifecycle::{ALL_EVENTS, LifecycleEvent};
use muster_reactor::clock::unix_now;

use super::listener::Listener;
use crate::connection::{ConnectionArgs, seconds};
use crate::exit::{Exit, Failure};
use crate::render;
use crate::render::event::line;

#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    /// Events of this component only, such as server.
    #[arg(long, value_name = "COMPONENT")]
    component: Option<String>,
    /// Events of this type only.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<Kind>,
    /// Each event as it came, one JSON document a line.
    #[arg(short, long)]
    json: bool,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The types of events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Startup,
    Shutdown,
    Provisioned,
    Alive,
    Upgraded,
    Governor,
}

pub(crate) fn run(args: &EventArgs) -> Result<Exit, Failure> {
    let client = args.connection.client()?;
    let mut listener = Listener::connect(client.fleet, ALL_EVENTS)?;
    let server = listener.server();
    eprintln!("Waiting for events from topic {ALL_EVENTS} on {server}");
    let mut left = args.count.unwrap_or(usize::MAX);
    while left > 0 {
        let wait = match args.timeout {
            Some(timeout) if listener.age() >= timeout => break,
            Some(timeout) => timeout.saturating_sub(listener.age()),
            None => Duration::MAX,
        };
        for payload in listener.listen(wait)? {
            let Some(text) = args.show(&payload) else {
                continue;
            };
            render::put(&text)?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    Ok(Exit::Success)
}

impl EventArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// An event's line, where it is one that is asked for. What is no event is said at debug level and passed over.
    fn show(&self, payload: &[u8]) -> Option<String> {
        let event = match LifecycleEvent::parse(payload) {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, bytes = payload.len(), "not a lifecycle event");
                return None;
            }
        };
        let component_fits = self
            .component
            .as_ref()
            .is_none_or(|wanted| *wanted == event.component);
        let kind_fits = self.kind.is_none_or(|kind| {
            let name = kind.to_possible_value();
            name.is_some_and(|name| name.get_name() == event.kind.name())
        });
        if !component_fits || !kind_fits {
            return None;
        }
        if self.json {
            return render::event::json_line(payload);
        }
        let now = i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX);
        Some(line(now, &event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTUP: &[u8] = br#"{"protocol":"io.choria.lifecycle.v1.startup","identity":"n1","component":"server","timestamp":1,"version":"1.0"}"#;

    fn args(component: Option<&str>, kind: Option<Kind>) -> EventArgs {
        EventArgs {
            component: component.map(str::to_owned),
            kind,
            json: true,
            count: None,
            timeout: None,
            connection: ConnectionArgs::default(),
        }
    }

    #[test]
    fn events_are_chosen_by_component_and_type() {
        let shown = |component, kind| args(component, kind).show(STARTUP).is_some();
        assert!(shown(None, None));
        assert!(shown(Some("server"), Some(Kind::Startup)));
        assert!(!shown(Some("broker"), None));
        assert!(!shown(None, Some(Kind::Shutdown)));
        assert_eq!(args(None, None).show(b"noise"), None);
    }
}
