//! Whitespace around secrets in files and variables: a byte order mark and one line ending are
//! ignored, anything else is rejected.

use std::fs;

use iai_emulator::Emulator;
use iai_facade::{
    clock::Clock,
    credentials::{Credential, Credentials, ProviderContext, Unavailable},
};
use tempfile::TempDir;

use crate::harness::{settings, start_emulator};

/// Characters that editors, shells and orchestrators add.
const HARMLESS: [[&str; 2]; 5] = [
    ["", ""],
    ["", "\n"],
    ["", "\r\n"],
    ["\u{feff}", ""],
    ["\u{feff}", "\r\n"],
];

/// Invalid whitespace and its error message.
const MISTAKES: [([&str; 2], &str); 6] = [
    ([" ", ""], "a space at its start"),
    (["", " "], "a space at its end"),
    (["", "\t\n"], "a tab at its end"),
    (["", "\n\n"], "a line feed at its end"),
    (["", "\r"], "a carriage return at its end"),
    (["\n", ""], "a line feed at its start"),
];

/// The file of a credential part, its flag or variable, and the other parts.
const FILES: [&str; 3] = ["--secret-id-file", "--secret-key-file", "--token-file"];
const VARIABLES: [&str; 3] = [
    "TENCENTCLOUD_SECRET_ID",
    "TENCENTCLOUD_SECRET_KEY",
    "TENCENTCLOUD_TOKEN",
];

const PARTS: [&str; 3] = ["AKIDblanks", "correct-horse", "battery"];

#[tokio::test]
async fn a_byte_order_mark_and_one_line_ending_are_ignored() {
    let emulator = start_emulator().await;
    for around in HARMLESS {
        for part in 0..3 {
            let [secret_id, secret_key, token] = PARTS.map(str::to_owned);
            let expected = Credential::new(secret_id, secret_key, Some(token)).unwrap();
            for credentials in [files(part, around).await, variables(part, around).await] {
                let credential = credentials.unwrap().current().await.unwrap();
                assert!(*credential == expected, "{around:?} around part {part}");
            }
        }
        web_identity(&emulator, around).await.unwrap();
        profile(around).await.unwrap();
    }
}

#[tokio::test]
async fn any_other_whitespace_is_rejected_with_its_position_and_kind() {
    let emulator = start_emulator().await;
    for (around, problem) in MISTAKES {
        for (part, (name, variable)) in ["id", "key", "token"].iter().zip(VARIABLES).enumerate() {
            assert_rejected(
                files(part, around).await,
                &[&format!("/{name}: has {problem}")],
            );
            let words = format!("{variable} has {problem}");
            assert_rejected(variables(part, around).await, &[&words]);
        }
        let outcome = web_identity(&emulator, around).await;
        let words = [
            "TKE_WEB_IDENTITY_TOKEN_FILE, /",
            &format!("/token: has {problem}"),
        ];
        assert_rejected(outcome, &words);
    }
    // Files in UTF-16, the encoding of Windows PowerShell.
    let utf16 = "AKIDblanks".encode_utf16().flat_map(u16::to_le_bytes);
    let utf16: Vec<_> = [0xff, 0xfe].into_iter().chain(utf16).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id");
    fs::write(&path, utf16).unwrap();
    let path = path.to_str().unwrap();
    let flags = ["--secret-id-file", path, "--secret-key-file", path];
    assert_rejected(
        start(&flags, ProviderContext::new(|_| None)).await,
        &["/id: is UTF-16"],
    );
}

/// Starts with credential files, one of which has these characters around its value.
async fn files(part: usize, around: [&str; 2]) -> Result<Credentials, Unavailable> {
    let folder = tempfile::tempdir().unwrap();
    let mut flags = Vec::new();
    for (at, (flag, name)) in FILES.iter().zip(["id", "key", "token"]).enumerate() {
        let path = folder.path().join(name);
        fs::write(&path, dressed(at == part, PARTS[at], around)).unwrap();
        flags.extend([(*flag).to_owned(), path.to_str().unwrap().to_owned()]);
    }
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    start(&flags, ProviderContext::new(|_| None)).await
}

/// Starts with variables, one of which has these characters around its value.
async fn variables(part: usize, around: [&str; 2]) -> Result<Credentials, Unavailable> {
    let values: [_; 3] = std::array::from_fn(|at| dressed(at == part, PARTS[at], around));
    let variable = move |name: &str| {
        let at = VARIABLES.iter().position(|variable| *variable == name)?;
        Some(values[at].clone())
    };
    start(&[], ProviderContext::new(variable)).await
}

/// Starts with a web identity token with these characters around it.
async fn web_identity(emulator: &Emulator, around: [&str; 2]) -> Result<Credentials, Unavailable> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, dressed(true, "emulator-web-identity", around)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let context = ProviderContext::new(move |name| match name {
        "TKE_REGION" => Some("ap-shanghai".to_owned()),
        "TKE_PROVIDER_ID" => Some("cls-example".to_owned()),
        "TKE_WEB_IDENTITY_TOKEN_FILE" => Some(path.clone()),
        "TKE_ROLE_ARN" => Some("qcs::cam::uin/1:roleName/pod".to_owned()),
        _ => None,
    });
    start(&["--sts-endpoint", &emulator.endpoint()], context).await
}

/// Starts with a profile file with these characters around it.
async fn profile(around: [&str; 2]) -> Result<Credentials, Unavailable> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("credentials");
    let text = "[default]\r\nsecret_id = AKIDblanks\r\nsecret_key = correct-horse";
    fs::write(&path, dressed(true, text, around)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let context = ProviderContext::new(move |name| {
        (name == "TENCENTCLOUD_CREDENTIALS_FILE").then(|| path.clone())
    });
    start(&[], context).await
}

fn dressed(is_dressed: bool, text: &str, [before, after]: [&str; 2]) -> String {
    match is_dressed {
        true => format!("{before}{text}{after}"),
        false => text.to_owned(),
    }
}

async fn start(flags: &[&str], context: ProviderContext) -> Result<Credentials, Unavailable> {
    let settings = settings(flags);
    let (credentials, upstream) = (&settings.credentials, &settings.upstream);
    Credentials::start(credentials, upstream, context, Clock::system()).await
}

fn assert_rejected(outcome: Result<Credentials, Unavailable>, words: &[&str]) {
    let report = outcome.map(drop).unwrap_err().to_string();
    for word in words {
        assert!(report.contains(word), "{word} is not in: {report}");
    }
    for secret in ["horse", "battery", "emulator-web-identity"] {
        assert!(!report.contains(secret), "{report}");
    }
}
