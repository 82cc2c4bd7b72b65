//! From files to agents: looks into what the catalogue wants looked into, and holds what is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use muster_protocol::ddl::Ddl;
use tracing::{info, warn};

use super::ExternalOptions;
use super::agent::{Kind, ProgramAgent};
use super::call::{self, CallError, Run, run_external};
use super::catalogue::{Catalogue, Settled, Sighting};
use super::contract::{self, ACTIVATION_PROTOCOL};
use super::scan::scan;
use crate::agent::{Agent, Rpc};

/// How long an agent may take to say whether it wants to be loaded.
const ACTIVATION_MAX: Duration = Duration::from_secs(2);
/// Largest DDL, in bytes.
const DDL_BYTES_MAX: u64 = 1 << 20;
/// Agents looked into at a time.
const EXAMINED_AT_ONCE: usize = 8;
/// Names that are the product's own.
const OWN_NAMES: [&str; 6] = [
    "rpcutil",
    "choria_util",
    "choria_provision",
    "choria_registry",
    "discovery",
    "scout",
];
/// Those of them no Ruby agent may have.
const OWN_NAMES_RUBY: [&str; 3] = ["rpcutil", "choria_util", "discovery"];

/// The agents of the library folders.
#[derive(Debug)]
pub struct Loader {
    options: Arc<ExternalOptions>,
    catalogue: Catalogue,
    agents: BTreeMap<String, Arc<dyn Agent>>,
    /// Problems of the last scan, so that each is told once.
    told: BTreeSet<String>,
}

/// Why an agent is not loaded.
#[derive(Debug)]
enum Refused {
    /// It is no agent that a program carries out.
    NotOurs,
    /// It must not or does not want to be; nothing will change that but other files.
    Declined(Declined),
    /// Something went wrong.
    Failed(LoadError),
}

#[derive(Debug)]
enum Declined {
    OwnName,
    SwitchedOff,
    NotWanted,
    NoShim,
    Missing,
}

#[derive(Debug)]
enum LoadError {
    File(io::Error),
    TooLarge,
    Ddl(String),
    OtherName(String),
    Activation(CallError),
}

impl Loader {
    /// Nothing loaded yet. What the options leave to the daemon is taken from the process.
    #[must_use]
    pub fn new(mut options: ExternalOptions) -> Self {
        // Programs run elsewhere, so what they are told must not depend on where we run.
        if let Ok(absolute) = std::path::absolute(&options.config_dir) {
            options.config_dir = absolute;
        }
        if options.temp_dir.as_os_str().is_empty() {
            options.temp_dir = std::env::temp_dir();
        }
        if options.environment.is_empty() {
            options.environment = std::env::vars_os().collect();
        }
        Self {
            catalogue: Catalogue::new(options.settle),
            options: Arc::new(options),
            agents: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Removes what runs left that an earlier node did not live to see the end of.
    pub fn sweep(&self, wall: SystemTime) {
        call::sweep(&self.options.temp_dir, wall);
    }

    /// The agents that are loaded, by name.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<dyn Agent>> {
        self.agents.values()
    }

    /// Looks at the folders, into what is new there, and whether what is loaded is still there. Blocks for as long as
    /// programs take to say whether they want to be loaded. True if there are other agents than before.
    pub fn rescan(&mut self, now: Duration, wall: SystemTime) -> bool {
        let found = scan(&self.options.library_dirs, wall);
        for problem in found.problems.iter().filter(|p| !self.told.contains(*p)) {
            warn!("{problem}");
        }
        let is_complete = found.problems.is_empty();
        self.told = found.problems.into_iter().collect();
        let changes = self.catalogue.update(&found.seen, is_complete, now);
        let mut is_changed = false;
        for name in &changes.gone {
            if self.agents.remove(name).is_some() {
                info!(agent = name, "agent removed: its files are gone");
                is_changed = true;
            }
        }
        for some in changes.examine.chunks(EXAMINED_AT_ONCE) {
            for (sighting, result) in some.iter().zip(examine_all(some, &self.options)) {
                is_changed |= self.settle(sighting, result, now);
            }
        }
        is_changed
    }

    fn settle(
        &mut self,
        sighting: &Sighting,
        result: Result<Arc<dyn Agent>, Refused>,
        now: Duration,
    ) -> bool {
        let agent = &*sighting.name;
        let (settled, is_changed) = match result {
            Ok(loaded) => {
                let version = &loaded.metadata().version;
                info!(agent, version, ddl = %sighting.ddl.display(), "agent loaded");
                self.agents.insert(sighting.name.clone(), loaded);
                (Settled::Loaded, true)
            }
            Err(Refused::NotOurs) => (Settled::Declined, self.agents.remove(agent).is_some()),
            Err(Refused::Declined(why)) => {
                info!(agent, ddl = %sighting.ddl.display(), %why, "agent not loaded");
                (Settled::Declined, self.agents.remove(agent).is_some())
            }
            Err(Refused::Failed(why)) => {
                let stays = self.agents.contains_key(agent);
                warn!(agent, ddl = %sighting.ddl.display(), %why, stays, "agent cannot be loaded");
                (Settled::Failed, false)
            }
        };
        self.catalogue.settle(sighting, settled, now);
        is_changed
    }
}

fn examine_all(
    some: &[Sighting],
    options: &Arc<ExternalOptions>,
) -> Vec<Result<Arc<dyn Agent>, Refused>> {
    std::thread::scope(|scope| {
        #[expect(
            clippy::needless_collect,
            reason = "all are started before one is waited for"
        )]
        let threads: Vec<_> = some
            .iter()
            .map(|sighting| scope.spawn(move || examine(sighting, options)))
            .collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| {
                let error = io::Error::other("the look into it panicked");
                Err(Refused::Failed(LoadError::File(error)))
            })
        });
        results.collect()
    })
}

