//! What must appear nowhere, however loud the log is.

use iai_facade::emulator::{Account, FaultKind};
use tonic::Code;

use crate::harness::{Program, client, group, person, start_emulator};

const SECRET_KEY: &str = "correct-horse-battery-staple";
const TOKEN: &str = "a-token-that-nobody-may-read";
const PERSON: &str = "alice-of-the-library";

#[tokio::test]
async fn no_secret_and_no_persons_id_is_in_the_loudest_log_or_in_an_error() {
    let emulator = start_emulator().await;
    emulator.replace_account(Account::new("AKIDloud", SECRET_KEY).with_token(TOKEN));
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDloud"),
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
    emulator.replace_account(Account::new("AKIDloud", "another"));
    let refused = client
        .get_person_group_info(person(PERSON))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    program.signal("TERM").await;

    let (_, log) = program.ended().await;
    assert!(log.contains(r#""level":"TRACE""#), "the log is not loud");
    for (name, text) in [
        ("log", log),
        ("error", refused.to_string()),
        ("message", not_found.message().to_owned()),
    ] {
        for secret in [SECRET_KEY, TOKEN, PERSON] {
            assert!(!text.contains(secret), "{secret} is in the {name}");
        }
    }
}

#[tokio::test]
async fn what_upstream_repeats_of_a_credential_or_an_id_goes_no_further() {
    let token = format!("{TOKEN}{}", "x".repeat(1_000));
    let emulator = start_emulator().await;
    emulator.replace_account(Account::new("AKIDloud", SECRET_KEY).with_token(token.as_str()));
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDloud"),
        ("TENCENTCLOUD_SECRET_KEY", SECRET_KEY),
        ("TENCENTCLOUD_TOKEN", &token),
        ("IAI_FACADE_LOG_LEVEL", "trace"),
    ];
    let endpoint = emulator.endpoint();
    let (program, addresses) = Program::serve(&["--endpoint", &endpoint], &variables).await;
    // Of a code whose words are passed on, and with the token at the very end of what is.
    for padding in 0..200 {
        let words = format!("{}{token}&PersonId={PERSON}", " ".repeat(padding));
        let body = format!(
            r#"{{"Response":{{"Error":{{"Code":"InvalidParameter.{PERSON}","Message":"{words}"}},
                "RequestId":"{token}"}}}}"#
        );
        emulator.script(FaultKind::answer(body));
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
        for secret in [&TOKEN[..8], PERSON, "AKIDloud"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}
