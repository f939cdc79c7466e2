//! Bad input: each rejection has a status, a code and a message, and changes nothing.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::harness::{
    Program,
    controlled_emulator::{ControlledEmulator, document, exchange},
};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Headers, body, and the status and code of the rejection.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

const MAX_BODY: usize = 1 << 20;

#[tokio::test]
async fn bad_paths_methods_and_queries_are_rejected() {
    let emulator = ControlledEmulator::start().await;
    let long = format!("/v1/groups/{}", "x".repeat(65));
    for (method, target, status, code) in [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v2/groups", 404, "not_found"),
        ("GET", "/v1/groups/", 404, "not_found"),
        ("GET", "/v1/groups/aaa/", 404, "not_found"),
        ("GET", "/v1//groups", 404, "not_found"),
        ("GET", "/v1/groups/unknown", 404, "not_found"),
        ("GET", "/v1/groups/%ff", 400, "invalid_path"),
        ("GET", "/v1/groups/a%2Fb", 400, "invalid_path"),
        ("GET", "/v1/groups/%00", 400, "invalid_path"),
        ("GET", "/v1/groups/a%", 400, "invalid_path"),
        ("GET", "/v1/groups/a%2", 400, "invalid_path"),
        ("GET", "/v1/groups/a%zz", 400, "invalid_path"),
        ("GET", long.as_str(), 400, "invalid_path"),
        ("POST", "/v1/groups", 405, "method_not_allowed"),
        ("HEAD", "/v1/groups/unknown", 404, ""),
        ("HEAD", "/v1/reset", 405, ""),
        ("BREW", "/v1/groups/aaa", 405, "method_not_allowed"),
        ("GET", "/v1/reset", 405, "method_not_allowed"),
        ("GET", "/v1/groups?limit=0", 400, "invalid_query"),
        ("GET", "/v1/groups?limit=1001", 400, "invalid_query"),
        ("GET", "/v1/groups?limit=%2B1", 400, "invalid_query"),
        ("GET", "/v1/groups?limit=", 400, "invalid_query"),
        ("GET", "/v1/groups?limit=1&limit=1", 400, "invalid_query"),
        ("GET", "/v1/groups?page=1", 400, "invalid_query"),
        ("GET", "/v1/groups?after=%ff", 400, "invalid_query"),
        ("GET", "/v1/health?verbose", 400, "invalid_query"),
    ] {
        let response = exchange(emulator.control, method, target, &[], "").await;
        assert_eq!(
            response.as_ref().unwrap().status(),
            status,
            "{method} {target}"
        );
        if method != "HEAD" {
            assert_error(&document(&response).1, code);
        }
    }
}

#[tokio::test]
async fn a_rejected_method_is_told_the_methods_of_the_path() {
    let emulator = ControlledEmulator::start().await;
    let response = exchange(emulator.control, "POST", "/v1/groups/aaa", &[], "").await;
    let headers = response.unwrap().headers().clone();
    assert_eq!(headers["allow"], "GET, HEAD, PUT, PATCH, DELETE");
}

