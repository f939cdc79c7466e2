//! Log output: a blocked reader, a full disk, and lines before and after the service runs.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
};

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{Program, channel, client, errors, group, http, run};

/// The number of calls whose TRACE lines exceed the pipe and the queue.
const CALLS: usize = 1_500;

/// Starts the program at log level TRACE with a log that only this test reads.
fn start(stderr: Stdio) -> Child {
    Command::new(env!("CARGO_BIN_EXE_iai-facade"))
        .args(["serve", "--emulate", "--unready-delay=0s"])
        .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
        .args(["--log-format=json", "--log-level=trace"])
        .env_clear()
        .stderr(stderr)
        .spawn()
        .unwrap()
}

/// Reads the log up to the line with the addresses.
fn listening(log: &mut BufReader<ChildStderr>) -> [SocketAddr; 2] {
    let line = log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (line["message"] == "listening").then_some(line)
    });
    let line = line.unwrap();
    ["grpc.address", "admin.address"].map(|field| line[field].as_str().unwrap().parse().unwrap())
}

async fn terminate(mut program: Child) {
    let process = program.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &process]).status();
    assert!(sent.unwrap().success());
    let status = spawn_blocking(move || program.wait().unwrap()).await;
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn an_unread_log_blocks_neither_calls_nor_probes_nor_shutdown() {
    let mut program = start(Stdio::piped());
    let mut log = BufReader::new(program.stderr.take().unwrap());
    let [grpc, admin] = listening(&mut log);
    let mut client = client(grpc);
    for _ in 0..CALLS {
        client.get_group_info(group("aaa")).await.unwrap();
    }

    let mut health = HealthClient::new(channel(grpc));
    health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(http(admin, "GET", "/livez", "").await.0, 200);
    terminate(program).await;

    drop(log);
}

#[tokio::test]
async fn the_log_reports_how_many_lines_were_dropped() {
    let mut program = start(Stdio::piped());
    let mut log = BufReader::new(program.stderr.take().unwrap());
    let [grpc, _] = listening(&mut log);
    let mut client = client(grpc);
    for _ in 0..CALLS {
        client.get_group_info(group("aaa")).await.unwrap();
    }

    let read = spawn_blocking(move || {
        let report = log.by_ref().lines().find_map(|line| {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let message = line["message"].as_str()?;
            message
                .starts_with("log lines dropped")
                .then(|| line["lines"].as_u64().unwrap())
        });
        (log, report.unwrap())
    });
    let (mut log, dropped) = read.await.unwrap();

    assert!(dropped > 0);
    let rest = spawn_blocking(move || {
        let lines = log.by_ref().lines();
        lines.for_each(|line| drop(serde_json::from_str::<Value>(&line.unwrap()).unwrap()));
    });
    terminate(program).await;
    rest.await.unwrap();
}

#[tokio::test]
async fn a_full_disk_or_log_file_does_not_stop_the_service() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = NamedTempFile::new().unwrap();
    let unlimited = "exec \"$@\"";
    // In blocks of 512 or 1024 bytes, depending on the shell.
    let limited = "ulimit -f 1 && exec \"$@\"";
    // The log cannot be read for the port, so the test listens on a loopback address of this
    // process, on which every port is free.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, high, low, 77], 50_051));
    for (script, stderr) in [(unlimited, full), (limited, file.reopen().unwrap())] {
        let mut program = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_iai-facade")])
            .args(["serve", "--emulate", "--unready-delay=0s"])
            .args(["--log-format=json", "--log-level=trace"])
            .args(["--listen", &address.to_string()])
            .arg("--admin-listen=127.0.0.1:0")
            .env_clear()
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut client = client(address);
        loop {
            match client.get_group_info(group("aaa")).await {
                Ok(_) => break,
                Err(_) => assert!(program.try_wait().unwrap().is_none(), "it has ended"),
            }
        }

        terminate(program).await;
    }
    assert!((500..=1_024).contains(&file.path().metadata().unwrap().len()));
}

#[tokio::test]
async fn a_failed_start_is_logged_as_json_too() {
    let flag: &[&str] = &["--log-format=json"];
    let cases = [
        (flag, "--max-attempts=0", 64, "invalid configuration"),
        (flag, "--nonsense", 64, "invalid arguments"),
        (flag, "--listen=192.0.2.1:1", 1, "cannot start"),
        (
            &["--log-format", "json"],
            "--nonsense",
            64,
            "invalid arguments",
        ),
        (&[], "--max-attempts=0", 64, "invalid configuration"),
    ];
    for (format, mistake, code, message) in cases {
        let arguments = [&["serve", "--emulate", mistake], format].concat();
        let variables = [("IAI_FACADE_LOG_FORMAT", "json")];
        let variables = &variables[..usize::from(format.is_empty())];
        let output = run(&arguments, variables).await;

        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let text = errors(&output);
        let mut lines = text.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"))
        });
        let last = lines.next_back().unwrap();
        assert!(lines.count() <= 2, "{text}");
        assert_eq!(
            (&last["level"], &last["message"]),
            (&"ERROR".into(), &message.into())
        );
        assert!(!last["error.message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_misspelled_log_level_stops_the_start_with_a_suggestion() {
    let output = run(&["serve", "--emulate", "--log-level", "warning"], &[]).await;

    assert_eq!(output.status.code(), Some(64));
    assert!(errors(&output).contains("did you mean `warn`?"));
}

#[tokio::test]
async fn unauthenticated_clients_do_not_fill_the_log() {
    let mut tokens = NamedTempFile::new().unwrap();
    writeln!(tokens, "orders {}", "0".repeat(64)).unwrap();
    let flags = [
        "--emulate",
        "--tokens-file",
        tokens.path().to_str().unwrap(),
    ];
    let (program, addresses) = Program::serve(&flags, &[]).await;
    for _ in 0..2 {
        let mut client = client(addresses.grpc);
        for _ in 0..100 {
            client.get_group_info(group("aaa")).await.unwrap_err();
        }
    }

    program.signal("TERM").await;
    let (_, log) = program.ended().await;

    assert_eq!(
        log.matches("status_code\":\"UNAUTHENTICATED\"").count(),
        20,
        "{log}"
    );
}

#[tokio::test]
async fn each_json_line_names_the_service_and_its_version() {
    for (variables, name) in [
        (&[][..], "iai-facade"),
        (&[("OTEL_SERVICE_NAME", "faces \"eu\"")], "faces \"eu\""),
    ] {
        let (program, _) = Program::serve(&["--emulate"], variables).await;
        program.signal("TERM").await;
        let (_, log) = program.ended().await;
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["service.name"], name);
            assert_eq!(line["service.version"], env!("CARGO_PKG_VERSION"));
        }
    }
}
