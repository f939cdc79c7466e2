//! Flags, variables, and what the program says of bad ones.

use tempfile::NamedTempFile;

use crate::harness::{Nobody, Program, client, errors, group, run, start_emulator};

#[tokio::test]
async fn all_bad_settings_are_reported_at_once_with_exit_code_64() {
    let flags = [
        ("--listen", "here"),
        ("--admin-listen", "127.0.0.1"),
        ("--tls-cert", "/nowhere"),
        ("--tls-key", "/nowhere"),
        ("--tls-client-ca", "/nowhere"),
        ("--allow-san", "a b"),
        ("--tokens-file", "/nowhere"),
        ("--trust-forwarded-identity=maybe", ""),
        ("--endpoint", "iai.tencentcloudapi.com"),
        ("--region", "ap guangzhou"),
        ("--language", "de-DE"),
        ("--max-attempts", "0"),
        ("--upstream-connect-timeout", "0s"),
        ("--upstream-idle-timeout", "1h"),
        ("--max-upstream-response-bytes", "1GiB"),
        ("--upstream-rate", "0"),
        ("--adaptive-rate", "sometimes"),
        ("--circuit", "closed"),
        ("--credentials", "keychain"),
        ("--secret-id-file", "/nowhere"),
        ("--role-arn", "iai"),
        ("--sts-endpoint", "sts.tencentcloudapi.com"),
        ("--metadata-endpoint", "http://169.254.0.23/latest"),
        ("--credentials-interval", "1ms"),
        ("--verify-upstream=maybe", ""),
        ("--share-calls=maybe", ""),
        ("--cache-ttl", "2d"),
        ("--cache-negative-ttl", "3s"),
        ("--cache-stale-while-revalidate", "soon"),
        ("--cache-stale-if-error", "2d"),
        ("--cache-max-bytes", "1KiB"),
        ("--max-call-time", "1"),
        ("--max-concurrent-calls", "0"),
        ("--max-connections", "many"),
        ("--max-connection-age", "2days"),
        ("--unready-delay", "2h"),
        ("--drain-timeout", "2h"),
        ("--log-format", "xml"),
        ("--log-level", "loud=,="),
        ("--log-slow", "soon"),
        ("--log-sample", "2"),
        ("--log-ids=maybe", ""),
        ("--log-hash-key-file", "/nowhere"),
        ("--emulate=maybe", ""),
    ];
    let arguments: Vec<_> = flags
        .iter()
        .flat_map(|(flag, value)| [*flag, *value])
        .filter(|argument| !argument.is_empty())
        .collect();

    let output = run(&[&["serve"], &arguments[..]].concat(), &[]).await;

    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    for (flag, _) in flags {
        let flag = flag.split('=').next().unwrap();
        // Of half a pair, the missing half is named.
        let named = if flag == "--secret-id-file" {
            "--secret-key-file"
        } else {
            flag
        };
        assert!(
            errors.contains(&format!("{named}: ")),
            "{named} is not in:\n{errors}"
        );
    }
    assert_eq!(errors.lines().count(), flags.len(), "{errors}");
}

#[tokio::test]
async fn what_is_to_be_given_when_stale_must_be_kept_at_all() {
    let windows = ["--cache-stale-while-revalidate", "--cache-stale-if-error"];
    let [renewed, error] = windows;
    let flags = ["serve", "--emulate", renewed, "1m", error, "1m"];

    let output = run(&flags, &[]).await;

    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    for window in windows {
        assert!(errors.contains(&format!("{window}: ")), "{errors}");
    }
    assert_eq!(errors.matches("--cache-ttl").count(), 2, "{errors}");
}

#[tokio::test]
async fn words_that_are_no_settings_end_with_64_too_and_help_with_0() {
    assert_eq!(run(&[], &[]).await.status.code(), Some(64));
    assert_eq!(
        run(&["serve", "--lisen", "x"], &[]).await.status.code(),
        Some(64)
    );
    assert_eq!(run(&["serve", "--help"], &[]).await.status.code(), Some(0));
    assert_eq!(run(&["--version"], &[]).await.status.code(), Some(0));
}

#[tokio::test]
async fn every_flag_of_serve_is_a_variable_too() {
    let help = String::from_utf8(run(&["serve", "--help"], &[]).await.stdout).unwrap();
    let flags: Vec<_> = help
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--"))
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
async fn a_variable_counts_and_a_flag_counts_more() {
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
async fn a_start_that_fails_ends_with_1_and_says_where_credentials_were_looked_for() {
    let nobody = Nobody::new();
    let metadata = format!("http://{}", nobody.address());
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
async fn an_address_in_use_ends_with_1_and_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let output = run(&["serve", "--emulate", "--listen", &address], &[]).await;

    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains(&address), "{}", errors(&output));
}

#[tokio::test]
async fn beside_emulate_an_endpoint_or_a_credential_file_is_a_mistake() {
    for flag in [
        "--endpoint",
        "--secret-id-file",
        "--secret-key-file",
        "--token-file",
        "--credentials",
        "--profile",
        "--role-arn",
        "--sts-endpoint",
        "--metadata-endpoint",
    ] {
        let output = run(&["serve", "--emulate", flag, "http://127.0.0.1:1"], &[]).await;

        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(
            errors.contains(&format!("{flag}: has no meaning beside --emulate")),
            "{errors}"
        );
    }
    let output = run(&["serve", "--fixtures", "/nowhere"], &[]).await;
    assert_eq!(output.status.code(), Some(64));
}

#[tokio::test]
async fn emulate_says_so_loudly_and_ignores_credentials_and_proxies_of_the_environment() {
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
        log.contains(r#""level":"WARN","message":"EMULATED: no call goes to Tencent Cloud"#),
        "{log}"
    );
    assert!(
        log.contains("the credential in the environment is ignored"),
        "{log}"
    );
    assert!(!log.contains("AKIDreal"), "{log}");
}

#[tokio::test]
async fn credentials_come_from_files_before_the_environment() {
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
async fn a_broken_source_of_credentials_is_not_passed_over() {
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
        errors(&output).contains("holds a blank"),
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
async fn fixtures_that_cannot_be_read_are_bad_settings() {
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
