//! The program as a process of its own.

use std::process::{ExitStatus, Output, Stdio};

use iai_facade::server::Addresses;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// The program, running, with its log. It is killed when a test leaves it behind.
pub(crate) struct Program {
    child: Child,
    /// Lines that a task reads, so that the program never waits for a test to read them.
    log: UnboundedReceiver<String>,
    read: Vec<String>,
}

impl Program {
    /// Starts the program, with no variables but the given ones, and a log in JSON.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_iai-facade"))
            .args(arguments)
            .env_clear()
            .env("IAI_FACADE_LOG_FORMAT", "json")
            .env("IAI_FACADE_UNREADY_DELAY", "0s")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            log,
            read: Vec::new(),
        }
    }

    /// Starts `serve` on free ports, and returns where it listens.
    pub(crate) async fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> (Self, Addresses) {
        let ports = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ];
        let mut program = Self::start(&[&ports, arguments].concat(), variables);
        let line = program.line("listening").await;
        let address = |field: &str| line[field].as_str().unwrap().parse().unwrap();
        let addresses = Addresses {
            grpc: address("grpc.address"),
            admin: address("admin.address"),
        };
        (program, addresses)
    }

    /// Reads the log up to the next line with this message.
    pub(crate) async fn line(&mut self, message: &str) -> Value {
        while let Some(line) = self.log.recv().await {
            let parsed: Option<Value> = serde_json::from_str(&line).ok();
            self.read.push(line);
            if let Some(parsed) = parsed.filter(|parsed| parsed["message"] == message) {
                return parsed;
            }
        }
        panic!("no line `{message}` in the log:\n{}", self.read.join("\n"));
    }

    /// Counts the descriptors that the program has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id().unwrap());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Sends a signal, by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &process])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Ends a program that was [`LOUD`], and returns its log, which has none of these secrets in it.
    pub(crate) async fn ended_without(self, secrets: &[String]) -> String {
        self.signal("TERM").await;
        let log = self.ended().await.1;
        assert!(log.contains(r#""level":"TRACE""#), "the log is not loud");
        assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
        log
    }

    /// Waits until the program has ended, and returns how, with its whole log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        while let Some(line) = self.log.recv().await {
            self.read.push(line);
        }
        (self.child.wait().await.unwrap(), self.read.join("\n"))
    }
}

/// The variable that makes the program log all it can.
pub(crate) const LOUD: [(&str, &str); 1] = [("IAI_FACADE_LOG_LEVEL", "trace")];

/// Runs the program to its end, with no variables but the given ones.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iai-facade"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap()
}

/// Returns what a program wrote to standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
