//! The temporary credentials that were handed out.

use std::{collections::VecDeque, time::Duration};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::account::Account;

/// How many are remembered: the last ones.
const REMEMBERED: usize = 1_000;

/// A temporary credential, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    pub(super) account: Account,
    /// The role, as it was asked for.
    pub(super) role: String,
    /// The first second in which it is no longer accepted, as a Unix time.
    pub(super) expires: i64,
    /// When a metadata service gives out the next one.
    pub(super) renewed_at: i64,
}

impl Temporary {
    /// Returns when it expires, in the form of RFC 3339 that the vendor gives beside the number.
    pub(super) fn expiration(&self) -> String {
        let moment = OffsetDateTime::from_unix_timestamp(self.expires).ok();
        moment
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_default()
    }
}

/// Hands out credentials, and remembers them.
#[derive(Debug, Default)]
pub(super) struct Issued {
    last: VecDeque<Temporary>,
    /// How long each lasts, if that is not for whoever asks to say.
    lifetime: Option<Duration>,
    count: usize,
}

impl Issued {
    /// Sets how long each credential lasts from now on, in whole seconds, whatever is asked for.
    pub(super) fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = Some(lifetime);
    }

    /// Returns a new credential of a role.
    pub(super) fn issue(&mut self, role: &str, seconds: u64, now: i64) -> Temporary {
        let seconds = self.lifetime.map_or(seconds, |lifetime| lifetime.as_secs());
        let [id, key, token] = std::array::from_fn(|_| Uuid::new_v4().simple().to_string());
        let account = Account::new(format!("AKIDtemporary{id}"), format!("temporary-key-{key}"));
        let temporary = Temporary {
            account: account.with_token(format!("temporary-token-{token}")),
            role: role.to_owned(),
            expires: now.saturating_add_unsigned(seconds),
            renewed_at: now.saturating_add_unsigned(seconds / 2),
        };
        self.count += 1;
        self.last.push_back(temporary.clone());
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
        temporary
    }

    /// Returns how many were issued.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the credential with this identifier.
    pub(super) fn named(&self, secret_id: &str) -> Option<&Temporary> {
        self.last
            .iter()
            .rfind(|temporary| temporary.account.secret_id == secret_id)
    }

    /// Returns the last credential of a role.
    pub(super) fn last_of(&self, role: &str) -> Option<&Temporary> {
        self.last.iter().rfind(|temporary| temporary.role == role)
    }

    /// Returns those that are remembered, oldest first.
    pub(super) fn accounts(&self) -> Vec<Account> {
        self.last
            .iter()
            .map(|temporary| temporary.account.clone())
            .collect()
    }
}