fn examine(sighting: &Sighting, options: &Arc<ExternalOptions>) -> Result<Arc<dyn Agent>, Refused> {
    let name = &*sighting.name;
    let ddl = read_ddl(&sighting.ddl)?;
    let ruby = sighting.ddl.with_extension("rb");
    let is_ruby = match &*ddl.metadata.provider {
        "external" => false,
        "ruby" | "" if ruby.is_file() => true,
        _ => return Err(Refused::NotOurs),
    };
    if ddl.metadata.name != name {
        return Err(LoadError::OtherName(ddl.metadata.name).into());
    }
    let own: &[&str] = if is_ruby { &OWN_NAMES_RUBY } else { &OWN_NAMES };
    if own.contains(&name) {
        return Err(Declined::OwnName.into());
    }
    if options.inactive.contains(name) {
        return Err(Declined::SwitchedOff.into());
    }
    let kind = if is_ruby {
        Kind::Ruby(options.shim.clone().ok_or(Declined::NoShim)?)
    } else {
        let mut programs = sighting.programs.iter().filter(|path| **path != ruby);
        let program = programs.find(|path| path.is_file());
        let program = program.ok_or(Declined::Missing)?;
        if !wants_activation(name, program, options)? {
            return Err(Declined::NotWanted.into());
        }
        Kind::External(program.clone())
    };
    #[expect(
        clippy::redundant_clone,
        reason = "a check compiles rules that may never be needed; they go with the copy"
    )]
    let problems = ddl.clone().check();
    for problem in problems {
        warn!(agent = name, %problem, "the ddl has a problem");
    }
    let agent = ProgramAgent::new(ddl, kind, Arc::clone(options));
    Ok(Arc::new(Rpc::new(agent)))
}

fn read_ddl(path: &Path) -> Result<Ddl, LoadError> {
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(LoadError::File)?;
    let mut bounded = file.take(DDL_BYTES_MAX + 1);
    let count = bounded.read_to_end(&mut text).map_err(LoadError::File)?;
    if u64::try_from(count).is_ok_and(|count| count > DDL_BYTES_MAX) {
        return Err(LoadError::TooLarge);
    }
    Ddl::parse(&text).map_err(|error| LoadError::Ddl(error.to_string()))
}

fn wants_activation(
    agent: &str,
    program: &Path,
    options: &ExternalOptions,
) -> Result<bool, LoadError> {
    let run = Run {
        agent,
        action: "activation",
        request: &contract::activation_request(agent),
        time_max: ACTIVATION_MAX,
    };
    // There are no facts yet to tell.
    let reply = run_external(&run, program, ACTIVATION_PROTOCOL, "", options);
    let reply = reply.map_err(LoadError::Activation)?;
    contract::parse_activation(&reply).map_err(|error| LoadError::Activation(error.into()))
}

impl From<Declined> for Refused {
    fn from(why: Declined) -> Self {
        Self::Declined(why)
    }
}

impl From<LoadError> for Refused {
    fn from(why: LoadError) -> Self {
        Self::Failed(why)
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnName => "the name is one of our own agents",
            Self::SwitchedOff => "activate_agent is false in the configuration",
            Self::NotWanted => "its program says it is not to be activated",
            Self::NoShim => "no shim is configured that runs ruby agents",
            Self::Missing => "there is no program beside its ddl",
        })
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::TooLarge => write!(f, "the ddl has more than {DDL_BYTES_MAX} bytes"),
            Self::Ddl(error) => write!(f, "the ddl cannot be read: {error}"),
            Self::OtherName(name) => write!(f, "the ddl names another agent, {name:?}"),
            Self::Activation(error) => write!(f, "activation: {error}"),
        }
    }
}
