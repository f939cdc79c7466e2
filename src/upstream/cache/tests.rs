//! What is kept weighs what it takes, and no more than is allowed is kept.

use std::time::Duration;

use super::*;
use crate::credentials::Credential;

/// An answer of the documented size: that about a person, without its envelope.
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
    Cache::new(&settings).unwrap()
}

fn fill(cache: &Cache, number: u32) {
    let credential = Credential::new("id".to_owned(), "key".to_owned(), None).unwrap();
    let reply = Reply {
        body: BODY.into(),
        request_id: REQUEST_ID.to_owned(),
    };
    let outcome = Ok(reply);
    for id in 0..number {
        let call = Call {
            action: "GetPersonGroupInfo",
            parameters: format!(r#"{{"PersonId":"person-{id:06}"}}"#).into(),
            meaning: |_| Meaning::Answer,
        };
        let key = Key::new(&credential, &call);
        assert!(cache.keep(&key, &call, &outcome, Instant::now()));
        let kept = cache.find(&key).map(|kept| kept.outcome().unwrap());
        assert_eq!(kept.as_ref(), outcome.as_ref().ok());
    }
    cache.entries.run_pending_tasks();
}

#[tokio::test]
async fn a_hundred_thousand_answers_of_the_documented_size_fit_into_64_mib() {
    let cache = cache(64 << 20);

    fill(&cache, 100_000);

    let (entries, bytes) = cache.size();
    assert!(bytes <= 64 << 20, "{bytes} bytes");
    assert_eq!((entries, cache.evictions()), (100_000, 0));
}

#[tokio::test]
async fn no_more_is_kept_than_is_allowed() {
    let cache = cache(1 << 20);

    fill(&cache, 10_000);

    let (entries, bytes) = cache.size();
    assert!(bytes <= 1 << 20, "{bytes} bytes");
    assert!((1_500..1_700).contains(&entries), "{entries} entries");
    assert_eq!(entries + cache.evictions(), 10_000);
}

#[tokio::test]
async fn what_is_kept_is_what_was_received_wherever_the_id_stands() {
    let long = "x".repeat(1_000);
    let cases = [
        (r#"{"RequestId":"r"}"#, "r"),
        (r#"{"Name":"r","RequestId":"r"}"#, "r"),
        // The body has it in other characters.
        (r#"{"RequestId":"\u0072"}"#, "\u{4eba}"),
        ("", "r"),
        ("{}", ""),
        ("", ""),
        ("{}", &long),
    ];

    for (body, id) in cases {
        let reply = Reply {
            body: body.to_owned().into(),
            request_id: id.to_owned(),
        };
        let kept = Kept::answer(&reply, false, Instant::now());
        assert_eq!(kept.outcome().unwrap(), reply);
    }
}

#[tokio::test]
async fn neither_a_key_nor_what_is_kept_prints_an_id() {
    let credential = Credential::new("AKIDid".to_owned(), "key".to_owned(), None).unwrap();
    let call = Call {
        action: "Act",
        parameters: "alice".into(),
        meaning: |_| Meaning::Answer,
    };
    let reply = Reply {
        body: "alice".into(),
        request_id: String::new(),
    };
    let printed = format!(
        "{call:?} {:?} {:?}",
        Key::new(&credential, &call),
        Kept::answer(&reply, false, Instant::now())
    );

    assert!(
        !printed.contains("alice") && !printed.contains("AKID"),
        "{printed}"
    );
}