#[tokio::test]
async fn head_returns_the_headers_of_get() {
    let emulator = ControlledEmulator::start().await;
    for path in ["/v1/health", "/v1/groups/aaa"] {
        let [get, head] = ["GET", "HEAD"]
            .map(|method| async move { exchange(emulator.control, method, path, &[], "").await });
        let (get, head) = (get.await.unwrap(), head.await.unwrap());
        assert_eq!(head.status(), 200, "{path}");
        for name in ["content-length", "content-type"] {
            assert_eq!(head.headers()[name], get.headers()[name], "{path}");
        }
        assert!(head.body().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn bad_bodies_are_rejected_and_change_nothing() {
    let emulator = ControlledEmulator::start().await;
    let before = emulator
        .expect(200, "GET", "/v1/groups", &Value::Null)
        .await;
    let encoded = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let text = [("content-type", "text/plain")];
    let deep = "[".repeat(100_000);
    let wide = format!(r#"{{"group_name": "{}"}}"#, "x".repeat(MAX_BODY));
    let group = r#"{"group_name": "a"}"#;
    let utf16: Vec<u8> = group.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [Case<'_>; 20] = [
        (JSON, b"", 400, "invalid_json"),
        (JSON, b"{", 400, "invalid_json"),
        (JSON, b"{} {}", 400, "invalid_json"),
        (JSON, b"\xef\xbb\xbf{}", 400, "invalid_json"),
        (JSON, b"{\"group_name\": \"\xff\"}", 400, "invalid_json"),
        (JSON, br#"{"group_name": "\ud800"}"#, 400, "invalid_json"),
        (
            JSON,
            br#"{"creation_timestamp": 1e999}"#,
            400,
            "invalid_json",
        ),
        (JSON, &utf16, 400, "invalid_json"),
        (JSON, deep.as_bytes(), 400, "invalid_json"),
        (JSON, wide.as_bytes(), 413, "body_too_large"),
        (&[], group.as_bytes(), 415, "unsupported_media_type"),
        (&text, group.as_bytes(), 415, "unsupported_media_type"),
        (&encoded, group.as_bytes(), 415, "unsupported_media_type"),
        (JSON, b"[]", 422, "invalid_value"),
        (JSON, b"null", 422, "invalid_value"),
        (JSON, b"{}", 422, "invalid_value"),
        (
            JSON,
            br#"{"group_name": "a", "tagg": "b"}"#,
            422,
            "invalid_value",
        ),
        (
            JSON,
            br#"{"group_name": "a", "group_id": "y"}"#,
            422,
            "invalid_value",
        ),
        (JSON, br#"{"group_name": 1}"#, 422, "invalid_value"),
        (
            JSON,
            br#"{"group_name": "a", "creation_timestamp": -1}"#,
            422,
            "invalid_value",
        ),
    ];
    for (headers, body, status, code) in cases {
        let body = body.to_vec();
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let response = exchange(emulator.control, "PUT", "/v1/groups/x", headers, body).await;
        let (found, document) = document(&response);
        assert_eq!(found, status, "{shown}: {document}");
        assert_error(&document, code);
    }
    let after = emulator
        .expect(200, "GET", "/v1/groups", &Value::Null)
        .await;
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_rejection_names_the_key_and_the_nearest_right_spelling() {
    let emulator = ControlledEmulator::start().await;
    let group = json!({"group_name": "a", "tagg": "b"});
    let error = emulator.expect(422, "PUT", "/v1/groups/x", &group).await;
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("`tagg`") && message.contains("`tag`"),
        "{message}"
    );
}

#[tokio::test]
async fn concurrent_changes_are_all_kept() {
    let emulator = ControlledEmulator::start().await;
    let control = emulator.control;
    let puts = (0..200).map(|number| {
        tokio::spawn(async move {
            let path = format!("/v1/groups/g{number:03}");
            exchange(control, "PUT", &path, JSON, r#"{"group_name": "a"}"#).await
        })
    });
    for put in puts.collect::<Vec<_>>() {
        assert_eq!(document(&put.await.unwrap()).0, 201);
    }
    let page = emulator
        .expect(200, "GET", "/v1/groups?limit=1000", &Value::Null)
        .await;
    assert_eq!(page["groups"].as_array().unwrap().len(), 201);
}

/// Maximum growth of the emulator's memory by bodies of the maximum size, in bytes. The value of one takes
/// about 200 MB in an unoptimized build, so two at once exceed it.
const MAX_GROWTH: u64 = 256 << 20;

#[tokio::test]
async fn the_memory_of_concurrent_large_bodies_is_bounded() {
    let ports = ["--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"];
    let mut program = Program::start(&[&["emulate"], &ports[..]].concat(), &[]);
    let line = program.line("emulating").await;
    let control = line["control.address"].as_str().unwrap().parse().unwrap();
    let start = r#"{"group_name": ["#;
    let zeros = "0,".repeat((MAX_BODY - start.len() - 3) / 2);
    let body = Bytes::from(format!("{start}{zeros}0]}}"));
    let before = program.peak_memory();

    let puts = (0..40).map(|_| {
        let body = body.clone();
        tokio::spawn(async move { exchange(control, "PUT", "/v1/groups/a", JSON, body).await })
    });
    for put in puts.collect::<Vec<_>>() {
        assert_eq!(document(&put.await.unwrap()).0, 422);
    }

    let grown = program.peak_memory() - before;
    assert!(grown < MAX_GROWTH, "{grown} bytes");
}

fn assert_error(document: &Value, code: &str) {
    let error = document["error"].as_object().unwrap();
    assert_eq!(error["code"], code, "{document}");
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert_eq!(error.len(), 2);
}
