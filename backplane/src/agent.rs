//! The agent `backplane`: each call is authorised, waits for its turn, and is carried out off the node's thread.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::ddl::{Action, Ddl};
use muster_protocol::rpc::{StatusCode, unknown_action};
use muster_reactor::clock::random_seed;
use muster_server::agent::{HostView, RpcAgent, RpcAnswer, RpcCall, RpcOutcome, Work};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tracing::{info, warn};

use crate::application::{Health, LogLevel, Offer, Pausable};
use crate::auth::{Authorization, DENIED, Right};
use crate::ddl::{AGENT, VERSION, ddl};
use crate::delay::{duration_text, shutdown_delay};
use crate::facts::AppFacts;
use crate::keeper::Agenda;

/// What is reported where the application does not say.
const UNKNOWN: &str = "unknown";
/// How long a call waits for others before it: its caller has given up by then.
const TURN_MAX: Duration = Duration::from_secs(10);

/// What a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Ping,
    Info,
    Health,
    Pause,
    Resume,
    Flip,
    Shutdown,
    SetLevel(LogLevel),
}

impl Verb {
    fn of(action: &str) -> Option<Self> {
        Some(match action {
            "ping" => Self::Ping,
            "info" => Self::Info,
            "health" => Self::Health,
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "flip" => Self::Flip,
            "shutdown" => Self::Shutdown,
            "debuglvl" => Self::SetLevel(LogLevel::Debug),
            "infolvl" => Self::SetLevel(LogLevel::Info),
            "warnlvl" => Self::SetLevel(LogLevel::Warning),
            "critlvl" => Self::SetLevel(LogLevel::Critical),
            _ => return None,
        })
    }

    fn right(self) -> Right {
        match self {
            Self::Ping | Self::Info | Self::Health => Right::ReadOnly,
            Self::Pause | Self::Resume | Self::Flip | Self::Shutdown | Self::SetLevel(_) => {
                Right::Full
            }
        }
    }

    fn is_in(self, offer: &Offer) -> bool {
        match self {
            Self::Ping | Self::Info => true,
            Self::Health => offer.health.is_some(),
            Self::Pause | Self::Resume | Self::Flip => offer.pausable.is_some(),
            Self::Shutdown => offer.stoppable.is_some(),
            Self::SetLevel(_) => offer.log_levels.is_some(),
        }
    }
}

/// The agent of one application.
#[derive(Debug)]
pub(crate) struct BackplaneAgent {
    ddl: Ddl,
    auth: Authorization,
    desk: Arc<Desk>,
}

/// Where calls are carried out, one at a time.
struct Desk {
    offer: Offer,
    facts: Arc<AppFacts>,
    agenda: Agenda,
    shutdown_spread: Duration,
    turn: Mutex<()>,
}

#[derive(Serialize)]
struct Info<'a> {
    backplane_version: &'a str,
    version: &'a str,
    paused: bool,
    facts: Value,
    healthy: bool,
    loglevel: &'a str,
    healthcheck_feature: bool,
    pause_feature: bool,
    shutdown_feature: bool,
    facts_feature: bool,
    loglevel_feature: bool,
}

#[derive(Serialize)]
struct HealthReply {
    result: Value,
    healthy: bool,
}

impl BackplaneAgent {
    pub(crate) fn new(
        offer: Offer,
        auth: Authorization,
        facts: Arc<AppFacts>,
        agenda: Agenda,
        shutdown_spread: Duration,
    ) -> Self {
        let is_offered =
            |action: &&Action| Verb::of(&action.name).is_some_and(|verb| verb.is_in(&offer));
        let mut metadata = ddl().metadata.clone();
        metadata.provider = String::new();
        let ddl = Ddl {
            metadata,
            actions: ddl().actions.iter().filter(is_offered).cloned().collect(),
        };
        let desk = Desk {
            offer,
            facts,
            agenda,
            shutdown_spread,
            turn: Mutex::new(()),
        };
        Self {
            ddl,
            auth,
            desk: Arc::new(desk),
        }
    }
}

