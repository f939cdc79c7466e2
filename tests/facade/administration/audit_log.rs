//! Audit log: which calls it has, and what happens when it cannot be written.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Stdio},
};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tonic::{Code, Request};

use crate::harness::{
    Program, bearer_tokens, client, errors, group, http, own_reason, person, run,
};

const KEY: [u8; 32] = [7; 32];

/// A folder with a key, and the path of an audit log in it.
struct Audited {
    folder: TempDir,
}

impl Audited {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("key"), KEY).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    fn flags(&self) -> Vec<String> {
        let key = self.folder.path().join("key");
        ["--emulate", "--audit-log", self.path().to_str().unwrap()]
            .into_iter()
            .chain(["--log-hash-key-file", key.to_str().unwrap()])
            .map(str::to_owned)
            .collect()
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn hash(id: &str) -> String {
    let mut hash = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    hash.update(id.as_bytes());
    base16ct::lower::encode_string(&hash.finalize().into_bytes()[..8])
}

/// Starts `serve` with these flags and a log at DEBUG.
async fn serve(flags: &[String]) -> (Program, crate::harness::Addresses) {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Program::serve(&flags, &[]).await
}

#[tokio::test]
async fn every_call_is_audited_with_its_result_and_hashed_id() {
    let audited = Audited::new();
    let tokens = bearer_tokens::tokens(&[("orders", "a-token")]);
    let path = tokens.path().to_str().unwrap().to_owned();
    let flags = [
        audited.flags(),
        vec!["--tokens-file".to_owned(), path, "--log-ids".to_owned()],
    ];
    let (program, addresses) = serve(&flags.concat()).await;
    let mut client = client(addresses.grpc);

    let with_token = |message| {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", "Bearer a-token".parse().unwrap());
        request
    };
    client
        .get_group_info(with_token(group("aaa")))
        .await
        .unwrap();
    client
        .get_group_info(with_token(group("nope")))
        .await
        .unwrap_err();
    client
        .get_group_info(with_token(group("a b")))
        .await
        .unwrap_err();
    client
        .get_person_group_info(person("1002"))
        .await
        .unwrap_err();
    program.signal("TERM").await;
    let (status, _) = program.ended().await;
    assert!(status.success());

    let lines = audited.lines();
    let fields = |line: &Value| {
        [
            "audit.event",
            "rpc.response.status_code",
            "caller",
            "subject",
        ]
        .map(|field| line[field].as_str().unwrap_or_default().to_owned())
    };
    let found: Vec<_> = lines.iter().map(fields).collect();
    let row = |event: &str, code: &str, caller: &str, subject: String| {
        [
            event.to_owned(),
            code.to_owned(),
            caller.to_owned(),
            subject,
        ]
    };
    let orders = "token:orders";
    let expected = [
        row("started", "", "", String::new()),
        row("call", "OK", orders, hash("aaa")),
        row("call", "NOT_FOUND", orders, hash("nope")),
        row("call", "INVALID_ARGUMENT", orders, hash("a b")),
        row(
            "call",
            "UNAUTHENTICATED",
            "address:127.0.0.1",
            String::new(),
        ),
        row("stopped", "", "", String::new()),
    ];
    assert_eq!(found, expected);
    let numbers: Vec<_> = lines
        .iter()
        .map(|line| line["audit.sequence"].as_u64())
        .collect();
    assert_eq!(numbers, (1..=6).map(Some).collect::<Vec<_>>());
    assert_eq!(
        lines[1]["rpc.method"],
        "iaifacade.v1.FaceRecognitionService/GetGroupInfo"
    );
    assert_eq!(lines[4]["reason"], "CALLER_UNAUTHENTICATED");
    assert_eq!(
        (&lines[5]["lines"], &lines[5]["calls"]),
        (&0.into(), &0.into())
    );
    let text = fs::read_to_string(audited.path()).unwrap();
    assert!(!text.contains("aaa") && !text.contains("a-token"), "{text}");
}

#[tokio::test]
async fn calls_are_rejected_while_the_disk_is_full_and_recorded_later() {
    let audited = Audited::new();
    symlink("/dev/full", audited.path()).unwrap();
    let (mut program, addresses) = serve(&audited.flags()).await;
    // It may be before the line `listening`, which was waited for.
    let message = "audit log cannot be written, rejecting calls";
    if !program.read().iter().any(|line| line.contains(message)) {
        program.line(message).await;
    }
    let mut client = client(addresses.grpc);

    let status = client.get_group_info(group("aaa")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(own_reason(&status), "AUDIT_UNAVAILABLE");

    fs::remove_file(audited.path()).unwrap();
    program.signal("HUP").await;
    program.line("audit log written again").await;
    client.get_group_info(group("aaa")).await.unwrap();
    let metrics = http(addresses.admin, "GET", "/metrics", "").await.1;
    assert!(
        metrics.contains("iai_facade_audit_lines_total{outcome=\"written\"} 3"),
        "{metrics}"
    );

    let lines = audited.lines();
    let codes: Vec<_> = lines
        .iter()
        .map(|line| line["rpc.response.status_code"].as_str())
        .collect();
    assert_eq!(codes, [None, Some("UNAVAILABLE"), Some("OK")]);
    assert_eq!(lines[1]["reason"], "AUDIT_UNAVAILABLE");
    assert_eq!(lines[1]["upstream.attempts"], 0);
}

#[tokio::test]
async fn calls_are_rejected_while_the_reader_of_standard_output_stops() {
    let audited = Audited::new();
    let key = audited.folder.path().join("key");
    let mut command = Command::new(env!("CARGO_BIN_EXE_iai-facade"));
    command
        .args([
            "serve",
            "--emulate",
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
        ])
        .args([
            "--log-format=json",
            "--unready-delay=0s",
            "--audit-log=stdout",
        ])
        .arg("--log-hash-key-file")
        .arg(&key)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let log = BufReader::new(program.stderr.take().unwrap());
    let mut log = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let listening = log.find(|line| line["message"] == "listening").unwrap();
    let address = listening["grpc.address"].as_str().unwrap().parse().unwrap();
    let mut client = client(address);

    // Until the pipe is full.
    let mut calls = 0;
    let status = loop {
        calls += 1;
        if let Err(status) = client.get_group_info(group("aaa")).await {
            break status;
        }
    };
    assert_eq!(own_reason(&status), "AUDIT_UNAVAILABLE");

    let mut audit = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    let mut found = 0;
    while found < calls {
        line.clear();
        audit.read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        found += u32::from(line["audit.event"] == "call");
        assert_ne!(line["audit.event"], "lost");
    }
    log.find(|line| line["message"] == "audit log written again")
        .unwrap();
    client.get_group_info(group("aaa")).await.unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
}

#[tokio::test]
async fn an_audit_log_requires_a_hash_key_and_a_file_that_can_be_opened() {
    let without_key = run(&["serve", "--emulate", "--audit-log", "stdout"], &[]).await;
    assert_eq!(without_key.status.code(), Some(64));
    assert!(errors(&without_key).contains("--audit-log: requires --log-hash-key-file"));

    let audited = Audited::new();
    fs::create_dir(audited.path()).unwrap();
    let flags = audited.flags();
    let mut arguments = vec![
        "serve",
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
    ];
    arguments.extend(flags.iter().map(String::as_str));
    let unusable = run(&arguments, &[]).await;
    assert_eq!(unusable.status.code(), Some(1));
    assert!(errors(&unusable).contains("cannot open the audit log"));
}
