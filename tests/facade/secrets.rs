//! What must appear nowhere, however loud the log is.

use iai_facade::emulator::Account;
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
