//! Flags, environment variables, and configuration errors.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use clap::Args;
use iai_facade::config::ServeArgs;
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::harness::{DeadUpstream, Program, client, errors, group, run, start_emulator};

#[tokio::test]
async fn stale_windows_require_a_cache_ttl() {
    let windows = ["--cache-stale-while-revalidate", "--cache-stale-if-error"];
    let [revalidate, error] = windows;
    let flags = ["serve", "--emulate", revalidate, "1m", error, "1m"];

    let output = run(&flags, &[]).await;

    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    for window in windows {
        assert!(errors.contains(&format!("{window}: ")), "{errors}");
    }
    assert_eq!(errors.matches("--cache-ttl").count(), 2, "{errors}");
}

#[tokio::test]
async fn unknown_arguments_exit_with_64_and_help_with_0() {
    assert_eq!(run(&[], &[]).await.status.code(), Some(64));
    assert_eq!(
        run(&["serve", "--lisen", "x"], &[]).await.status.code(),
        Some(64)
    );
    assert_eq!(run(&["serve", "--help"], &[]).await.status.code(), Some(0));
    assert_eq!(run(&["--version"], &[]).await.status.code(), Some(0));
}

#[tokio::test]
async fn every_flag_of_serve_has_an_environment_variable() {
    let help = String::from_utf8(run(&["serve", "--help"], &[]).await.stdout).unwrap();
    let flags: Vec<_> = help
        .lines()
        // A wrapped help text may also begin with a flag, but is indented further.
        .filter_map(|line| line.strip_prefix("      --"))
        .map(|line| line.split(['[', ' ', '=']).next().unwrap())
        .collect();
    assert!(flags.len() > 15, "{flags:?}");
    let text = help.split_whitespace().collect::<Vec<_>>().join(" ");

    for flag in flags {
        let variable = format!("IAI_FACADE_{}", flag.replace('-', "_").to_uppercase());
        assert!(
            text.contains(&format!("[env: {variable}=]")),
            "{variable} is not in:\n{help}"
        );
    }
}

#[tokio::test]
async fn a_flag_takes_precedence_over_its_variable() {
    let variables = [
        ("IAI_FACADE_LANGUAGE", "de-DE"),
        ("IAI_FACADE_MAX_CALL_TIME", "never"),
    ];

    let output = run(&["serve", "--language", "fr-FR"], &variables).await;

    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        errors.contains("fr-FR") && errors.contains("never"),
        "{errors}"
    );
    assert!(!errors.contains("de-DE"), "{errors}");
}

#[tokio::test]
async fn a_failed_start_exits_with_1_and_names_all_credential_providers() {
    let metadata = DeadUpstream::new();
    let metadata = format!("http://{}", metadata.address());
    let home = [("HOME", "/nowhere")];

    let output = run(&["serve", "--metadata-endpoint", &metadata], &home).await;

    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1));
    for name in [
        "--secret-id-file",
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
        "TENCENTCLOUD_CREDENTIALS_FILE",
        "/nowhere/.tencentcloud/credentials",
        "/etc/tencentcloud/credentials",
        "TKE_WEB_IDENTITY_TOKEN_FILE",
        "the instance role: no metadata service",
    ] {
        assert!(errors.contains(name), "{name} is not in: {errors}");
    }
}

#[tokio::test]
async fn an_address_in_use_exits_with_1_and_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let output = run(&["serve", "--emulate", "--listen", &address], &[]).await;

    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains(&address), "{}", errors(&output));
}

#[tokio::test]
async fn emulate_excludes_endpoints_and_credential_settings() {
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let credentials = command
        .get_arguments()
        .filter(|argument| argument.get_help_heading() == Some("Credentials"))
        .filter_map(|argument| argument.get_long())
        .filter(|flag| !["credentials-interval", "verify-upstream"].contains(flag));
    let flags: Vec<_> = ["endpoint"].into_iter().chain(credentials).collect();
    assert!(flags.contains(&"secret-key-file"), "{flags:?}");

    for flag in flags {
        let flag = format!("--{flag}");
        let output = run(&["serve", "--emulate", &flag, "http://127.0.0.1:1"], &[]).await;

        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(
            errors.contains(&format!("{flag}: cannot be combined with --emulate")),
            "{errors}"
        );
    }
    let output = run(&["serve", "--fixtures", "/nowhere"], &[]).await;
    assert_eq!(output.status.code(), Some(64));
}

#[tokio::test]
async fn emulate_warns_and_ignores_credentials_and_proxies_in_the_environment() {
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDreal"),
        ("TENCENTCLOUD_SECRET_KEY", "a-real-key"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("IAI_FACADE_EMULATE", "1"),
    ];
    let (program, addresses) = Program::serve(&[], &variables).await;

    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();

    program.signal("TERM").await;
    let (_, log) = program.ended().await;
    assert!(
        log.contains(
            r#""level":"WARN","message":"EMULATED: upstream is an emulator in this process"#
        ),
        "{log}"
    );
    assert!(
        log.contains("credential in the environment ignored"),
        "{log}"
    );
    assert!(!log.contains("AKIDreal"), "{log}");
}

