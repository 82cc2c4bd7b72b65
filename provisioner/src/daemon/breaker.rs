//! The circuit breaker: the provisioner's backplane.

use std::sync::Arc;

use muster_backplane::{
    Backplane, Health, HealthCheck, InfoSource, Pausable, StartError, Stoppable,
};
use serde_json::{Value, json};

use super::Control;
use crate::config::{Features, ProvisionerConfig};
use crate::metrics::Metrics;

/// What operators can do with a provisioner, and find it by. No secret is among it.
#[derive(Debug)]
struct Breaker {
    control: Control,
    metrics: Arc<Metrics>,
    site: String,
    workers: usize,
    features: Features,
    leader_election: bool,
}

/// Starts it where it is configured.
pub(super) fn start(
    config: &ProvisionerConfig,
    control: &Control,
    metrics: &Arc<Metrics>,
) -> Result<Option<Backplane>, StartError> {
    let Some(management) = &config.management else {
        return Ok(None);
    };
    let breaker = Arc::new(Breaker {
        control: control.clone(),
        metrics: Arc::clone(metrics),
        site: config.site.clone(),
        workers: config.workers.get(),
        features: config.features,
        leader_election: config.leader_election,
    });
    let pausable: Arc<dyn Pausable> = breaker.clone();
    let health: Arc<dyn HealthCheck> = breaker.clone();
    let stoppable: Arc<dyn Stoppable> = breaker.clone();
    let info: Arc<dyn InfoSource> = breaker;
    management
        .clone()
        .builder()
        .pausable(pausable)
        .health_check(health)
        .stoppable(stoppable)
        .info_source(info)
        .start()
        .map(Some)
}

impl Pausable for Breaker {
    fn pause(&self) {
        self.control.set_paused(|_| true);
    }

    fn resume(&self) {
        self.control.set_paused(|_| false);
    }

    fn flip(&self) {
        self.control.set_paused(|is_paused| !is_paused);
    }

    fn is_paused(&self) -> bool {
        self.control.is_paused()
    }
}

impl HealthCheck for Breaker {
    fn check(&self) -> Health {
        let metrics = &self.metrics;
        Health {
            is_healthy: !self.control.is_paused(),
            result: json!({
                "paused": metrics.paused.get() == 1,
                "leader": metrics.leader.get() == 1,
                "busy_workers": metrics.busy_workers.get(),
                "waiting": metrics.work_queue_entries.get(),
                "provisioned": metrics.provisioned.get(),
                "provision_errors": metrics.provision_errors.get(),
                "helper_errors": metrics.helper_errors.get(),
            }),
        }
    }
}

impl Stoppable for Breaker {
    fn shutdown(&self) {
        self.control.request_stop();
    }
}

impl InfoSource for Breaker {
    fn facts(&self) -> Value {
        json!({
            "site": self.site,
            "workers": self.workers,
            "paused": self.control.is_paused(),
            "leader": self.metrics.leader.get() == 1,
            "leader_election": self.leader_election,
            "feature_pki": self.features.pki,
            "feature_jwt": self.features.jwt,
            "feature_ed25519": self.features.ed25519,
            "feature_upgrades": self.features.upgrades,
        })
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }
}
