//! Who may use the control API: clients on this machine, or clients with the token.

use std::net::{Ipv4Addr, SocketAddr};

use iai_emulator::{Emulator, Fixtures};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{
    LOOPBACK, Program,
    controlled_emulator::{document, exchange},
    errors, run,
};

const TOKEN: &str = "correct-horse";

#[tokio::test]
async fn with_a_token_only_health_and_version_are_open() {
    let mut emulator = Emulator::start(LOOPBACK, Fixtures::default())
        .await
        .unwrap();
    let token = TOKEN.into();
    let control = emulator
        .start_control(LOOPBACK, Some(&token))
        .await
        .unwrap();
    let status = async |path: &str, authorization: &str| {
        let headers = [("authorization", authorization)];
        let response = exchange(control, "GET", path, &headers, "").await;
        document(&response).0
    };
    for path in ["/v1/health", "/v1/ready", "/v1/version"] {
        assert_eq!(status(path, "").await, 200, "{path}");
    }
    for authorization in [
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        "Bearer correct-hors",
        "Bearer correct-horse ",
        "Basic correct-horse",
        "Bearer Correct-horse",
    ] {
        // A trailing space is no part of a header value.
        let expected = if authorization == "Bearer correct-horse " {
            200
        } else {
            401
        };
        for path in ["/v1/groups", "/v1/groups/aaa"] {
            assert_eq!(
                status(path, authorization).await,
                expected,
                "{authorization}"
            );
        }
    }
    assert_eq!(status("/v1/unknown", "").await, 401);
    assert_eq!(status("/v1/groups", "bearer correct-horse").await, 200);
}

#[tokio::test]
async fn web_pages_cannot_use_a_control_api_without_a_token() {
    let mut emulator = Emulator::start(LOOPBACK, Fixtures::default())
        .await
        .unwrap();
    let control = emulator.start_control(LOOPBACK, None).await.unwrap();
    let headers = [("origin", "https://page.example")];
    for (method, path) in [("POST", "/v1/reset"), ("GET", "/v1/health")] {
        let response = exchange(control, method, path, &headers, "").await;
        let (status, document) = document(&response);
        assert_eq!(status, 403, "{path}");
        assert_eq!(document["error"]["code"], "forbidden");
    }
}

#[tokio::test]
async fn an_address_beyond_loopback_requires_a_token() {
    let beyond = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut emulator = Emulator::start(LOOPBACK, Fixtures::default())
        .await
        .unwrap();
    assert!(emulator.start_control(beyond, None).await.is_err());
    assert!(
        emulator
            .start_control(beyond, Some(&TOKEN.into()))
            .await
            .is_ok()
    );

    let output = run(&["emulate", "--control-listen", "0.0.0.0:0"], &[]).await;
    assert_eq!(output.status.code(), Some(64));
    let errors = errors(&output);
    assert!(
        errors.contains(
            "--control-listen: an address other than loopback requires --control-token-file"
        ),
        "{errors}"
    );
}

#[tokio::test]
async fn the_program_serves_the_control_api_with_the_token_of_a_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let arguments = [
        "emulate",
        "--listen",
        "127.0.0.1:0",
        "--control-listen",
        "127.0.0.1:0",
        "--control-token-file",
        file.to_str().unwrap(),
    ];
    let mut program = Program::start(&arguments, &[]);
    let line = program.line("emulating").await;
    let control = line["control.address"].as_str().unwrap().parse().unwrap();

    let headers = [("authorization", "Bearer correct-horse")];
    let response = exchange(control, "GET", "/v1/version", &headers, "").await;
    let version = json!({"name": "iai-emulator", "version": env!("CARGO_PKG_VERSION")});
    assert_eq!(document(&response), (200, version));
    let response = exchange(control, "GET", "/v1/groups/aaa", &headers, "").await;
    assert_eq!(document(&response).0, 200);
    let response = exchange(control, "GET", "/v1/groups/aaa", &[], "").await;
    assert_eq!(document(&response).0, 401);
    assert_eq!(response.unwrap().headers()["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_token_file_that_cannot_be_used_ends_the_program() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "two words").unwrap();
    let file = file.to_str().unwrap();
    for (flags, message) in [
        (
            &["--control-token-file", file][..],
            "requires --control-listen",
        ),
        (
            &[
                "--control-listen",
                "127.0.0.1:0",
                "--control-token-file",
                file,
            ],
            "space",
        ),
        (
            &[
                "--control-listen",
                "127.0.0.1:0",
                "--control-token-file",
                "/nowhere",
            ],
            "No such file",
        ),
    ] {
        let output = run(&[&["emulate"], flags].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(64));
        let errors = errors(&output);
        assert!(errors.contains("--control-token-file: "), "{errors}");
        assert!(errors.contains(message), "{errors}");
        assert!(!errors.contains("two words"), "{errors}");
    }
}
