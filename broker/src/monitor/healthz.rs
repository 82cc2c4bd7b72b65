//! `/healthz`: whether clients are served.
//!
//! A broker that exists has its listeners open, so this answers `ok` unless it is asked for JetStream,
//! which this broker has not.

use muster_reactor::http::HttpResponse;
use serde::Serialize;

use super::params::{ParamError, Params};

#[derive(Debug, Serialize)]
struct Healthz {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<HealthError>,
}

#[derive(Debug, Serialize)]
struct HealthError {
    #[serde(rename = "type")]
    kind: &'static str,
    error: &'static str,
}

pub(super) fn healthz(params: Params<'_>) -> Result<HttpResponse, ParamError> {
    let needs_jetstream = params.bool("js-enabled-only")? | params.bool("js-enabled")?;
    params.bool("js-server-only")?;
    params.bool("js-meta-only")?;
    let details = params.bool("details")?;
    let asks = |name| params.text(name).is_some();
    let problem = if asks("stream") && !asks("account") {
        Some((
            400,
            "error",
            "BAD_REQUEST",
            "\"account\" must not be empty when checking stream health",
        ))
    } else if asks("consumer") && !asks("stream") {
        Some((
            400,
            "error",
            "BAD_REQUEST",
            "\"stream\" must not be empty when checking consumer health",
        ))
    } else if needs_jetstream {
        Some((503, "unavailable", "JETSTREAM", "JetStream not enabled"))
    } else {
        None
    };
    let (code, health) = match problem {
        None => (
            200,
            Healthz {
                status: "ok",
                error: None,
                errors: Vec::new(),
            },
        ),
        Some((code, status, kind, error)) if details => (
            code,
            Healthz {
                status,
                error: None,
                errors: vec![HealthError { kind, error }],
            },
        ),
        Some((code, status, _, error)) => (
            code,
            Healthz {
                status,
                error: Some(error),
                errors: Vec::new(),
            },
        ),
    };
    // Compact, unlike the others.
    let body = serde_json::to_vec(&health).unwrap_or_default();
    Ok(HttpResponse::new(code, "application/json", body))
}
