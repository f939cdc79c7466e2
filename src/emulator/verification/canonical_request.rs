//! The text a signature stands for.

use http::{header::HOST, request::Parts};

use super::sha256_hex;
use crate::emulator::headers::header;

/// Writes the canonical request, with the header values spelt in one of the known ways.
///
/// Returns `None` if a header that is said to be signed did not arrive.
pub(super) fn canonical_request(
    head: &Parts,
    payload_hash: &str,
    signed_headers: &str,
    spelling: Spelling,
) -> Option<String> {
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        headers += &format!("{name}:{}\n", spelling.write(name, header(head, name)?));
    }
    let lines = [
        head.method.as_str(),
        head.uri.path(),
        head.uri.query().unwrap_or_default(),
        &headers,
        signed_headers,
        payload_hash,
    ];
    Some(lines.join("\n"))
}

/// Hashes the body, or the word that stands for it if the signer left it out.
pub(super) fn payload_hash(head: &Parts, body: &[u8]) -> String {
    let is_unsigned = header(head, "x-tc-content-sha256") == Some(UNSIGNED_PAYLOAD);
    sha256_hex(if is_unsigned {
        UNSIGNED_PAYLOAD.as_bytes()
    } else {
        body
    })
}

/// How signers write header values into the canonical request.
#[derive(Clone, Copy)]
pub(super) enum Spelling {
    /// As sent: the Go and Python SDKs.
    AsSent,
    /// Trimmed and in lower case: the documentation.
    Documented,
    /// As sent, but the host without its port: the Node.js SDK.
    WithoutPort,
}

impl Spelling {
    pub(super) const ALL: [Self; 3] = [Self::AsSent, Self::Documented, Self::WithoutPort];

    fn write(self, name: &str, value: &str) -> String {
        match self {
            Self::Documented => value.trim().to_lowercase(),
            Self::WithoutPort if name == HOST => without_port(value).to_owned(),
            Self::AsSent | Self::WithoutPort => value.to_owned(),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_what_follows_the_last_colon() {
        let cases = [
            ("iai.example", "iai.example"),
            ("iai.example:443", "iai.example"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
        ];
        for (host, expected) in cases {
            assert_eq!(without_port(host), expected);
        }
    }
}
