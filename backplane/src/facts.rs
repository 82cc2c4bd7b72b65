//! The facts of an application: what it tells of itself, and what can be asked of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use muster_server::Facts;
use muster_server::embed::SharedFacts;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tracing::{error, warn};

use crate::application::Offer;
use crate::ddl::VERSION;

/// Makes the node's facts out of the application's.
#[derive(Debug)]
pub(crate) struct AppFacts {
    offer: Offer,
    name: String,
    shared: SharedFacts,
    /// Held from the application's answer until it is set: of two renewals at a time the later answer stays.
    renewing: Mutex<()>,
}

impl AppFacts {
    pub(crate) fn new(name: &str, offer: Offer) -> Self {
        Self {
            offer,
            name: name.to_owned(),
            shared: SharedFacts::default(),
            renewing: Mutex::new(()),
        }
    }

    /// The facts as the node takes them.
    pub(crate) fn shared(&self) -> &SharedFacts {
        &self.shared
    }

    /// Asks the application, and has the node go by the answer. An application that panics keeps its facts.
    pub(crate) fn renew(&self) {
        let _turn = self.renewing.lock();
        let told = match &self.offer.info {
            Some(info) => catch_unwind(AssertUnwindSafe(|| info.facts())),
            None => Ok(Value::Object(Map::new())),
        };
        match told {
            Ok(told) => self.shared.set(self.complete(told)),
            Err(_) => error!(name = self.name, "the application's facts panicked"),
        }
    }

    fn complete(&self, told: Value) -> Facts {
        let mut facts = match told {
            Value::Object(facts) => facts,
            Value::Null => Map::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                warn!(name = self.name, "the application's facts are no object");
                Map::new()
            }
        };
        let own = [
            ("backplane_version", Value::from(VERSION)),
            ("backplane_name", Value::from(self.name.as_str())),
            ("backplane_pausable", self.offer.pausable.is_some().into()),
            ("backplane_stopable", self.offer.stoppable.is_some().into()),
            (
                "backplane_healthcheckable",
                self.offer.health.is_some().into(),
            ),
            (
                "backplane_loglevelsetable",
                self.offer.log_levels.is_some().into(),
            ),
        ];
        facts.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let text = Value::Object(facts).to_string();
        Facts::parse(text).expect("an object was written")
    }
}
