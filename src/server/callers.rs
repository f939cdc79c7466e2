//! Whose a call is, and whether it may be made: from its headers, and what its connection has shown.

mod names;

use std::sync::Arc;

use http::HeaderMap;
use rustls::pki_types::CertificateDer;

use super::{metadata, peer::Peer};
use crate::{
    config,
    identity::Identity,
    service::{Failure, Unidentified},
    tokens::Tokens,
    watched_files::WatchedFiles,
};

/// Tells callers apart, and lets pass those that may call.
#[derive(Clone, Debug)]
pub(super) struct Callers {
    wants_certificate: bool,
    /// The names of which a certificate must have one, unless there are none.
    allowed: Arc<[String]>,
    tokens: Option<Arc<WatchedFiles<Tokens>>>,
    trusts_forwarded: bool,
}

/// The caller of a call.
#[derive(Debug)]
pub(super) struct Caller {
    /// Who it is. Of one that may not call, the best that is known.
    pub(super) identity: Identity,
    /// Why it may not call.
    pub(super) refusal: Option<Failure>,
}

/// What a connection has shown of whoever opened it. Authorities have confirmed what there is.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// A certificate, with the name that it is known by if it has one.
    Certificate(Option<Identity>),
    /// No certificate.
    Nothing,
    /// A certificate that has none of the names that may call, with the first of its own.
    Unlisted(Option<Identity>),
}

impl Callers {
    /// Returns callers by `settings`.
    pub(super) fn new(settings: &config::Callers) -> Self {
        let tls = settings.tls.as_ref();
        Self {
            wants_certificate: tls.is_some_and(|tls| tls.wants_certificate),
            allowed: settings.allow_san.clone().into(),
            tokens: settings.tokens.clone(),
            trusts_forwarded: settings.trust_forwarded_identity,
        }
    }

    /// Returns what a connection has shown with the certificate of its client.
    ///
    /// Of several names the one that may call counts, and otherwise the first, URIs before DNS
    /// names.
    pub(super) fn shown(&self, certificate: Option<&CertificateDer<'_>>) -> Shown {
        let Some(certificate) = certificate else {
            return Shown::Nothing;
        };
        let names = names::of(certificate);
        let identity = |name: &String| Identity::Certificate(name.as_str().into());
        let first = names.first().map(identity);
        if self.allowed.is_empty() {
            return Shown::Certificate(first);
        }
        match names.iter().find(|name| self.allowed.contains(name)) {
            Some(name) => Shown::Certificate(Some(identity(name))),
            None => Shown::Unlisted(first),
        }
    }

    /// Tells whose a call with these headers is: by its token, else its certificate, else, where
    /// they are believed, the words of a proxy, else the address that it comes from.
    ///
    /// Where both a certificate and a token are wanted, both must be shown.
    pub(super) fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Caller {
        let certificate = match &peer.shown {
            Shown::Certificate(identity) | Shown::Unlisted(identity) => identity.clone(),
            Shown::Nothing => None,
        };
        let token = self.token(headers).transpose();
        let refusal = match (&peer.shown, &token) {
            (Shown::Unlisted(_), _) => Some(Failure::CallerNotAllowed),
            (Shown::Nothing, _) if self.wants_certificate => {
                Some(Failure::CallerUnauthenticated(Unidentified::NoCertificate))
            }
            (_, Err(unidentified)) => Some(Failure::CallerUnauthenticated(*unidentified)),
            _ => None,
        };
        let identity = token.ok().flatten().or(certificate);
        let identity = identity.or_else(|| self.forwarded(headers));
        Caller {
            identity: identity.unwrap_or_else(|| address(peer)),
            refusal,
        }
    }

    /// Returns the name of a caller's token, if tokens are wanted.
    fn token(&self, headers: &HeaderMap) -> Option<Result<Identity, Unidentified>> {
        let tokens = self.tokens.as_ref()?.current();
        let name = metadata::bearer_token(headers)
            .ok_or(Unidentified::NoToken)
            .and_then(|token| tokens.name_of(token).ok_or(Unidentified::UnknownToken));
        Some(name.map(Identity::Token))
    }

    fn forwarded(&self, headers: &HeaderMap) -> Option<Identity> {
        let name = self
            .trusts_forwarded
            .then(|| metadata::forwarded_name(headers))?;
        name.map(|name| Identity::Forwarded(name.into()))
    }
}

/// Returns all that is known of whoever says nothing.
pub(super) fn address(peer: &Peer) -> Identity {
    Identity::Address(peer.address.ip().to_canonical())
}
