//! Explanations: what a rejected signature should have covered, for the developer of the client.

use http::request::Parts;

use super::{
    authorization::Authorization,
    canonical_request::{Spelling, canonical_request, payload_hash},
    digest::sha256_hex,
};
use crate::headers::header;

/// Why the signature of a request was rejected, and what it should have covered. It holds neither the key
/// nor the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureRejection {
    /// The first part of the request that is wrong, in words.
    pub reason: String,
    /// The canonical request, with header values as sent. `None` if the `Authorization` header has another
    /// form or a signed header is absent; at most 16 KiB.
    pub canonical_request: Option<String>,
    /// The string to sign. `None` if the canonical request or the timestamp is.
    pub string_to_sign: Option<String>,
}

impl SignatureRejection {
    /// Explains the rejection of a request for `reason`.
    pub(crate) fn new(head: &Parts, body: &[u8], reason: String) -> Self {
        let authorization = header(head, "authorization").map(Authorization::parse);
        let authorization = authorization.and_then(Result::ok);
        let canonical_request = authorization.as_ref().and_then(|authorization| {
            let payload = payload_hash(head, body);
            let names = authorization.signed_headers;
            canonical_request(head, &payload, names, Spelling::AsSent)
        });
        let string_to_sign = canonical_request.as_ref().and_then(|text| {
            let timestamp = header(head, "x-tc-timestamp")?;
            Some(string_to_sign(text, timestamp, authorization.as_ref()?))
        });
        Self {
            reason,
            canonical_request: canonical_request.map(|text| shown(head, &text)),
            string_to_sign,
        }
    }

    /// Returns the length of the texts, in bytes.
    pub(crate) fn len(&self) -> usize {
        let texts = [&self.canonical_request, &self.string_to_sign];
        self.reason.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// Returns the text that is signed.
pub(super) fn string_to_sign(
    canonical_request: &str,
    timestamp: &str,
    authorization: &Authorization<'_>,
) -> String {
    let Authorization { date, service, .. } = authorization;
    let hash = sha256_hex(canonical_request.as_bytes());
    format!("TC3-HMAC-SHA256\n{timestamp}\n{date}/{service}/tc3_request\n{hash}")
}

/// Returns at most the first [`MAX_SHOWN`] bytes, with the token hidden.
fn shown(head: &Parts, canonical_request: &str) -> String {
    let mut text = match header(head, "x-tc-token").filter(|token| !token.is_empty()) {
        Some(token) => canonical_request.replace(token, HIDDEN),
        None => canonical_request.to_owned(),
    };
    text.truncate(text.floor_char_boundary(MAX_SHOWN));
    text
}

const HIDDEN: &str = "(token)";
const MAX_SHOWN: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn an_explanation_shows_what_to_sign_but_not_the_token() {
        let request = Request::post("/")
            .header(
                "authorization",
                "TC3-HMAC-SHA256 Credential=AKID/2023-11-14/iai/tc3_request, \
                 SignedHeaders=content-type;host;x-tc-token, Signature=00",
            )
            .header("content-type", "application/json")
            .header("host", "iai.tencentcloudapi.com")
            .header("x-tc-timestamp", 1_700_000_000)
            .header("x-tc-token", "battery-staple");
        let head = request.body(()).unwrap().into_parts().0;

        let rejection = SignatureRejection::new(&head, b"{}", "because".to_owned());

        assert_eq!(
            rejection.canonical_request.as_deref(),
            Some(
                "POST\n/\n\ncontent-type:application/json\nhost:iai.tencentcloudapi.com\n\
                 x-tc-token:(token)\n\ncontent-type;host;x-tc-token\n\
                 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
            )
        );
        let string_to_sign = rejection.string_to_sign.unwrap();
        let start = "TC3-HMAC-SHA256\n1700000000\n2023-11-14/iai/tc3_request\n";
        assert!(string_to_sign.starts_with(start), "{string_to_sign}");
    }

    #[test]
    fn a_request_without_authorization_has_only_a_reason() {
        let head = Request::post("/").body(()).unwrap().into_parts().0;
        let rejection = SignatureRejection::new(&head, b"{}", "because".to_owned());
        let expected = SignatureRejection {
            reason: "because".to_owned(),
            canonical_request: None,
            string_to_sign: None,
        };
        assert_eq!(rejection, expected);
    }
}