#[tokio::test]
async fn credential_files_take_precedence_over_the_environment() {
    let emulator = start_emulator().await;
    let files = ["AKIDEMULATOR\n", "emulator-secret"].map(|text| {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        file
    });
    let [secret_id, secret_key] = files.each_ref().map(|file| file.path().to_str().unwrap());
    let endpoint = emulator.endpoint();
    let flags = [
        "--endpoint",
        &endpoint,
        "--secret-id-file",
        secret_id,
        "--secret-key-file",
        secret_key,
    ];
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "other"),
        ("TENCENTCLOUD_SECRET_KEY", "other"),
    ];
    let (_program, addresses) = Program::serve(&flags, &variables).await;

    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_invalid_credential_stops_the_provider_chain() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, " AKIDEMULATOR\n").unwrap();
    let path = file.path().to_str().unwrap();
    let pair = [
        ("TENCENTCLOUD_SECRET_ID", "id"),
        ("TENCENTCLOUD_SECRET_KEY", "key"),
    ];

    let flags = ["serve", "--secret-id-file", path, "--secret-key-file", path];
    let output = run(&flags, &pair).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("has a space at its start"),
        "{}",
        errors(&output)
    );

    let flags = [
        "serve",
        "--secret-id-file",
        path,
        "--secret-key-file",
        "/nowhere",
    ];
    std::fs::write(&file, "AKIDEMULATOR\n").unwrap();
    let output = run(&flags, &pair).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("/nowhere"), "{}", errors(&output));
}

#[tokio::test]
async fn unreadable_fixtures_are_configuration_errors() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, "[[groups]]\ngroup_idd = 3\n").unwrap();

    for path in [file.path().to_str().unwrap(), "/nowhere"] {
        let output = run(&["emulate", "--fixtures", path], &[]).await;
        assert_eq!(output.status.code(), Some(64));
        assert!(
            errors(&output).contains(&format!("--fixtures: {path}: ")),
            "{}",
            errors(&output)
        );
    }
}

#[tokio::test]
async fn arguments_and_variables_must_be_utf8() {
    let program = env!("CARGO_BIN_EXE_iai-facade");
    let bad = OsStr::from_bytes(b"\xff");
    for command in ["serve", "emulate", "call"] {
        let arguments = [OsStr::new(command), bad];
        let output = Command::new(program).env_clear().args(arguments).output();
        let output = output.await.unwrap();
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(64), "{command}: {errors}");
        assert!(!errors.contains("panicked"), "{command}: {errors}");
    }
    for (name, command) in [
        ("IAI_FACADE_LISTEN", "serve"),
        ("IAI_FACADE_ADDRESS", "call"),
        ("TOKIO_WORKER_THREADS", "serve"),
    ] {
        let mut process = Command::new(program);
        process.env_clear().env(name, bad).arg(command);
        let output = process.arg("get-group-info").output().await.unwrap();
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(64), "{name}: {errors}");
        assert!(!errors.contains("panicked"), "{name}: {errors}");
    }
    let argument = [OsStr::new("serve"), OsStr::new("--listen"), bad];
    let output = Command::new(program).env_clear().args(argument).output();
    let errors = errors(&output.await.unwrap());
    assert!(errors.contains("is not UTF-8"), "{errors}");
}

#[tokio::test]
async fn the_number_of_worker_threads_is_bounded() {
    for (number, code) in [("", 0), ("1", 0), ("0", 64), ("x", 64), ("99999999999", 64)] {
        let variables = [("TOKIO_WORKER_THREADS", number)];
        let output = run(&["completions", "bash"], &variables).await;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{number}: {errors}");
        let is_named = errors.contains("TOKIO_WORKER_THREADS: ");
        assert_eq!(is_named, code == 64, "{number}: {errors}");
    }
}

#[tokio::test]
async fn every_boolean_accepts_the_same_values() {
    let help = String::from_utf8(run(&["serve", "--help"], &[]).await.stdout).unwrap();
    let lines = help.lines().map(str::trim);
    let booleans: Vec<_> = lines
        .filter(|line| line.starts_with("--") && line.contains("<BOOL>"))
        .map(|line| line.split(['[', ' ', '=']).next().unwrap())
        .collect();
    assert!(booleans.len() >= 7, "{booleans:?}");

    // The invalid language must be the only error.
    let invalid = ["--language", "de-DE"];
    for flag in booleans {
        let variable = format!("IAI_FACADE_{}", flag[2..].replace('-', "_").to_uppercase());
        let values = ["true", "false", "on", "off", "1", "0"];
        let mut spellings = vec![vec![flag.to_owned()]];
        for value in values {
            spellings.push(vec![format!("{flag}={value}")]);
            spellings.push(vec![flag.to_owned(), value.to_owned()]);
        }
        for spelling in spellings {
            let spelling: Vec<_> = spelling.iter().map(String::as_str).collect();
            let output = run(&[&["serve"], &spelling[..], &invalid[..]].concat(), &[]).await;
            let errors = errors(&output);
            assert_eq!(errors.lines().count(), 1, "{spelling:?}: {errors}");
            assert!(errors.contains("--language: "), "{spelling:?}: {errors}");
        }
        for value in values {
            let output = run(&["serve", "--language", "de-DE"], &[(&variable, value)]).await;
            let errors = errors(&output);
            assert_eq!(errors.lines().count(), 1, "{variable}={value}: {errors}");
        }
        let output = run(&["serve"], &[(&variable, "perhaps")]).await;
        assert_eq!(output.status.code(), Some(64), "{variable}");
    }
}
