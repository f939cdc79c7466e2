//! Issued credentials: the most recent 1,000 temporary credentials that STS and the metadata service have
//! issued.

use std::{collections::VecDeque, time::Duration};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::account::Account;

/// Number of credentials kept in the main world, the most recent ones.
const CAPACITY: usize = 1_000;

/// Number of credentials kept in an isolated world, of which there can be thousands.
const ISOLATED_CAPACITY: usize = 10;

/// The beginning of the `SecretId` of each temporary credential. A UUID without hyphens follows, and in an
/// isolated world a hyphen and the `SecretId` of the world.
const PREFIX: &str = "AKIDtemporary";

/// A temporary credential of a role.
#[derive(Clone, Debug)]
pub(super) struct TemporaryCredential {
    pub(super) account: Account,
    /// The role, as spelled in the request.
    pub(super) role: String,
    /// The first second in which the credential is rejected, as a Unix time.
    pub(super) expires: i64,
    /// When the metadata service issues the next credential, as a Unix time.
    pub(super) renewed_at: i64,
}

impl TemporaryCredential {
    /// Returns the expiration time in RFC 3339, which the API returns in addition to the number.
    pub(super) fn expiration(&self) -> String {
        let moment = OffsetDateTime::from_unix_timestamp(self.expires).ok();
        moment
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_default()
    }
}

/// Issues temporary credentials and keeps them.
#[derive(Debug, Default)]
pub(super) struct IssuedCredentials {
    last: VecDeque<TemporaryCredential>,
    /// The `SecretId` of the isolated world that issues them; `None` for the main world.
    world: Option<String>,
    /// Lifetime of new credentials; overrides the requested duration.
    lifetime: Option<Duration>,
    count: usize,
}

impl IssuedCredentials {
    /// Creates the credentials of an isolated world.
    pub(super) fn of_world(secret_id: &str) -> Self {
        Self {
            world: Some(secret_id.to_owned()),
            ..Self::default()
        }
    }

    /// Sets the lifetime of the credentials issued from now on, in whole seconds. It overrides the requested
    /// duration.
    pub(super) fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = Some(lifetime);
    }

    /// Issues a credential of a role.
    pub(super) fn issue(&mut self, role: &str, seconds: u64, now: i64) -> TemporaryCredential {
        let seconds = self.lifetime.map_or(seconds, |lifetime| lifetime.as_secs());
        let [id, key, token] = std::array::from_fn(|_| Uuid::new_v4().simple().to_string());
        let secret_id = match &self.world {
            Some(world) => format!("{PREFIX}{id}-{world}"),
            None => format!("{PREFIX}{id}"),
        };
        let account = Account::new(secret_id, format!("temporary-key-{key}"));
        let credential = TemporaryCredential {
            account: account.with_token(format!("temporary-token-{token}")),
            role: role.to_owned(),
            expires: now.saturating_add_unsigned(seconds),
            renewed_at: now.saturating_add_unsigned(seconds / 2),
        };
        self.count += 1;
        self.last.push_back(credential.clone());
        let capacity = match self.world {
            Some(_) => ISOLATED_CAPACITY,
            None => CAPACITY,
        };
        if self.last.len() > capacity {
            self.last.pop_front();
        }
        credential
    }

    /// Returns the number of issued credentials.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the credential with this `SecretId`.
    pub(super) fn by_secret_id(&self, secret_id: &str) -> Option<&TemporaryCredential> {
        self.last
            .iter()
            .rfind(|credential| credential.account.secret_id == secret_id)
    }

    /// Returns the most recent credential of a role.
    pub(super) fn latest_for(&self, role: &str) -> Option<&TemporaryCredential> {
        self.last.iter().rfind(|credential| credential.role == role)
    }

    /// Returns the kept credentials, oldest first.
    pub(super) fn accounts(&self) -> Vec<Account> {
        self.last
            .iter()
            .map(|credential| credential.account.clone())
            .collect()
    }
}

/// Returns the `SecretId` of the world that has the account of a `SecretId`, or that issued it as a temporary
/// credential.
pub(super) fn world_of(secret_id: &str) -> &str {
    let issuer = secret_id.strip_prefix(PREFIX).and_then(|rest| {
        let (_, world) = rest.split_at_checked(uuid::fmt::Simple::LENGTH)?;
        world.strip_prefix('-')
    });
    issuer.unwrap_or(secret_id)
}

/// Returns whether a `SecretId` has the form of a temporary credential.
pub(super) fn is_temporary(secret_id: &str) -> bool {
    secret_id.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_credential_names_the_world_that_issued_it() {
        for (mut issued, world) in [
            (IssuedCredentials::of_world("AKIDworld-1"), "AKIDworld-1"),
            (IssuedCredentials::of_world("x"), "x"),
        ] {
            let secret_id = issued.issue("role", 60, 0).account.secret_id;
            assert!(is_temporary(&secret_id));
            assert_eq!(world_of(&secret_id), world);
        }
        let secret_id = IssuedCredentials::default()
            .issue("role", 60, 0)
            .account
            .secret_id;
        for own in [
            secret_id.as_str(),
            "AKIDEMULATOR",
            "AKIDtemporary",
            "AKIDtemporary-x",
        ] {
            assert_eq!(world_of(own), own);
        }
    }
}
