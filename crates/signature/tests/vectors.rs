//! Each step of signing, against requests that the vendor's SDK signed and against the vendor's documented
//! examples.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tencent_cloud_signature::{
    CanonicalRequest, Scope, SigningKey, StringToSign, authorization, sha256_hex,
};

/// Relative to the root of the repository, whose other tests of signatures read the same vectors.
const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/data/tc3_vectors.json"
));

#[test]
fn every_vector_has_the_signature_of_the_vendors_sdk() {
    let data = vectors();
    let vectors = data["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 60);

    for vector in vectors {
        let headers = [
            ("content-type", text(vector, "content_type")),
            ("host", text(vector, "host")),
        ];
        check(vector, &headers);
    }
}

#[test]
fn every_documented_example_has_the_documented_signature() {
    let data = vectors();
    let examples = data["documented_examples"].as_array().unwrap();
    assert_eq!(examples.len(), 4);

    for example in examples {
        let values = example["signed_header_values"].as_object().unwrap();
        let headers: Vec<_> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        check(example, &headers);
    }
}

fn check(case: &Value, headers: &[(&str, &str)]) {
    let id = text(case, "id");
    let payload = payload(case);
    assert_eq!(
        sha256_hex(&payload),
        text(case, "hashed_request_payload"),
        "{id}: payload"
    );

    let request = CanonicalRequest::new(
        text(case, "method"),
        text(case, "query"),
        headers,
        text(case, "hashed_request_payload"),
    );
    assert_eq!(
        request.to_string(),
        text(case, "canonical_request"),
        "{id}: canonical request"
    );
    assert_eq!(
        request.hash(),
        text(case, "hashed_canonical_request"),
        "{id}: its hash"
    );

    let timestamp = case["timestamp"].as_i64().unwrap();
    let scope = Scope::new(timestamp, text(case, "service"));
    if let Some(expected) = case["credential_scope"].as_str() {
        assert_eq!(scope.to_string(), expected, "{id}: scope");
    }

    let string_to_sign = StringToSign::new(timestamp, scope, &request);
    assert_eq!(
        string_to_sign.to_string(),
        text(case, "string_to_sign"),
        "{id}: string to sign"
    );

    let signature = SigningKey::derive(text(case, "secret_key"), scope).sign(&string_to_sign);
    assert_eq!(signature, text(case, "signature"), "{id}: signature");

    let header = authorization(text(case, "secret_id"), scope, &request, &signature);
    assert_eq!(header, text(case, "authorization"), "{id}: authorization");
}

/// Returns the payload that a case hashes: empty for GET, and the literal `UNSIGNED-PAYLOAD` for unsigned
/// payloads.
fn payload(case: &Value) -> Vec<u8> {
    if case["unsigned_payload"] == true {
        return b"UNSIGNED-PAYLOAD".to_vec();
    }
    if text(case, "method") == "GET" {
        return Vec::new();
    }
    if let Some(encoded) = case["payload_base64"].as_str() {
        return BASE64_STANDARD.decode(encoded).unwrap();
    }
    let rule = &case["payload_rule"];
    assert_eq!(text(rule, "kind"), "repeat");
    let count = usize::try_from(rule["count"].as_u64().unwrap()).unwrap();
    let middle = text(rule, "repeat").repeat(count);
    format!("{}{middle}{}", text(rule, "prefix"), text(rule, "suffix")).into_bytes()
}

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} is missing in {case}"))
}
