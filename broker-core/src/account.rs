//! Accounts: a space of subjects with its own sublist.

use crate::ids::AccountId;
use crate::sublist::Sublist;

/// The name of the account that connections get when no accounts are configured.
pub const DEFAULT_ACCOUNT: &str = "$G";

/// The number of that account.
pub const DEFAULT_ACCOUNT_ID: AccountId = AccountId(0);

/// One account.
#[derive(Debug)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub name: Box<str>,
    /// Who wants what in it.
    pub sublist: Sublist,
}

impl Account {
    pub(crate) fn new(id: AccountId, name: &str, seed: u64) -> Self {
        Self {
            id,
            name: name.into(),
            sublist: Sublist::new(seed),
        }
    }
}
