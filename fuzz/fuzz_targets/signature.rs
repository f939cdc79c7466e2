//! Fuzz target: the TC3-HMAC-SHA256 signature.
//!
//! The input is seven fields, separated by the ASCII unit separator: method, query, headers (one per line,
//! as `name:value`), secret id, secret key, time in seconds since 1970, payload.
//!
//! Properties: the signature equals the one that the vendor's page defines, computed here by a second
//! implementation with other libraries for HMAC and the calendar; it changes with the payload and with the
//! second; and visible inputs produce a valid header value.

#![no_main]

use http::HeaderValue;
use libfuzzer_sys::{Corpus, fuzz_target};
use ring::{digest, hmac};
use tencent_cloud_signature::{
    CanonicalRequest, Scope, SigningKey, StringToSign, authorization, sha256_hex,
};
use time::UtcDateTime;

fuzz_target!(|data: &[u8]| -> Corpus {
    match Input::read(data) {
        Some(input) => {
            check(&input);
            Corpus::Keep
        }
        None => Corpus::Reject,
    }
});

struct Input<'a> {
    method: &'a str,
    query: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    secret_id: &'a str,
    secret_key: &'a str,
    time: UtcDateTime,
    payload: &'a [u8],
}

impl<'a> Input<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let mut fields = data.splitn(7, |byte| *byte == 0x1f);
        let mut text = || str::from_utf8(fields.next()?).ok();
        Some(Self {
            method: text()?,
            query: text()?,
            headers: text()?
                .lines()
                .map(|line| line.split_once(':'))
                .collect::<Option<_>>()?,
            secret_id: text()?,
            secret_key: text()?,
            time: UtcDateTime::from_unix_timestamp(text()?.parse().ok()?).ok()?,
            payload: fields.next()?,
        })
    }

    fn sign(&self) -> (String, String) {
        let timestamp = self.time.unix_timestamp();
        let payload = sha256_hex(self.payload);
        let request = CanonicalRequest::new(self.method, self.query, &self.headers, &payload);
        let scope = Scope::new(timestamp, "iai");
        let key = SigningKey::derive(self.secret_key, scope);
        let signature = key.sign(&StringToSign::new(timestamp, scope, &request));
        let authorization = authorization(self.secret_id, scope, &request, &signature);
        (authorization, signature)
    }

    /// Signs with the second implementation, written only from the vendor's page.
    fn sign_again(&self) -> (String, String) {
        let signed_headers: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        let signed_headers = signed_headers.join(";");
        let canonical_headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical_request = [
            self.method,
            "/",
            self.query,
            &canonical_headers,
            &signed_headers,
            &sha256(self.payload),
        ]
        .join("\n");

        let timestamp = self.time.unix_timestamp();
        let day = day(timestamp);
        let scope = format!("{day}/iai/tc3_request");
        let hashed_request = sha256(canonical_request.as_bytes());
        let string_to_sign = format!("TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed_request}");

        let mut key = format!("TC3{}", self.secret_key).into_bytes();
        for message in [&day, "iai", "tc3_request", &string_to_sign] {
            let hmac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), message.as_bytes());
            key = hmac.as_ref().to_vec();
        }
        let signature = hexadecimal(&key);
        let authorization = format!(
            "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed_headers}, \
             Signature={signature}",
            self.secret_id
        );
        (authorization, signature)
    }
}

fn check(input: &Input<'_>) {
    let (authorization, signature) = input.sign();
    assert_eq!(
        (authorization.clone(), signature.clone()),
        input.sign_again()
    );

    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let mut names = input.headers.iter().map(|(name, _)| *name);
    if is_visible(input.secret_id) && names.all(is_visible) {
        let value = HeaderValue::from_str(&authorization).expect("a header value");
        assert!(value.to_str().is_ok());
    }

    let longer = [input.payload, b"x"].concat();
    let changed = Input {
        payload: &longer,
        headers: input.headers.clone(),
        ..*input
    };
    assert_ne!(changed.sign().1, signature);

    if let Some(time) = input.time.checked_add(time::Duration::SECOND) {
        let headers = input.headers.clone();
        let later = Input {
            time,
            headers,
            ..*input
        };
        assert_ne!(later.sign().1, signature);
    }
}

/// Returns the UTC date, computed by counting the days of years and months.
fn day(timestamp: i64) -> String {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    let days = timestamp.div_euclid(86_400);
    let mut year = 1_970 + days.div_euclid(DAYS_OF_400_YEARS) * 400;
    let mut rest = days.rem_euclid(DAYS_OF_400_YEARS);
    while rest >= 365 + i64::from(is_leap(year)) {
        rest -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", rest + 1)
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
