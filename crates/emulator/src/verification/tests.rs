//! Tests of signature verification with requests that the vendor's SDK signed.

use std::collections::BTreeMap;

use http::{HeaderValue, Request};
use serde::Deserialize;

use super::*;

#[test]
fn requests_signed_by_the_sdk_are_accepted() {
    for vector in vectors() {
        assert_eq!(vector.verify(), Ok(()), "{}", vector.id);
    }
}

#[test]
fn a_wrong_secret_key_is_rejected() {
    for mut vector in vectors() {
        vector.secret_key.push('x');
        assert_rejected(&vector, "AuthFailure.SignatureFailure");
    }
}

#[test]
fn a_changed_host_is_rejected() {
    for mut vector in vectors() {
        let host = vector.headers.get_mut("Host").unwrap();
        *host = format!("x{host}");
        assert_rejected(&vector, "AuthFailure.SignatureFailure");
    }
}

#[test]
fn a_changed_body_is_rejected_if_the_body_was_signed() {
    for mut vector in vectors()
        .into_iter()
        .filter(|vector| vector.method == "POST")
    {
        vector.changed_body = true;
        if vector.unsigned_payload {
            assert_eq!(vector.verify(), Ok(()), "{}", vector.id);
        } else {
            assert_rejected(&vector, "AuthFailure.SignatureFailure");
        }
    }
}

#[test]
fn a_changed_query_is_rejected() {
    for mut vector in vectors() {
        vector.query.push_str("&x=1");
        assert_rejected(&vector, "AuthFailure.SignatureFailure");
    }
}

#[test]
fn a_timestamp_up_to_five_minutes_off_is_accepted() {
    let vector = vector("basic-getgroupinfo");
    for seconds in [-300, 300] {
        assert_eq!(vector.verify_at(vector.timestamp + seconds), Ok(()));
    }
}

#[test]
fn an_expired_timestamp_is_rejected_with_the_server_time() {
    let vector = vector("basic-getgroupinfo");
    for seconds in [-301, 301] {
        let now = vector.timestamp + seconds;
        let error = vector.verify_at(now).unwrap_err();
        assert_eq!(error.code, "AuthFailure.SignatureExpire");
        assert!(
            error.message.ends_with(&format!("server time {now}.")),
            "{}",
            error.message
        );
    }
}

#[test]
fn a_local_date_is_rejected() {
    let mut vector = vector("ts-beijing-midnight-before");
    let authorization = vector.headers.get_mut("Authorization").unwrap();
    *authorization = authorization.replace("2025-06-30", "2025-07-01");
    assert_rejected(&vector, "AuthFailure.SignatureFailure");
}

#[test]
fn a_wrong_service_is_rejected() {
    let mut vector = vector("basic-getgroupinfo");
    let authorization = vector.headers.get_mut("Authorization").unwrap();
    *authorization = authorization.replace("/iai/", "/cvm/");
    assert_rejected(&vector, "AuthFailure.SignatureFailure");
}

#[test]
fn a_service_is_judged_only_under_a_domain_name() {
    for (host, is_judged) in [
        ("iai.tencentcloudapi.com", true),
        ("emulator.example:9080", true),
        ("1.2.3.4.example", true),
        ("localhost", false),
        ("localhost.:9080", false),
        ("emulator:9080", false),
        ("127.0.0.1:9080", false),
        ("[::1]:9080", false),
        ("[::ffff:127.0.0.1]", false),
        ("", false),
    ] {
        let vector = vector("basic-getgroupinfo").signed_for(host, "cvm");
        let expected = match is_judged {
            true => Err(signature_failure(String::new()).error),
            false => Ok(()),
        };
        assert_eq!(vector.verify(), expected, "{host}");
    }
}

#[test]
fn a_host_may_be_signed_without_its_port() {
    let mut vector = vector("basic-getgroupinfo");
    vector.headers.get_mut("Host").unwrap().push_str(":8080");
    assert_eq!(vector.verify(), Ok(()));
}

#[test]
fn header_values_may_be_signed_in_lower_case() {
    let mut vector = vector("basic-getgroupinfo");
    vector
        .headers
        .insert("Host".into(), "IAI.TencentCloudAPI.com".into());
    vector
        .headers
        .insert("Content-Type".into(), "Application/JSON".into());
    assert_eq!(vector.verify(), Ok(()));
}

#[test]
fn the_target_may_be_in_absolute_form() {
    let mut vector = vector("get-group");
    vector.target = "http://iai.tencentcloudapi.com/";
    assert_eq!(vector.verify(), Ok(()));
}

#[test]
fn an_unknown_secret_id_is_rejected() {
    let mut vector = vector("basic-getgroupinfo");
    vector.secret_id.push('x');
    assert_rejected(&vector, "AuthFailure.SecretIdNotFound");
}

