//! Accounts: a space of subjects with its own sublist.
//!
//! What is published in one account is heard in that account alone, but for what it exports: a subscription in the importing
//! account then lies in the exporting account's sublist too, narrowed to what is exported. So a message of one account finds
//! its receivers of another in the same match, and without imports nothing is to be done.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::AccountId;
use crate::pattern::intersection;
use crate::sublist::Sublist;

/// The name of the account that connections get when no accounts are configured.
pub const DEFAULT_ACCOUNT: &str = "$G";

/// The number of that account.
pub const DEFAULT_ACCOUNT_ID: AccountId = AccountId(0);

/// An account beside the default one, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// Its name.
    pub name: Box<str>,
    /// What of it is heard in the default account: subjects, with wildcards or without.
    pub exports: Box<[Box<str>]>,
}

/// One account.
#[derive(Debug)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub name: Box<str>,
    /// Who wants what in it.
    pub sublist: Sublist,
    pub(crate) imports: Box<[Import]>,
    connections: AtomicU64,
}

/// Messages of another account that are heard in this one.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) from: AccountId,
    pub(crate) subject: Box<[u8]>,
}

impl Account {
    pub(crate) fn new(id: AccountId, name: &str, seed: u64, imports: Box<[Import]>) -> Self {
        Self {
            id,
            name: name.into(),
            sublist: Sublist::new(seed),
            imports,
            connections: AtomicU64::new(0),
        }
    }

    /// Connections that are in it now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Where else a subscription in this account lies, and narrowed to what.
    pub(crate) fn shared(&self, subject: &[u8]) -> Vec<(AccountId, Vec<u8>)> {
        let common = |import: &Import| {
            let common = intersection(subject, &import.subject)?;
            Some((import.from, common))
        };
        self.imports.iter().filter_map(common).collect()
    }

    pub(crate) fn enter(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The default account and those that are configured; their numbers are their places.
pub(crate) fn accounts(configs: &[AccountConfig], seed: u64) -> Box<[Account]> {
    let numbered = |place: usize| AccountId(u32::try_from(place + 1).unwrap_or(u32::MAX));
    let imports = configs.iter().enumerate().flat_map(|(place, config)| {
        let exports = config.exports.iter();
        exports.map(move |subject| Import {
            from: numbered(place),
            subject: subject.as_bytes().into(),
        })
    });
    let default = Account::new(DEFAULT_ACCOUNT_ID, DEFAULT_ACCOUNT, seed, imports.collect());
    let others = configs
        .iter()
        .enumerate()
        .map(|(place, config)| Account::new(numbered(place), &config.name, seed, Box::default()));
    std::iter::once(default).chain(others).collect()
}

/// What happens to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Add,
    Remove,
}
