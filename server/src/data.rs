//! Data plugins: what a node can be asked of itself by name, by `rpcutil#get_data` and by compound filters.
//!
//! | plugin | query | keys |
//! |---|---|---|
//! | `choria` | – | what the server is, has and counts |
//! | `config_item` | a key | `present`, `value` |
//! | `machine_state` | an autonomous agent | those of its state |
//! | `scout` | a check | those of its state |
//!
//! This product runs no autonomous agents, so `machine_state` and `scout` fail as they do on a server without any: a
//! plugin that fails gives an object without members.

use std::fmt;
use std::sync::Arc;

use muster_protocol::filter::DataPlugins;
use serde_json::Value;

use crate::agent::HostView;
use crate::members::Members;

/// Stands where a server of today names its build.
const UNKNOWN: &str = "unknown";

/// Something a node can be asked of itself.
pub trait DataPlugin: Send + Sync + fmt::Debug {
    /// Its name.
    fn name(&self) -> &str;
    /// JSON text of an object, or why there is none. It waits for nothing.
    ///
    /// # Errors
    /// The query means nothing to it, or what was asked for is not there.
    fn query(&self, query: Option<&str>, host: &HostView<'_>) -> Result<String, DataError>;
}

/// Why a data plugin gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataError {
    /// It needs a query.
    NoQuery,
    /// There is no such thing here.
    NotFound(Box<str>),
}

/// The data plugins of a node, by name.
#[derive(Debug, Clone, Default)]
pub struct DataSet(Vec<Arc<dyn DataPlugin>>);

impl DataSet {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those every node has.
    #[must_use]
    pub fn builtin() -> Self {
        let mut set = Self::new();
        set.insert(Arc::new(Choria));
        set.insert(Arc::new(ConfigItem));
        set.insert(Arc::new(Absent("machine_state")));
        set.insert(Arc::new(Absent("scout")));
        set
    }

    /// Adds a plugin, in place of one of the same name.
    pub fn insert(&mut self, plugin: Arc<dyn DataPlugin>) {
        match self.0.binary_search_by(|own| own.name().cmp(plugin.name())) {
            Ok(at) => self.0[at] = plugin,
            Err(at) => self.0.insert(at, plugin),
        }
    }

    /// A plugin by name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&dyn DataPlugin> {
        let at = self.0.binary_search_by(|own| own.name().cmp(name)).ok()?;
        Some(&*self.0[at])
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|plugin| plugin.name()).collect()
    }
}

/// A node's data plugins as compound filters ask them. A plugin that fails gives an empty object.
#[derive(Debug, Clone, Copy)]
pub struct NodeData<'h>(pub &'h HostView<'h>);

impl DataPlugins for NodeData<'_> {
    fn query(&self, plugin: &str, query: Option<&str>) -> Option<Value> {
        let plugin = self.0.setup.options().data.find(plugin)?;
        let text = plugin.query(query, self.0);
        let value = text.ok().and_then(|text| serde_json::from_str(&text).ok());
        Some(value.unwrap_or_else(|| Value::Object(serde_json::Map::new())))
    }
}

/// The plugin `choria`.
#[derive(Debug)]
struct Choria;

/// The plugin `config_item`.
#[derive(Debug)]
struct ConfigItem;

/// A plugin about things that are not here.
#[derive(Debug)]
struct Absent(&'static str);

impl DataPlugin for Choria {
    fn name(&self) -> &'static str {
        "choria"
    }

    fn query(&self, _query: Option<&str>, host: &HostView<'_>) -> Result<String, DataError> {
        let (options, counters) = (host.setup.options(), host.counters);
        let agents = host.setup.agent_names();
        let unix = i64::try_from(host.unix.as_secs()).unwrap_or(i64::MAX);
        let members = Members::new()
            .texts("agents", agents)
            .count("agents_count", agents.len() as u64)
            .text("built", UNKNOWN)
            .texts("classes", host.classes)
            .count("classes_count", host.classes.len() as u64)
            .text("commit", UNKNOWN)
            .text("configfile", &options.config_file)
            .text("connected_broker", host.broker)
            .count("cpus", options.cpus.into())
            .count("events", counters.events)
            .count("filtered", counters.filtered)
            .text("go_version", "none")
            .integer("goroutines", 0)
            .text("license", env!("CARGO_PKG_LICENSE"))
            .raw("machines", "[]")
            .integer("machines_count", 0)
            .count("passed", counters.passed)
            .count("pid", options.pid.into())
            .boolean("provisioning", false)
            .count("replies", counters.replies)
            .count("total", counters.total)
            .count("ttlexpired", counters.ttl_expired)
            .count("unvalidated", counters.unvalidated)
            .integer("uptime", unix.saturating_sub(options.start_unix).max(0))
            .count("validated", counters.validated)
            .text("version", &options.version);
        Ok(members.finish())
    }
}

impl DataPlugin for ConfigItem {
    fn name(&self) -> &'static str {
        "config_item"
    }

    fn query(&self, query: Option<&str>, host: &HostView<'_>) -> Result<String, DataError> {
        let key = query.filter(|query| !query.is_empty());
        let key = key.ok_or(DataError::NoQuery)?;
        let value = host.setup.options().config_items.get(key);
        let text = value.map_or_else(|| "null".to_owned(), ToString::to_string);
        let members = Members::new().boolean("present", value.is_some());
        Ok(members.raw("value", &text).finish())
    }
}

impl DataPlugin for Absent {
    fn name(&self) -> &'static str {
        self.0
    }

    fn query(&self, query: Option<&str>, _host: &HostView<'_>) -> Result<String, DataError> {
        let what = query.filter(|query| !query.is_empty());
        Err(what.map_or(DataError::NoQuery, |what| DataError::NotFound(what.into())))
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQuery => f.write_str("needs a query"),
            Self::NotFound(what) => write!(f, "there is no {what:?}"),
        }
    }
}

impl std::error::Error for DataError {}
