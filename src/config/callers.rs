//! Settings of caller authentication: server TLS, client certificates, bearer tokens, and identities
//! forwarded by a proxy.

use std::path::PathBuf;

use clap::Args;
use rustls::pki_types::DnsName;

use super::{Invalid, Problems, parsed};

/// The variable of `--tls-cert`.
pub const TLS_CERT_VARIABLE: &str = "IAI_FACADE_TLS_CERT";

/// The settings of caller authentication, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Callers")]
pub(super) struct CallersArgs {
    /// PEM file of the server certificate followed by its intermediate certificates. With --tls-key,
    /// it enables TLS 1.2 and 1.3 on the gRPC port
    #[arg(long, env = TLS_CERT_VARIABLE, value_name = "FILE")]
    tls_cert: Option<String>,

    /// PEM file of the private key of the server certificate
    #[arg(long, env = "IAI_FACADE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<String>,

    /// PEM file of certificate authorities. Requires callers to present a certificate issued by one of
    /// them (mTLS)
    #[arg(long, env = "IAI_FACADE_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<String>,

    /// Subject alternative names that are allowed to call, separated by commas: URIs such as SPIFFE
    /// ids, and DNS names. The client certificate must have one of them [default: any name]
    #[arg(long, env = "IAI_FACADE_ALLOW_SAN", value_name = "NAMES")]
    allow_san: Option<String>,

    /// File of the bearer tokens that are allowed to call, one per line: a name and the SHA-256 digest
    /// of the token in hexadecimal
    #[arg(long, env = "IAI_FACADE_TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<String>,

    /// Identify callers by the headers x-forwarded-client-cert and l5d-client-id, which a proxy must
    /// set or remove on every call: true or false
    #[arg(long, env = "IAI_FACADE_TRUST_FORWARDED_IDENTITY", value_name = "BOOL",
        default_value = "false", num_args = 0..=1,
        default_missing_value = "true")]
    trust_forwarded_identity: String,
}

/// Authentication and identification of callers.
#[derive(Clone, Debug)]
pub struct Callers {
    /// The files of certificates and bearer tokens.
    pub files: CallerFiles,
    /// The names of which the client certificate must have one; any name if the list is empty. URIs
    /// are unchanged, DNS names in lower case.
    pub allow_san: Vec<SubjectAltName>,
    /// Whether to trust the caller identities that proxies forward.
    pub trust_forwarded_identity: bool,
}

/// The files of certificates and bearer tokens, which are reloaded while the server runs.
#[derive(Clone, Debug, Default)]
pub struct CallerFiles {
    /// The server certificate in PEM. Set together with the key; `None` for plain text.
    pub tls_cert: Option<PathBuf>,
    /// The private key of the server certificate in PEM.
    pub tls_key: Option<PathBuf>,
    /// The authorities of client certificates in PEM; `None` if callers need no certificate.
    pub tls_client_ca: Option<PathBuf>,
    /// The accepted bearer tokens; `None` if callers need no token.
    pub tokens: Option<PathBuf>,
}

/// A subject alternative name of a certificate. Names of different kinds are never equal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubjectAltName {
    /// A URI, such as a SPIFFE id, unchanged.
    Uri(String),
    /// A DNS name, in lower case.
    Dns(String),
}

impl SubjectAltName {
    /// Returns the name without its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Uri(name) | Self::Dns(name) => name,
        }
    }
}

impl CallersArgs {
    /// Returns the files, which the server reads at its start.
    pub(super) fn files(&self) -> CallerFiles {
        CallerFiles {
            tls_cert: parsed::file(self.tls_cert.as_deref()),
            tls_key: parsed::file(self.tls_key.as_deref()),
            tls_client_ca: parsed::file(self.tls_client_ca.as_deref()),
            tokens: parsed::file(self.tokens_file.as_deref()),
        }
    }

    pub(super) fn checked(self, problems: &mut Problems) -> Result<Callers, Invalid> {
        let files = self.files();
        let has_cert = files.tls_cert.is_some();
        let has_key = files.tls_key.is_some();
        let has_client_ca = files.tls_client_ca.is_some();
        let allow_san = self.allow_san.filter(|names| !names.is_empty());

        if has_client_ca && !has_cert && !has_key {
            problems.note("tls-client-ca", "requires --tls-cert and --tls-key");
        }
        if allow_san.is_some() && !has_client_ca {
            problems.note("allow-san", "requires --tls-client-ca");
        }
        if has_key && !has_cert {
            problems.note("tls-cert", "is missing; --tls-key requires it");
        }
        if has_cert && !has_key {
            problems.note("tls-key", "is missing; --tls-cert requires it");
        }
        let allow_san = allow_san.as_deref().map_or(Ok(Vec::new()), names);
        let allow_san = problems.take("allow-san", allow_san);
        let trust = parsed::switch(&self.trust_forwarded_identity);
        let trust = problems.take("trust-forwarded-identity", trust);

        Ok(Callers {
            files,
            allow_san: allow_san?,
            trust_forwarded_identity: trust?,
        })
    }
}

/// Parses a comma-separated list of subject alternative names. An empty name is an error.
fn names(text: &str) -> Result<Vec<SubjectAltName>, String> {
    text.split(',')
        .map(|name| parse_name(name.trim()))
        .collect()
}

/// Parses a name: a URI if it contains `://`, otherwise a DNS name.
fn parse_name(name: &str) -> Result<SubjectAltName, String> {
    let is_uri = name.contains("://") && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_uri {
        return Ok(SubjectAltName::Uri(name.to_owned()));
    }
    match DnsName::try_from(name) {
        Ok(_) => Ok(SubjectAltName::Dns(name.to_ascii_lowercase())),
        Err(_) => Err(format!(
            "`{}` is neither a URI such as spiffe://example.org/orders nor a DNS name",
            name.escape_debug(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_names_are_unchanged_and_dns_names_are_lower_cased() {
        let text = "spiffe://example.org/Orders, Orders.example.org,orders";
        let expected = [
            SubjectAltName::Uri("spiffe://example.org/Orders".to_owned()),
            SubjectAltName::Dns("orders.example.org".to_owned()),
            SubjectAltName::Dns("orders".to_owned()),
        ];
        assert_eq!(names(text).unwrap(), expected);

        // An empty name is an error: an empty list would allow every name.
        for text in [
            ",",
            "a,,b",
            "a,",
            "*.example.org",
            "a b",
            "spiffe://a b",
            " ",
        ] {
            assert!(names(text).is_err(), "{text}");
        }
    }
}
