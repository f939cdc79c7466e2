//! Canonical request: the text that a signature covers.

use http::{header::HOST, request::Parts};

use super::digest::sha256_hex;
use crate::headers::header;

/// Returns the canonical request, with header values in the given spelling.
///
/// Returns `None` if a signed header is absent.
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

/// Returns the hash of the body, or of `UNSIGNED-PAYLOAD` if the client did not sign the body.
pub(super) fn payload_hash(head: &Parts, body: &[u8]) -> String {
    let is_unsigned = header(head, "x-tc-content-sha256") == Some(UNSIGNED_PAYLOAD);
    sha256_hex(if is_unsigned {
        UNSIGNED_PAYLOAD.as_bytes()
    } else {
        body
    })
}

/// The spelling of header values in the canonical request.
#[derive(Clone, Copy)]
pub(super) enum Spelling {
    /// As sent, by the Go and Python SDKs.
    AsSent,
    /// Trimmed and in lower case, by the documentation.
    Documented,
    /// As sent, but the host without its port, by the Node.js SDK.
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

/// Returns a `Host` header without its port.
pub(super) fn without_port(host: &str) -> &str {
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
    fn without_port_removes_only_a_port() {
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
