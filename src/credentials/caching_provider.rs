//! Caching credential provider: caches the credential of the provider chain and, if a role is
//! configured, that of the role assumed with it. Refreshes either only when it is due, rejected by
//! upstream, or requested by the operator.

use std::{sync::Arc, time::Duration};

use super::{
    cached_credential::{CachedCredential, Held},
    credential::Credential,
    provider::ProviderError,
    provider_chain::ProviderChain,
    sts::Sts,
    unavailable::Unavailable,
};
use crate::clock::{BootTime, Clock};

/// The reason of a refresh.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RefreshReason {
    /// A scheduled refresh is due.
    Due,
    /// Upstream rejects the current credential.
    Rejected,
    /// The operator requests it, by SIGHUP.
    Requested,
}

/// The result of a refresh. A credential and a failure are possible together: a failed refresh keeps
/// the credential.
#[derive(Debug)]
pub(super) struct RefreshOutcome {
    pub(super) held: Option<Held>,
    /// The failure of this refresh.
    pub(super) failure: Option<RefreshFailure>,
}

/// A failed refresh of the chain or of the role.
#[derive(Debug)]
pub(super) struct RefreshFailure {
    pub(super) error: Unavailable,
    /// The number of consecutive failures.
    pub(super) count: u32,
    /// Whether the provider is local.
    pub(super) is_local: bool,
}

/// A caching credential provider.
#[derive(Debug)]
pub(super) struct CachingProvider {
    chain: ProviderChain,
    base: CachedCredential,
    role: Option<Role>,
    interval: Duration,
    clock: Clock,
}

#[derive(Debug)]
struct Role {
    arn: String,
    sts: Arc<Sts>,
    cached: CachedCredential,
}

impl CachingProvider {
    /// Returns a provider with empty caches.
    pub(super) fn new(
        chain: ProviderChain,
        role_arn: Option<String>,
        sts: Arc<Sts>,
        interval: Duration,
        clock: Clock,
    ) -> Self {
        let now = clock.boot_time();
        let role = role_arn.map(|arn| Role {
            arn,
            sts,
            cached: CachedCredential::new(now),
        });
        Self {
            chain,
            base: CachedCredential::new(now),
            role,
            interval,
            clock,
        }
    }

    /// Returns a provider for a chain of one callback, which has just returned `credential`.
    pub(super) fn of(
        chain: ProviderChain,
        credential: Credential,
        interval: Duration,
        clock: Clock,
    ) -> Self {
        let now = clock.boot_time();
        let mut base = CachedCredential::new(now);
        base.store_local(credential, false, now, interval);
        Self {
            chain,
            base,
            role: None,
            interval,
            clock,
        }
    }

    /// Returns the cached credential.
    pub(super) fn held(&self) -> Option<Held> {
        match &self.role {
            Some(role) => role.cached.held.clone(),
            None => self.base.held.clone(),
        }
    }

    /// Returns the name of the selected provider.
    pub(super) fn selected(&self) -> Option<&'static str> {
        self.chain.selected()
    }

    /// Returns the error of the last refresh of the chain or of the role.
    pub(super) fn failure(&self) -> Option<Unavailable> {
        let role = self
            .role
            .as_ref()
            .and_then(|role| role.cached.failure.clone());
        self.base.failure.clone().or(role)
    }

    /// Returns the time of the next refresh.
    pub(super) fn next(&self) -> BootTime {
        match &self.role {
            Some(role) if self.base.held.is_some() => {
                self.base.refresh_at.min(role.cached.refresh_at)
            }
            _ => self.base.refresh_at,
        }
    }

    /// Refreshes the credentials that `reason` applies to, and returns the result.
    pub(super) async fn refresh(&mut self, reason: RefreshReason) -> RefreshOutcome {
        let (is_new, mut failure) = self.refresh_base(reason).await;
        let (Some(role), Some(base)) = (&mut self.role, &self.base.held) else {
            let held = self.held();
            return RefreshOutcome { held, failure };
        };
        let now = self.clock.boot_time();
        let is_needed = match reason {
            RefreshReason::Due => now >= role.cached.refresh_at,
            RefreshReason::Rejected => may_refresh(&role.cached, now),
            RefreshReason::Requested => !role.cached.is_backing_off(now) && !self.chain.is_local(),
        };
        if is_new || is_needed {
            match role.sts.assume_role(&role.arn, &base.credential).await {
                Ok(obtained) => {
                    role.cached
                        .store_temporary(obtained, self.clock.boot_time());
                }
                Err(error) => failure = Some(role.failed(&error, self.clock.boot_time())),
            }
        }
        RefreshOutcome {
            held: role.cached.held.clone(),
            failure,
        }
    }

    /// Refreshes the credential of the chain if `reason` applies to it, and returns whether it changed.
    async fn refresh_base(&mut self, reason: RefreshReason) -> (bool, Option<RefreshFailure>) {
        let now = self.clock.boot_time();
        let is_local = self.chain.is_local();
        let is_needed = match reason {
            RefreshReason::Due => now >= self.base.refresh_at,
            RefreshReason::Rejected => is_local || may_refresh(&self.base, now),
            RefreshReason::Requested => is_local || !self.base.is_backing_off(now),
        };
        if !is_needed {
            return (false, None);
        }
        let result = self.chain.load().await;
        let now = self.clock.boot_time();
        match result {
            Ok(obtained) if self.chain.is_local() => {
                let is_rejected = reason == RefreshReason::Rejected;
                let is_new =
                    self.base
                        .store_local(obtained.credential, is_rejected, now, self.interval);
                (is_new, None)
            }
            Ok(obtained) => (self.base.store_temporary(obtained, now), None),
            Err(error) => {
                let count = self.base.fail(error.clone(), now);
                if is_local {
                    self.base.refresh_at = now + self.interval;
                }
                (
                    false,
                    Some(RefreshFailure {
                        error,
                        count,
                        is_local,
                    }),
                )
            }
        }
    }
}

impl Role {
    fn failed(&mut self, error: &ProviderError, now: BootTime) -> RefreshFailure {
        let error = Unavailable {
            report: vec![format!("--role-arn {}: {}", self.arn, error.reason())],
            is_transient: true,
        };
        RefreshFailure {
            count: self.cached.fail(error.clone(), now),
            error,
            is_local: false,
        }
    }
}

/// Returns whether a rejected credential may be refreshed: not within 5 s after it was obtained, and not
/// during a backoff. Otherwise every rejected call would cause a request to STS.
fn may_refresh(cached: &CachedCredential, now: BootTime) -> bool {
    !cached.is_backing_off(now) && !cached.held.as_ref().is_some_and(|held| held.is_fresh(now))
}
