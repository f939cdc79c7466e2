//! Weights, capacity and content of cache entries.

use std::time::Duration;

use super::*;
use crate::{
    credentials::Credential,
    upstream::{request::ApiRequest, response::Decoded},
};

/// A response of the documented size: that of GetPersonGroupInfo, without its envelope.
const BODY: &str = r#"{"PersonGroupInfos":[{"GroupId":"ZhuYuanDormitoryNo1","PersonExDescriptions":["School of Computer Science","Software Engineering","Class of 2015","3150108080"]}],"GroupNum":"1","FaceModelVersion":"3.0","RequestId":"6faa05d0-287b-464e-8755-cf3e8d0c703d"}"#;

const REQUEST_ID: &str = "6faa05d0-287b-464e-8755-cf3e8d0c703d";

fn cache(max_bytes: u64) -> Cache {
    let settings = config::Cache {
        is_sharing: false,
        ttl: Duration::from_secs(3_600),
        negative_ttl: Duration::from_secs(2),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        max_bytes,
    };
    Cache::new(&settings, Clock::system()).unwrap()
}

fn fill(cache: &Cache, number: u32) {
    let credential = Credential::new("id".to_owned(), "key".to_owned(), None).unwrap();
    let response = ApiResponse {
        body: BODY.into(),
        request_id: REQUEST_ID.to_owned(),
    };
    for id in 0..number {
        let request = ApiRequest {
            action: "GetPersonGroupInfo",
            parameters: format!(r#"{{"PersonId":"person-{id:06}"}}"#).into(),
            id: |_| None,
        };
        let key = Key::new(&credential, &request);
        assert!(cache.insert(&key, &response, Cacheable::Positive));
        let entry = cache.entries.get(&key).unwrap();
        assert_eq!(content(&entry), response);
    }
    cache.entries.run_pending_tasks();
}

#[tokio::test]
async fn one_hundred_thousand_documented_responses_fit_into_64_mib() {
    let cache = cache(64 << 20);

    fill(&cache, 100_000);

    let (entries, bytes) = cache.size();
    assert!(bytes <= 64 << 20, "{bytes} bytes");
    assert_eq!((entries, cache.evictions()), (100_000, 0));
}

#[tokio::test]
async fn entries_beyond_the_capacity_are_evicted() {
    let cache = cache(1 << 20);

    fill(&cache, 10_000);

    let (entries, bytes) = cache.size();
    assert!(bytes <= 1 << 20, "{bytes} bytes");
    assert!((1_500..1_700).contains(&entries), "{entries} entries");
    assert_eq!(entries + cache.evictions(), 10_000);
}

/// Returns the response of an entry.
fn content(entry: &Entry) -> ApiResponse {
    let copied = |body: &[u8], _: &str| Decoded {
        message: body.to_vec(),
        cacheable: Cacheable::Positive,
    };
    let reply = entry.reply(copied).unwrap();
    ApiResponse {
        body: reply.message.into(),
        request_id: reply.request_id,
    }
}

/// Creates a response with a body of `length` bytes.
fn response(length: usize) -> ApiResponse {
    ApiResponse {
        body: "x".repeat(length).into(),
        request_id: REQUEST_ID.to_owned(),
    }
}

fn key(id: usize) -> Key {
    let credential = Credential::new("id".to_owned(), "key".to_owned(), None).unwrap();
    let request = ApiRequest {
        action: "GetPersonGroupInfo",
        parameters: format!(r#"{{"PersonId":"person-{id:06}"}}"#).into(),
        id: |_| None,
    };
    Key::new(&credential, &request)
}

#[tokio::test]
async fn a_response_over_an_eighth_of_the_cache_only_removes_the_old_entry() {
    let cache = cache(1 << 20);
    let key = key(1);
    assert!(cache.insert(&key, &response(100 << 10), Cacheable::Positive));
    assert!(cache.entries.get(&key).is_some());

    assert!(!cache.insert(&key, &response(4 << 20), Cacheable::Positive));

    assert!(cache.entries.get(&key).is_none());
}

#[tokio::test]
async fn large_responses_never_exceed_the_capacity() {
    let cache = cache(1 << 20);

    for id in 0..200 {
        cache.insert(&key(id), &response(120 << 10), Cacheable::Positive);
        let held: usize = cache.entries.iter().map(|(_, entry)| entry.size()).sum();
        assert!(held <= 1 << 20, "{held} bytes");
    }
}

#[tokio::test]
async fn an_entry_is_the_received_response_wherever_its_id_is() {
    let long = "x".repeat(1_000);
    let cases = [
        (r#"{"RequestId":"r"}"#, "r"),
        (r#"{"Name":"r","RequestId":"r"}"#, "r"),
        // The body escapes a character of the id.
        (r#"{"RequestId":"\u0072"}"#, "\u{4eba}"),
        ("", "r"),
        ("{}", ""),
        ("", ""),
        ("{}", &long),
    ];

    for (body, id) in cases {
        let response = ApiResponse {
            body: body.to_owned().into(),
            request_id: id.to_owned(),
        };
        let entry = Entry::response(&response, false, Clock::system().boot_time());
        assert_eq!(content(&entry), response);
    }
}

#[tokio::test]
async fn debug_output_of_requests_keys_and_entries_shows_no_id() {
    let credential = Credential::new("AKIDid".to_owned(), "key".to_owned(), None).unwrap();
    let request = ApiRequest {
        action: "Act",
        parameters: "alice".into(),
        id: |_| None,
    };
    let response = ApiResponse {
        body: "alice".into(),
        request_id: String::new(),
    };
    let printed = format!(
        "{request:?} {:?} {:?}",
        Key::new(&credential, &request),
        Entry::response(&response, false, Clock::system().boot_time())
    );

    assert!(
        !printed.contains("alice") && !printed.contains("AKID"),
        "{printed}"
    );
}
