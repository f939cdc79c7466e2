//! Redaction: secrets and person ids in logs, errors and `Debug` output.

use std::{fs, time::Duration};

use iai_emulator::{Account, Action, Fault, FaultKind};
use iai_facade::{
    clock::Clock,
    credentials::{Credential, Credentials, ProviderContext},
    upstream::Client,
};
use tempfile::NamedTempFile;
use tonic::Code;

use crate::harness::{Program, client, group, http, person, settings, start_emulator};

const SECRET_KEY: &str = "correct-horse-battery-staple";
const TOKEN: &str = "a-token-that-must-stay-secret";
const PERSON: &str = "alice-of-the-library";

#[tokio::test]
async fn no_secret_or_person_id_is_in_the_trace_log_or_an_error() {
    let emulator = start_emulator().await;
    emulator.replace_account(Account::new("AKIDtrace", SECRET_KEY).with_token(TOKEN));
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDtrace"),
        ("TENCENTCLOUD_SECRET_KEY", SECRET_KEY),
        ("TENCENTCLOUD_TOKEN", TOKEN),
        ("IAI_FACADE_LOG_LEVEL", "trace"),
    ];
    let (program, addresses) =
        Program::serve(&["--endpoint", &emulator.endpoint()], &variables).await;
    let mut client = client(addresses.grpc);

    client.get_group_info(group("aaa")).await.unwrap();
    let not_found = client
        .get_person_group_info(person(PERSON))
        .await
        .unwrap_err();
    assert_eq!(not_found.code(), Code::NotFound);
    emulator.replace_account(Account::new("AKIDtrace", "another"));
    let rejected = client
        .get_person_group_info(person(PERSON))
        .await
        .unwrap_err();
    assert_eq!(rejected.code(), Code::Internal);
    program.signal("TERM").await;

    let (_, log) = program.ended().await;
    assert!(
        log.contains(r#""level":"TRACE""#),
        "the log has no TRACE line"
    );
    for (name, text) in [
        ("log", log),
        ("error", rejected.to_string()),
        ("message", not_found.message().to_owned()),
    ] {
        for secret in [SECRET_KEY, TOKEN, PERSON] {
            assert!(!text.contains(secret), "{secret} is in the {name}");
        }
    }
}

#[tokio::test]
async fn credentials_and_ids_repeated_by_upstream_are_redacted() {
    let token = format!("{TOKEN}{}", "x".repeat(1_000));
    let emulator = start_emulator().await;
    emulator.replace_account(Account::new("AKIDtrace", SECRET_KEY).with_token(token.as_str()));
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDtrace"),
        ("TENCENTCLOUD_SECRET_KEY", SECRET_KEY),
        ("TENCENTCLOUD_TOKEN", &token),
        ("IAI_FACADE_LOG_LEVEL", "trace"),
    ];
    let endpoint = emulator.endpoint();
    let (program, addresses) = Program::serve(&["--endpoint", &endpoint], &variables).await;
    // The message of this error code is forwarded; the token is at the end of the forwarded part.
    for padding in 0..200 {
        let words = format!("{}{token}&PersonId={PERSON}", " ".repeat(padding));
        let body = format!(
            r#"{{"Response":{{"Error":{{"Code":"InvalidParameter.{PERSON}","Message":"{words}"}},
                "RequestId":"{token}"}}}}"#
        );
        emulator.script(FaultKind::response(body));
    }

    let mut client = client(addresses.grpc);
    let mut errors = Vec::new();
    for _ in 0..200 {
        let status = client
            .get_person_group_info(person(PERSON))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        errors.push(format!(
            "{status:?} {}",
            String::from_utf8_lossy(status.details())
        ));
    }
    program.signal("TERM").await;

    let (_, log) = program.ended().await;
    for text in errors.iter().chain([&log]) {
        for secret in [&TOKEN[..8], PERSON, "AKIDtrace"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[tokio::test]
async fn no_temporary_credential_or_web_identity_token_is_disclosed() {
    let jwt = format!("ey.{TOKEN}.jwt");
    let file = NamedTempFile::new().unwrap();
    fs::write(&file, &jwt).unwrap();
    let token_file = file.path().to_str().unwrap();
    let long_term = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDtrace"),
        ("TENCENTCLOUD_SECRET_KEY", SECRET_KEY),
        ("TENCENTCLOUD_TOKEN", TOKEN),
        ("IAI_FACADE_ROLE_ARN", "qcs::cam::uin/1:roleName/iai"),
    ];
    let web_identity = [
        ("TKE_REGION", "ap-shanghai"),
        ("TKE_PROVIDER_ID", "cls-example"),
        ("TKE_WEB_IDENTITY_TOKEN_FILE", token_file),
        ("TKE_ROLE_ARN", "qcs::cam::uin/1:roleName/pod"),
    ];
    let instance = [("IAI_FACADE_CREDENTIALS", "instance-role")];
    let sources = [
        (&long_term[..], Action::AssumeRole),
        (&web_identity, Action::AssumeRoleWithWebIdentity),
        (&instance, Action::SecurityCredentials),
    ];

    for (source, action) in sources {
        let emulator = start_emulator().await;
        emulator.replace_account(Account::new("AKIDtrace", SECRET_KEY).with_token(TOKEN));
        emulator.set_web_identity_token(&jwt);
        emulator.set_instance_role(Some("iai-reader"));
        emulator.set_credential_lifetime(Duration::from_secs(4));
        // The response to the first request repeats everything that was sent.
        let words = format!("{SECRET_KEY} {TOKEN} {jwt}");
        let repeated = format!(
            r#"{{"Response":{{"Error":{{"Code":"{TOKEN}","Message":"{words}"}},"RequestId":"{jwt}"}},
                "Code":"{TOKEN}"}}"#
        );
        emulator.script(Fault::from(FaultKind::response(repeated)).on(action));
        let endpoint = emulator.endpoint();
        let trace_log = [
            ("IAI_FACADE_LOG_LEVEL", "trace"),
            ("IAI_FACADE_VERIFY_UPSTREAM", "true"),
        ];
        let places = ["ENDPOINT", "STS_ENDPOINT", "METADATA_ENDPOINT"];
        let places = places.map(|place| format!("IAI_FACADE_{place}"));
        let places = places
            .each_ref()
            .map(|place| (place.as_str(), endpoint.as_str()));
        let variables = [source, &trace_log, &places].concat();

        let (mut program, addresses) = Program::serve(&[], &variables).await;
        let mut texts = vec![http(addresses.admin, "GET", "/readyz?verbose", "").await.1];
        program.line("credential verified by upstream").await;
        emulator.wait_for_credentials(2).await;
        let mut client = client(addresses.grpc);
        emulator.script(FaultKind::api_error("AuthFailure.TokenFailure"));
        for _ in 0..3 {
            if let Err(status) = client.get_group_info(group("aaa")).await {
                texts.push(format!("{status:?}"));
            }
        }
        for page in [
            "/livez",
            "/readyz",
            "/readyz?verbose",
            "/log-level",
            "/metrics",
        ] {
            texts.push(http(addresses.admin, "GET", page, "").await.1);
        }
        program.signal("TERM").await;
        let (_, log) = program.ended().await;
        assert!(
            log.contains(r#""level":"TRACE""#),
            "the log has no TRACE line"
        );
        texts.push(log);

        let issued = emulator.wait_for_credentials(2).await;
        let issued = issued
            .iter()
            .flat_map(|account| [Some(account.secret_key()), account.token()]);
        let secrets: Vec<_> = issued.flatten().chain([SECRET_KEY, TOKEN, &jwt]).collect();
        for text in &texts {
            assert_eq!(leak(text, &secrets), None, "{action:?}");
        }
    }
}