#[test]
fn a_missing_header_is_named_in_the_error() {
    for (header, parameter) in [
        ("Authorization", "Authorization"),
        ("X-TC-Timestamp", "Timestamp"),
    ] {
        let mut vector = vector("basic-getgroupinfo");
        vector.headers.remove(header);
        let error = vector.verify().unwrap_err();
        assert_eq!(error.code, "MissingParameter");
        assert!(error.message.contains(parameter), "{}", error.message);
    }
}

#[test]
fn a_missing_signed_header_is_rejected() {
    let mut vector = vector("basic-getgroupinfo");
    vector.headers.remove("Content-Type");
    assert_rejected(&vector, "AuthFailure.SignatureFailure");
}

#[test]
fn a_temporary_key_requires_its_token() {
    let mut absent = vector("token-present");
    absent.headers.remove("X-TC-Token");
    let mut wrong = vector("token-present");
    wrong.token = Some("another".to_owned());
    let mut superfluous = vector("token-present");
    superfluous.token = None;
    for vector in [absent, wrong, superfluous] {
        assert_rejected(&vector, "AuthFailure.TokenFailure");
    }
}

fn assert_rejected(vector: &Vector, code: &str) {
    let error = vector.verify().expect_err(&vector.id);
    assert_eq!(error.code, code, "{}", vector.id);
}

fn vector(id: &str) -> Vector {
    vectors()
        .into_iter()
        .find(|vector| vector.id == id)
        .unwrap()
}

/// Returns the vectors of requests to IAI.
fn vectors() -> Vec<Vector> {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/tc3_vectors.json"
    ));
    let file: VectorFile = serde_json::from_str(text).unwrap();
    let vectors = file
        .vectors
        .into_iter()
        .filter(|vector| vector.service == "iai");
    vectors.collect()
}

#[derive(Deserialize)]
struct VectorFile {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    service: String,
    secret_id: String,
    secret_key: String,
    token: Option<String>,
    method: String,
    query: String,
    timestamp: i64,
    unsigned_payload: bool,
    payload_text: Option<String>,
    payload_base64: Option<String>,
    payload_rule: Option<Repeat>,
    #[serde(rename = "headers_sent_by_sdk")]
    headers: BTreeMap<String, String>,
    #[serde(skip, default = "origin_form")]
    target: &'static str,
    #[serde(skip)]
    changed_body: bool,
}

#[derive(Deserialize)]
struct Repeat {
    prefix: String,
    repeat: String,
    count: usize,
    suffix: String,
}

impl Vector {
    fn verify(&self) -> Result<(), ApiError> {
        self.verify_at(self.timestamp)
    }

    /// Signs the request for another host and product.
    fn signed_for(mut self, host: &str, service: &str) -> Self {
        self.headers.insert("Host".into(), host.into());
        let value = self.headers["Authorization"].replace("/iai/", &format!("/{service}/"));
        let (unsigned, _) = value.rsplit_once('=').unwrap();
        let head = self.head();
        let account = Account::new(self.secret_id.as_str(), self.secret_key.as_str());
        let authorization = Authorization::parse(&value).unwrap();
        let payload = payload_hash(&head, &self.body());
        let names = authorization.signed_headers;
        let text = canonical_request(&head, &payload, names, Spelling::AsSent).unwrap();
        let signature = sign(&text, &self.timestamp.to_string(), &authorization, &account);
        let signed = format!("{unsigned}={signature}");
        self.headers.insert("Authorization".into(), signed);
        self
    }

    fn verify_at(&self, now: i64) -> Result<(), ApiError> {
        let mut account = Account::new(self.secret_id.as_str(), self.secret_key.as_str());
        if let Some(token) = &self.token {
            account = account.with_token(token.as_str());
        }
        verify(&self.head(), &self.body(), &account, "iai", now).map_err(|it| it.error)
    }

    fn head(&self) -> Parts {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(format!("{}?{}", self.target, self.query));
        for (name, value) in &self.headers {
            request = request.header(name, HeaderValue::from_str(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    fn body(&self) -> Vec<u8> {
        let mut body = match (&self.payload_rule, &self.payload_text, &self.payload_base64) {
            (Some(rule), _, _) => [
                rule.prefix.as_str(),
                &rule.repeat.repeat(rule.count),
                &rule.suffix,
            ]
            .concat()
            .into(),
            (None, Some(text), _) => text.as_bytes().to_vec(),
            // The only body that is not text contains every byte value once.
            (None, None, Some(_)) => (0..=255).collect(),
            (None, None, None) => Vec::new(),
        };
        if self.changed_body {
            body.push(b'x');
        }
        body
    }
}

fn origin_form() -> &'static str {
    "/"
}