impl RpcAgent for BackplaneAgent {
    fn ddl(&self) -> &Ddl {
        &self.ddl
    }

    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer {
        let (action, caller) = (call.action, call.request.caller_id);
        let Some(verb) = Verb::of(action) else {
            let text = unknown_action(action, AGENT);
            return RpcOutcome::failed(StatusCode::UnknownAction, text).into();
        };
        if !self.auth.allows(caller, verb.right()) {
            warn!(identity = host.identity, action, caller, "call denied");
            return RpcOutcome::failed(StatusCode::Aborted, DENIED).into();
        }
        info!(identity = host.identity, action, caller, "called");
        let desk = Arc::clone(&self.desk);
        RpcAnswer::Later(Work::new(move || desk.serve(verb)))
    }
}

impl Desk {
    /// Waits for the calls before this one, and carries it out.
    fn serve(&self, verb: Verb) -> RpcOutcome {
        let Some(_turn) = self.turn.try_lock_for(TURN_MAX) else {
            let text = format!("another action has been under way for {TURN_MAX:?}");
            return RpcOutcome::failed(StatusCode::Aborted, text);
        };
        match verb {
            Verb::Ping => RpcOutcome::ok(format!(r#"{{"version":"{VERSION}"}}"#)),
            Verb::Info => self.info(),
            Verb::Health => self.health(),
            Verb::Pause => self.switch(|app| app.pause()),
            Verb::Resume => self.switch(|app| app.resume()),
            Verb::Flip => self.switch(|app| app.flip()),
            Verb::Shutdown => self.shut_down(),
            Verb::SetLevel(level) => self.set_level(level),
        }
    }

    fn info(&self) -> RpcOutcome {
        let offer = &self.offer;
        let version = offer.info.as_ref().map(|info| info.version());
        let level = offer
            .log_levels
            .as_ref()
            .map(|levels| levels.level().name());
        reply(&Info {
            backplane_version: VERSION,
            version: version.as_deref().unwrap_or(UNKNOWN),
            paused: offer.pausable.as_ref().is_some_and(|app| app.is_paused()),
            facts: offer.info.as_ref().map_or(Value::Null, |info| info.facts()),
            healthy: offer
                .health
                .as_ref()
                .is_some_and(|app| app.check().is_healthy),
            loglevel: level.unwrap_or(UNKNOWN),
            healthcheck_feature: offer.health.is_some(),
            pause_feature: offer.pausable.is_some(),
            shutdown_feature: offer.stoppable.is_some(),
            facts_feature: offer.info.is_some(),
            loglevel_feature: offer.log_levels.is_some(),
        })
    }

    fn health(&self) -> RpcOutcome {
        let Some(health) = &self.offer.health else {
            return not_offered();
        };
        let Health { is_healthy, result } = health.check();
        reply(&HealthReply {
            result,
            healthy: is_healthy,
        })
    }

    fn switch(&self, act: impl FnOnce(&dyn Pausable)) -> RpcOutcome {
        let Some(app) = &self.offer.pausable else {
            return not_offered();
        };
        act(&**app);
        self.facts.renew();
        RpcOutcome::ok(format!(r#"{{"paused":{}}}"#, app.is_paused()))
    }

    fn shut_down(&self) -> RpcOutcome {
        let delay = shutdown_delay(self.shutdown_spread, random_seed());
        let text = duration_text(delay);
        warn!(delay = text, "shutdown scheduled");
        self.agenda.shut_down_after(delay);
        RpcOutcome::ok(format!(r#"{{"delay":"{text}"}}"#))
    }

    fn set_level(&self, level: LogLevel) -> RpcOutcome {
        let Some(levels) = &self.offer.log_levels else {
            return not_offered();
        };
        levels.set_level(level);
        self.facts.renew();
        RpcOutcome::ok(format!(r#"{{"level":"{}"}}"#, level.name()))
    }
}

fn reply(data: &impl Serialize) -> RpcOutcome {
    match serde_json::to_string(data) {
        Ok(data) => RpcOutcome::ok(data),
        Err(error) => RpcOutcome::failed(StatusCode::Aborted, error.to_string()),
    }
}

/// Only what is offered has an action, so nobody gets here.
fn not_offered() -> RpcOutcome {
    RpcOutcome::failed(
        StatusCode::UnknownAction,
        "the application does not offer this",
    )
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("offer", &self.offer)
            .field("shutdown_spread", &self.shutdown_spread)
            .finish_non_exhaustive()
    }
}
