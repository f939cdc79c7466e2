//! Credentials: what each source says.

use iai_emulator::FaultKind;

use crate::harness::{
    DeadUpstream,
    checked::{CREDENTIAL, Checked},
    start_emulator,
};

const ARN: &str = "qcs::cam::uin/100000000001:roleName/iai";

#[tokio::test]
async fn without_a_credential_each_source_says_what_it_lacks() {
    let emulator = start_emulator().await;
    let metadata = DeadUpstream::new();
    let metadata = format!("http://{}", metadata.address());
    let endpoint = emulator.endpoint();
    let flags = ["--endpoint", &endpoint, "--metadata-endpoint", &metadata];

    let checked = Checked::run(&flags, &[("HOME", "/nowhere")]).await;

    let words = [
        "--secret-id-file and --secret-key-file: not set",
        "the environment: TENCENTCLOUD_SECRET_ID",
        "the profile file: ",
        "TKE_WEB_IDENTITY_TOKEN_FILE",
        "the instance role: no metadata service",
    ];
    checked.assert_failed("credential", 4, &words);
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_source_that_is_broken_ends_the_search() {
    let half = [("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR")];

    let checked = Checked::run(&["--endpoint", "http://127.0.0.1:1"], &half).await;

    let words = ["TENCENTCLOUD_SECRET_KEY is not set", "never falls back"];
    checked.assert_failed("credential", 4, &words);
    checked.assert_hides(&["AKIDEMULATOR", "the profile file"]);
}

#[tokio::test]
async fn an_assumed_role_is_a_source_with_an_expiry() {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();
    let flags = ["--sts-endpoint", &endpoint, "--role-arn", ARN];

    let checked = Checked::at(&endpoint, &flags).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    let step = checked.step("credential");
    let summary = step["summary"].as_str().unwrap();
    let start = "the role of --role-arn: has a temporary credential, which expires in 1h";
    assert!(summary.starts_with(start), "{summary}");
    assert_eq!(step["details"][1], "the environment: has a credential");
    assert_eq!(
        emulator.requests().last().unwrap().role.as_deref(),
        Some(ARN)
    );
}

#[tokio::test]
async fn a_role_that_sts_denies_fails_with_the_code() {
    let emulator = start_emulator().await;
    let code = "AuthFailure.UnauthorizedOperation";
    emulator.script(FaultKind::api_error(code));
    let endpoint = emulator.endpoint();
    let flags = ["--sts-endpoint", &endpoint, "--role-arn", ARN];

    let checked = Checked::at(&endpoint, &flags).await;

    let words = [
        "the role of --role-arn: STS rejected AssumeRole with ",
        code,
        "trust policy",
    ];
    checked.assert_failed("credential", 4, &words);
    checked.assert_hides(&[CREDENTIAL[0].1, CREDENTIAL[1].1, "100000000001"]);
}
