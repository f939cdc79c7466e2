//! The report as text, and on a terminal.

use std::process::Output;

use tokio::{process::Command, sync::mpsc};

use crate::harness::{
    Program,
    checked::CREDENTIAL,
    raw_upstream::{RawUpstream, hold},
    run, start_emulator,
};

/// Runs `check` on a terminal, with these variables, and returns what the terminal receives.
async fn on_a_terminal(endpoint: &str, variables: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_iai-facade");
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("'{program}' check --endpoint {endpoint}"))
        .arg("/dev/null")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(CREDENTIAL)
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn text(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_text_has_a_line_for_each_step_within_80_columns() {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();
    let wrong = [CREDENTIAL[0], ("TENCENTCLOUD_SECRET_KEY", "wrong")];

    let output = run(&["check", "--endpoint", &endpoint], &wrong).await;

    assert_eq!(output.status.code(), Some(3));
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = text(&output);
    let steps = text.lines().filter(|line| !line.starts_with(' '));
    let steps: Vec<_> = steps
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    let expected = [
        "settings",
        "credential",
        "dns",
        "tcp",
        "proxy",
        "tls",
        "http",
        "clock",
        "call",
        "step",
    ];
    assert_eq!(steps, expected);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    for words in [
        "Likely cause: ",
        "What to do: ",
        "RequestId: ",
        " ms  ",
        "The step call failed.",
    ] {
        assert!(text.contains(words), "{text}");
    }
    // Neither colors nor a progress line: this is no terminal.
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
}

#[tokio::test]
async fn a_terminal_has_a_progress_line_and_colors_unless_they_are_off() {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();

    let colored = on_a_terminal(&endpoint, &[("TERM", "xterm")]).await;
    assert!(
        colored.contains("\r\u{1b}[Kchecking call …\r\u{1b}[K"),
        "{colored:?}"
    );
    assert!(colored.contains("\u{1b}[32mok"), "{colored:?}");

    let plain = on_a_terminal(&endpoint, &[("TERM", "xterm"), ("NO_COLOR", "1")]).await;
    assert!(plain.contains("checking call …"), "{plain:?}");
    assert!(!plain.contains("\u{1b}[3"), "{plain:?}");

    let dumb = on_a_terminal(&endpoint, &[("TERM", "dumb")]).await;
    assert!(
        !dumb.contains('\u{1b}') && !dumb.contains("checking"),
        "{dumb:?}"
    );
}

#[tokio::test]
async fn check_works_with_the_emulator_in_the_process() {
    let output = run(&["check", "--emulate", "--group-id", "aaa"], &[]).await;

    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.ends_with("\nThe service works with these settings.\n"),
        "{text}"
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_exits_with_1() {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "'{}' check --emulate > /dev/full",
            env!("CARGO_BIN_EXE_iai-facade")
        ))
        .env_clear()
        .output()
        .await
        .unwrap();

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("cannot write to standard output"),
        "{errors}"
    );
}

#[tokio::test]
async fn a_signal_ends_the_check_with_its_number() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (connected, mut connections) = mpsc::unbounded_channel();
        let mute = RawUpstream::start(move |stream| {
            connected.send(()).unwrap();
            hold(stream)
        })
        .await;
        let endpoint = mute.endpoint();
        let program = Program::start(&["check", "--endpoint", &endpoint], &CREDENTIAL);
        connections.recv().await.unwrap();

        program.signal(signal).await;

        let (status, _) = program.ended().await;
        assert_eq!(status.code(), Some(code));
    }
}
