//! Authentication: identifies the caller of a call by bearer token, client certificate, forwarded
//! identity or connection, and decides whether it is allowed.

use std::sync::Arc;

use http::HeaderMap;
use rustls::pki_types::CertificateDer;

use super::{
    authorization::bearer_token, bearer_tokens::BearerTokens, files::AuthFiles,
    forwarded_identity::forwarded_name, mtls,
};
use crate::{
    config::{self, SubjectAltName},
    context::{Identity, PeerAddress},
    files::file_watcher::FileWatcher,
    service::{Failure, Unauthenticated},
};

/// The authenticator of calls and of client certificates.
#[derive(Clone, Debug)]
pub struct Authenticator {
    wants_certificate: bool,
    /// The allowed names; empty if any certificate of a trusted authority is allowed.
    allowed: Arc<[SubjectAltName]>,
    tokens: Option<Arc<FileWatcher<BearerTokens>>>,
    trusts_forwarded: bool,
}

/// The caller of a call.
#[derive(Debug)]
pub struct Caller {
    /// Its identity. For a rejected caller, the best one that is known.
    pub identity: Identity,
    /// The reason of its rejection, if it is not allowed to call.
    pub rejection: Option<Failure>,
}

/// The client certificate of a connection. A trusted authority has issued it.
#[derive(Clone, Debug)]
pub enum ClientCertificate {
    /// A certificate that is allowed, with the identity in it, if any.
    Allowed(Option<Identity>),
    /// No certificate.
    None,
    /// A certificate with none of the allowed names, with the first of its own.
    NotAllowed(Option<Identity>),
}

impl Authenticator {
    /// Creates an authenticator.
    pub fn new(settings: &config::Callers, files: &AuthFiles) -> Self {
        Self {
            wants_certificate: files.wants_certificate,
            allowed: settings.allow_san.clone().into(),
            tokens: files.tokens.clone(),
            trusts_forwarded: settings.trust_forwarded_identity,
        }
    }

    /// Checks the client certificate of a connection.
    ///
    /// The identity is the first allowed name, or, if all are allowed or none is, the first name. URIs
    /// precede DNS names.
    pub fn check_certificate(&self, certificate: Option<&CertificateDer<'_>>) -> ClientCertificate {
        let Some(certificate) = certificate else {
            return ClientCertificate::None;
        };
        let names = mtls::subject_alt_names(certificate);
        let identity = |name: &SubjectAltName| Identity::Certificate(name.as_str().into());
        let first = names.first().map(identity);
        if self.allowed.is_empty() {
            return ClientCertificate::Allowed(first);
        }
        match names.iter().find(|name| self.allowed.contains(name)) {
            Some(name) => ClientCertificate::Allowed(Some(identity(name))),
            None => ClientCertificate::NotAllowed(first),
        }
    }

    /// Identifies the caller of a call: by its bearer token, else its certificate, else the identity
    /// that a trusted proxy forwards, else the `peer` address of the connection.
    ///
    /// If both a certificate and a token are required, the client must present both.
    pub fn identify(
        &self,
        headers: &HeaderMap,
        certificate: &ClientCertificate,
        peer: &PeerAddress,
    ) -> Caller {
        let name = match certificate {
            ClientCertificate::Allowed(identity) | ClientCertificate::NotAllowed(identity) => {
                identity.clone()
            }
            ClientCertificate::None => None,
        };
        let token = self.token(headers).transpose();
        let rejection = match (certificate, &token) {
            (ClientCertificate::NotAllowed(_), _) => Some(Failure::CallerNotAllowed),
            (ClientCertificate::None, _) if self.wants_certificate => Some(
                Failure::CallerUnauthenticated(Unauthenticated::NoCertificate),
            ),
            (_, Err(unauthenticated)) => Some(Failure::CallerUnauthenticated(*unauthenticated)),
            _ => None,
        };
        let identity = token.ok().flatten().or(name);
        let identity = identity.or_else(|| self.forwarded(headers));
        Caller {
            identity: identity.unwrap_or_else(|| peer.identity()),
            rejection,
        }
    }

    /// Returns the name of the caller's token, if tokens are required.
    fn token(&self, headers: &HeaderMap) -> Option<Result<Identity, Unauthenticated>> {
        let tokens = self.tokens.as_ref()?.current();
        let name = bearer_token(headers)
            .ok_or(Unauthenticated::NoToken)
            .and_then(|token| tokens.name_of(token).ok_or(Unauthenticated::UnknownToken));
        Some(name.map(Identity::Token))
    }

    fn forwarded(&self, headers: &HeaderMap) -> Option<Identity> {
        let name = self.trusts_forwarded.then(|| forwarded_name(headers))?;
        name.map(|name| Identity::Forwarded(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_uri_does_not_match_a_dns_name_of_the_same_spelling() {
        let authenticator = Authenticator {
            wants_certificate: true,
            allowed: [SubjectAltName::Dns("orders.example".to_owned())].into(),
            tokens: None,
            trusts_forwarded: false,
        };
        let certificate = |name| {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![name];
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            authenticator.check_certificate(Some(certificate.der()))
        };

        let uri = SanType::URI("orders.example".try_into().unwrap());
        assert!(matches!(certificate(uri), ClientCertificate::NotAllowed(_)));
        let dns = SanType::DnsName("Orders.Example".try_into().unwrap());
        assert!(matches!(
            certificate(dns),
            ClientCertificate::Allowed(Some(_))
        ));
    }
}
