//! Settings and files, and where the check ends without a connection.

use std::fs;

use tempfile::TempDir;

use crate::harness::{authority::Authority, checked::Checked, errors, run, start_emulator};

#[tokio::test]
async fn offline_ends_after_the_settings_and_opens_no_connection() {
    let emulator = start_emulator().await;

    let checked = Checked::at(&emulator.endpoint(), &["--offline"]).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    assert_eq!(checked.with_status("ok"), ["settings"]);
    assert_eq!(checked.step("credential")["summary"], "--offline");
    assert_eq!(checked.with_status("skipped").len(), 8);
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn the_settings_in_force_are_shown_without_the_password_of_the_proxy() {
    let variables = [
        ("HTTP_PROXY", "http://user:hunter2@proxy:3128"),
        ("TENCENTCLOUD_REGION", "ap-shanghai"),
    ];
    let flags = ["--offline", "--endpoint", "http://iai.example"];

    let checked = Checked::run(&flags, &variables).await;

    let expected = [
        "endpoint: http://iai.example",
        "region: ap-shanghai",
        "proxy: http://proxy:3128",
    ];
    assert_eq!(
        checked.step("settings")["details"],
        serde_json::json!(expected)
    );
    checked.assert_hides(&["hunter2"]);
}

#[tokio::test]
async fn all_mistakes_of_settings_and_files_are_reported_with_64() {
    let flags = [
        "--language",
        "de-DE",
        "--tokens-file",
        "/nowhere",
        "--upstream-ca",
        "/nowhere",
        "--group-id",
        "not an id",
    ];

    let checked = Checked::run(&flags, &[("HTTPS_PROXY", "socks5://proxy")]).await;

    let words = [
        "--language: ",
        "--tokens-file: /nowhere: ",
        "--upstream-ca: /nowhere: ",
        "--group-id: must contain only",
        "HTTPS_PROXY: ",
        "5 mistakes",
    ];
    checked.assert_failed("settings", 64, &words);
    checked.assert_hides(&["not an id"]);
}

#[tokio::test]
async fn unreadable_credential_files_are_found_without_a_connection() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("id"), "AKIDEMULATOR").unwrap();
    let [id, key] = ["id", "key"].map(path);
    let flags = ["--secret-id-file", &id, "--secret-key-file", &key];

    let checked = Checked::at("http://127.0.0.1:1", &[&["--offline"], &flags[..]].concat()).await;

    checked.assert_failed("settings", 64, &["--secret-key-file: ", &key, "1 mistake"]);
}

#[tokio::test]
async fn an_expired_server_certificate_is_a_warning() {
    let authority = Authority::new();
    let server = authority.server_in(2019..2020);
    let tls = ["--tls-cert", &server.cert, "--tls-key", &server.key];

    let checked = Checked::at("http://127.0.0.1:1", &[&["--offline"], &tls[..]].concat()).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    assert_eq!(checked.with_status("warning"), ["settings"]);
    let summary = checked.step("settings")["summary"].as_str().unwrap();
    assert!(summary.contains("expired at 2020-"), "{summary}");
}

#[tokio::test]
async fn flags_that_exclude_each_other_or_are_unknown_exit_with_64() {
    for flags in [
        &["--offline", "--group-id", "aaa"][..],
        &["--format", "xml"],
        &["--lisen", "x"],
        &["--emulate", "--endpoint", "http://127.0.0.1:1"],
    ] {
        let output = run(&[&["check"], flags].concat(), &[]).await;

        assert_eq!(output.status.code(), Some(64), "{}", errors(&output));
    }
}