#[tokio::test]
async fn a_secret_in_a_logged_field_is_detected() {
    let emulated = [("IAI_FACADE_LOG_LEVEL", format!("trace,{SECRET_KEY}=trace"))];
    let emulated = emulated
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let (program, addresses) = Program::serve(&["--emulate"], &emulated).await;

    let page = http(addresses.admin, "GET", "/log-level", "").await.1;
    let changed = http(
        addresses.admin,
        "PUT",
        "/log-level",
        &format!("trace,{TOKEN}=trace"),
    )
    .await;
    program.signal("TERM").await;
    let (_, log) = program.ended().await;

    assert_eq!(changed.0, 200);
    assert_eq!(leak(&page, &[SECRET_KEY]), Some(SECRET_KEY));
    assert_eq!(leak(&log, &[TOKEN]), Some(TOKEN));
}

#[tokio::test]
async fn no_public_type_prints_a_secret() {
    let emulator = start_emulator().await;
    let account = Account::new("AKIDtrace", SECRET_KEY).with_token(TOKEN);
    emulator.replace_account(account.clone());
    emulator.add_account(account.clone());
    emulator.set_web_identity_token(TOKEN);
    let endpoint = emulator.endpoint();
    let arn = "qcs::cam::uin/1:roleName/iai";
    let settings = settings(&["--role-arn", arn, "--sts-endpoint", &endpoint]);
    let environment = || {
        ProviderContext::new(|name| match name {
            "TENCENTCLOUD_SECRET_ID" => Some("AKIDtrace".to_owned()),
            "TENCENTCLOUD_SECRET_KEY" => Some(SECRET_KEY.to_owned()),
            "TENCENTCLOUD_TOKEN" => Some(TOKEN.to_owned()),
            _ => None,
        })
    };
    let clock = Clock::system();
    let start = Credentials::start(
        &settings.credentials,
        &settings.upstream,
        environment(),
        clock.clone(),
    );
    let credentials = start.await.unwrap();
    let [id, key, token] = ["AKIDtrace", SECRET_KEY, TOKEN].map(str::to_owned);
    let invalid = Credential::new(id.clone(), format!("{key} "), None).unwrap_err();
    let issued = emulator.wait_for_credentials(1).await;
    let client = Client::new(&settings, credentials.clone(), clock).unwrap();

    let printed = [
        format!("{:?}", Credential::new(id, key, Some(token)).unwrap()),
        format!("{invalid:?} {invalid}"),
        format!("{credentials:?} {:?}", credentials.current().await.unwrap()),
        format!("{:?} {:?}", credentials.counters(), credentials.failure()),
        format!("{:?} {client:?} {settings:?}", environment()),
        format!(
            "{account:?} {issued:?} {emulator:?} {:?}",
            emulator.requests()
        ),
    ];

    let issued = [issued[0].secret_key(), issued[0].token().unwrap()];
    for text in printed {
        assert_eq!(
            leak(&text, &[SECRET_KEY, TOKEN, issued[0], issued[1]]),
            None,
            "{text}"
        );
    }
}

/// Returns a secret that the text contains.
fn leak<'a>(text: &str, secrets: &[&'a str]) -> Option<&'a str> {
    secrets
        .iter()
        .find(|secret| text.contains(**secret))
        .copied()
}
