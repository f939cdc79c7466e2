//! Who may call, and how callers are told apart.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use rustls::{ServerConfig, pki_types::DnsName};

use super::{Problems, parsed};
use crate::{encryption, tokens::Tokens, watched_files::WatchedFiles};

/// The settings of callers, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Callers")]
pub(super) struct CallersArgs {
    /// PEM file of the certificate to show to callers, with those between it and its authority.
    /// With it and its key, the gRPC port speaks TLS 1.2 and 1.3
    #[arg(long, env = "IAI_FACADE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<String>,

    /// PEM file of the key of the certificate
    #[arg(long, env = "IAI_FACADE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<String>,

    /// PEM file of the certificate authorities by which callers must show a certificate
    #[arg(long, env = "IAI_FACADE_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<String>,

    /// Names that may call, of which a caller's certificate must have one: URIs such as SPIFFE ids,
    /// and DNS names, parted by commas [default: any name]
    #[arg(long, env = "IAI_FACADE_ALLOW_SAN", value_name = "NAMES")]
    allow_san: Option<String>,

    /// File with the tokens that may call, a line each: a name and the SHA-256 digest in hexadecimal
    #[arg(long, env = "IAI_FACADE_TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<String>,

    /// Tell callers apart by x-forwarded-client-cert and l5d-client-id, which a proxy must set or
    /// remove on each call: true or false
    #[arg(long, env = "IAI_FACADE_TRUST_FORWARDED_IDENTITY", value_name = "BOOL",
        default_value = "false", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    trust_forwarded_identity: String,
}

/// Who may call, and how callers are told apart.
#[derive(Clone, Debug)]
pub struct Callers {
    /// How connections are encrypted, unless they are in plain text.
    pub tls: Option<Tls>,
    /// The names of which a caller's certificate must have one, unless there are none: URIs as they
    /// are, and DNS names in lower case.
    pub allow_san: Vec<String>,
    /// The tokens of which a caller must show one, unless none is wanted.
    pub tokens: Option<Arc<WatchedFiles<Tokens>>>,
    /// Whether proxies are believed in what they say of their callers.
    pub trust_forwarded_identity: bool,
}

/// How connections are encrypted.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate to show, and the authorities to believe.
    pub config: Arc<WatchedFiles<ServerConfig>>,
    /// Whether a caller must show a certificate.
    pub wants_certificate: bool,
}

impl CallersArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Callers> {
        let cert = parsed::file(self.tls_cert);
        let key = parsed::file(self.tls_key);
        let client_ca = parsed::file(self.tls_client_ca);
        let allow_san = self.allow_san.filter(|names| !names.is_empty());

        if client_ca.is_some() && cert.is_none() && key.is_none() {
            problems.note(
                "tls-client-ca",
                "has no meaning without --tls-cert and --tls-key",
            );
        }
        if allow_san.is_some() && client_ca.is_none() {
            problems.note("allow-san", "has no meaning without --tls-client-ca");
        }
        let tls = tls([cert, key, client_ca], problems);
        let allow_san = allow_san.as_deref().map_or(Ok(Vec::new()), names);
        let allow_san = problems.take("allow-san", allow_san);
        let tokens = parsed::file(self.tokens_file).map(tokens).transpose();
        let tokens = problems.take("tokens-file", tokens);
        let trust = parsed::switch(&self.trust_forwarded_identity);
        let trust = problems.take("trust-forwarded-identity", trust);

        Some(Callers {
            tls: tls?,
            allow_san: allow_san?,
            tokens: tokens?,
            trust_forwarded_identity: trust?,
        })
    }
}

/// Reads a certificate, its key, and the authorities of callers, if there are any.
fn tls(files: [Option<PathBuf>; 3], problems: &mut Problems) -> Option<Option<Tls>> {
    let [cert, key, client_ca] = &files;
    let has_key_alone = cert.is_none() && key.is_some();
    let has_cert_alone = cert.is_some() && key.is_none();
    if has_key_alone {
        problems.note("tls-cert", "is missing, and --tls-key is given");
    }
    if has_cert_alone {
        problems.note("tls-key", "is missing, and --tls-cert is given");
    }
    let certificates = |path: &PathBuf| encryption::read_certificates(path).map(drop);
    let cert_is_good = cert.as_ref().map_or(Ok(()), certificates);
    let key_is_good = key
        .as_ref()
        .map_or(Ok(()), |path| encryption::read_key(path).map(drop));
    let ca_is_good = client_ca.as_ref().map_or(Ok(()), certificates);
    let checked = [
        problems.take("tls-cert", cert_is_good),
        problems.take("tls-key", key_is_good),
        problems.take("tls-client-ca", ca_is_good),
    ];
    if has_key_alone || has_cert_alone || checked.contains(&None) {
        return None;
    }

    let wants_certificate = client_ca.is_some();
    let files: Vec<_> = files.into_iter().flatten().collect();
    if files.len() < 2 {
        return Some(None);
    }
    let config = WatchedFiles::read(files, |contents| {
        let authorities = contents.get(2).map(Vec::as_slice);
        encryption::server_config(&contents[0], &contents[1], authorities)
    });
    let tls = config.map(|config| Tls {
        config: Arc::new(config),
        wants_certificate,
    });
    problems.take("tls-cert", tls).map(Some)
}

fn tokens(file: PathBuf) -> Result<Arc<WatchedFiles<Tokens>>, String> {
    let name = file.display().to_string();
    let tokens = WatchedFiles::read(vec![file], move |contents| {
        Tokens::parse(&contents[0]).map_err(|mistakes| format!("{name}: {mistakes}"))
    });
    tokens.map(Arc::new)
}

/// Reads names of certificates, of which an empty one is no name.
fn names(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(|name| parse_name(name.trim()))
        .collect()
}

fn parse_name(name: &str) -> Result<String, String> {
    let is_uri = name.contains("://") && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_uri {
        return Ok(name.to_owned());
    }
    match DnsName::try_from(name) {
        Ok(_) => Ok(name.to_ascii_lowercase()),
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
    fn names_are_uris_as_they_are_and_dns_names_in_lower_case() {
        let text = "spiffe://example.org/Orders, Orders.example.org,orders";
        let expected = [
            "spiffe://example.org/Orders",
            "orders.example.org",
            "orders",
        ];
        assert_eq!(names(text).unwrap(), expected);

        // An empty one among others is a mistake: a list that became empty would let everybody pass.
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
