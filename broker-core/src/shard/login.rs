//! Who comes in, and what those that came in may do.
//!
//! A login is judged by the broker's [`Authenticator`](crate::auth::Authenticator); permissions are checked here, by what it granted.
//! A refused operation is answered with an error and leaves the connection open, as in nats-server.

use std::sync::Arc;
use std::time::Duration;

use muster_wire::connect::Connect;
use muster_wire::encode::put_err;

use super::ShardCore;
use crate::account::Change;
use crate::auth::{Denial, Grant, Login, Refused, TlsPeer, nonce_text};
use crate::close::CloseReason;
use crate::conn::Conn;
use crate::ids::{AccountId, Key};
use crate::permissions::Verdict;
use crate::sublist::Member;

/// Refusals that wait to be fetched for the log; further ones are counted only.
const REFUSED_MAX: usize = 256;

impl ShardCore {
    /// What TLS said of the peer of a connection; to be told before the handshake is said to be done, and needed only where
    /// logins are judged.
    pub fn set_tls_peer(&mut self, key: Key, peer: TlsPeer) {
        if self.broker.config.authenticator.is_none() {
            return;
        }
        if let Some(conn) = self.conn_mut(key) {
            conn.door.get_or_insert_default().tls = Some(peer);
        }
    }

    /// A login that was refused since the last call, for the log.
    pub fn poll_refused(&mut self) -> Option<Refused> {
        self.refused.pop_front()
    }

    /// Draws the challenge of a new connection, where there is to be one.
    pub(super) fn challenge(&mut self, conn: &mut Conn) -> Option<Box<str>> {
        let authenticator = self.broker.config.authenticator.as_ref()?;
        let random = std::array::from_fn(|_| self.rng.u8(..));
        let nonce = authenticator.challenge(random).map(nonce_text)?;
        conn.door.get_or_insert_default().nonce = Some(nonce.clone());
        Some(nonce)
    }

    /// Whether the connection may have what its `CONNECT` asks for.
    pub(super) fn check_connect(
        &mut self,
        key: Key,
        connect: &Connect,
    ) -> Result<Grant, CloseReason> {
        let grant = self.judge(key, connect).map_err(|denial| {
            let close = denial.close;
            self.note_refusal(key, connect, denial);
            close
        })?;
        // Only who has shown credentials learns of anything else that is wrong.
        if !matches!(connect.protocol, 0 | 1) {
            return Err(CloseReason::BadClientProtocol);
        }
        if connect.no_responders && !(connect.headers && self.broker.config.limits.headers) {
            return Err(CloseReason::NoRespondersNeedsHeaders);
        }
        Ok(grant)
    }

    fn judge(&self, key: Key, connect: &Connect) -> Result<Grant, Denial> {
        let grant = match (&self.broker.config.authenticator, self.conn(key)) {
            (Some(authenticator), Some(conn)) => {
                let door = conn.door.as_deref();
                authenticator.authenticate(&Login {
                    connect,
                    nonce: door.and_then(|door| door.nonce.as_deref()),
                    peer: conn.peer,
                    tls: door.and_then(|door| door.tls.as_ref()),
                })?
            }
            _ => Grant::unrestricted(),
        };
        let chooses = connect
            .account
            .as_deref()
            .is_some_and(|account| !account.is_empty());
        if connect.new_account || chooses {
            let text = "the client wants to choose its account";
            return Err(Denial::new("chosen_account", text));
        }
        if grant.account.0 as usize >= self.broker.accounts().len() {
            return Err(Denial::new(
                "no_such_account",
                "its account is not configured",
            ));
        }
        // What has run out already is no reason to let somebody in for an instant.
        if grant.expires == Some(Duration::ZERO) {
            let text = "what it was to be let in for has ended";
            return Err(Denial::new("expired", text));
        }
        Ok(grant)
    }

    fn note_refusal(&mut self, key: Key, connect: &Connect, denial: Denial) {
        self.broker.count_refusal(denial.reason);
        let Some(peer) = self.conn(key).map(|conn| conn.peer) else {
            return;
        };
        if self.refused.len() < REFUSED_MAX {
            let name = connect.name.as_deref().unwrap_or_default();
            let name: String = name.chars().take(64).collect();
            self.refused.push_back(Refused {
                peer,
                name: name.into(),
                denial,
            });
        }
    }

    /// Whether a connection with permissions may publish this; if not, it is told.
    pub(super) fn may_publish(&mut self, key: Key, subject: &[u8]) -> bool {
        let conn = self.conns.get(key.index);
        let Some(permissions) = conn.and_then(|conn| conn.permissions.as_ref()) else {
            return true;
        };
        if self.verdicts.allows(permissions.publish(), subject) {
            return true;
        }
        self.counters.denied_publishes += 1;
        let subject = String::from_utf8_lossy(subject);
        let text = format!("Permissions Violation for Publish to \"{subject}\"");
        self.append(key, text.len() + 16, |out| put_err(out, &text));
        false
    }

    /// Whether a connection may subscribe to this; if not, it is told.
    pub(super) fn may_subscribe(&mut self, key: Key, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(conn) = self.conn(key) else {
            return false;
        };
        let Some(permissions) = conn.permissions.as_ref().map(Arc::clone) else {
            return true;
        };
        let me = conn.me;
        match permissions.subscribe().verdict(subject, queue) {
            Verdict::Allowed => true,
            Verdict::Filtered => {
                // Set before the subscription is in the sublist: no message slips through between.
                self.broker
                    .table
                    .with(me, |shared| shared.filter = Some(permissions));
                true
            }
            Verdict::Denied => {
                self.counters.denied_subscriptions += 1;
                let subject = String::from_utf8_lossy(subject);
                let mut text = format!("Permissions Violation for Subscription to \"{subject}\"");
                if let Some(queue) = queue {
                    let queue = String::from_utf8_lossy(queue);
                    text.push_str(&format!(" using queue \"{queue}\""));
                }
                self.append(key, text.len() + 16, |out| put_err(out, &text));
                false
            }
        }
    }

    /// Adds or removes what a subscription hears of other accounts.
    pub(super) fn share_subscription(
        &mut self,
        home: AccountId,
        subject: &[u8],
        queue: Option<&[u8]>,
        member: Member,
        change: Change,
    ) {
        for (from, common) in self.broker.account(home).shared(subject) {
            match change {
                Change::Add => {
                    self.subscribe(from, &common, queue, member);
                }
                Change::Remove => {
                    let sublist = &self.broker.account(from).sublist;
                    let interest = sublist.interest(&common, queue);
                    self.unsubscribe(from, &interest, member);
                }
            }
        }
    }
}
