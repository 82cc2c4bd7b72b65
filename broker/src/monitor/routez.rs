//! `/routez`: routes to other brokers. There are none until the broker has cluster routes; the form is final.

use serde::Serialize;

use super::Moment;
use super::format::rfc3339;
use super::params::{ParamError, Params};
use crate::Broker;

#[derive(Debug, Serialize)]
pub(super) struct Routez {
    server_id: String,
    server_name: String,
    now: String,
    num_routes: usize,
    routes: [(); 0],
}

pub(super) fn routez(broker: &Broker, params: Params<'_>) -> Result<Routez, ParamError> {
    params.subs()?;
    let info = &broker.core().config.info;
    Ok(Routez {
        server_id: info.server_id.clone(),
        server_name: info.server_name.clone(),
        now: rfc3339(Moment::of(broker).unix),
        num_routes: 0,
        routes: [],
    })
}
