//! Child process: runs the program and reads its log.

use std::process::{ExitStatus, Output, Stdio};

use super::Addresses;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// A running program and its log. Dropping it kills the process.
pub(crate) struct Program {
    child: Child,
    /// Lines that a task reads, so that the program never blocks on its log.
    log: UnboundedReceiver<String>,
    read: Vec<String>,
}

impl Program {
    /// Starts the program with only these environment variables and a log in JSON.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iai-facade"));
        command
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied());
        Self::spawn(command, variables)
    }

    fn spawn(mut command: Command, variables: &[(&str, &str)]) -> Self {
        let mut child = command
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

    /// Starts `serve` on free ports and returns its addresses.
    pub(crate) async fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> (Self, Addresses) {
        let ports = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ];
        Self::start(&[&ports, arguments].concat(), variables)
            .listening()
            .await
    }

    /// Starts `serve` from a prepared command on free ports and returns its addresses.
    pub(crate) async fn of(command: std::process::Command) -> (Self, Addresses) {
        Self::spawn(command.into(), &[]).listening().await
    }

    async fn listening(self) -> (Self, Addresses) {
        let mut program = self;
        let line = program.line("listening").await;
        let address = |field: &str| line[field].as_str().unwrap().parse().unwrap();
        let addresses = Addresses {
            grpc: address("grpc.address"),
            admin: address("admin.address"),
        };
        (program, addresses)
    }

    /// Reads the log up to the next line with this message and returns that line.
    pub(crate) async fn line(&mut self, message: &str) -> Value {
        let line = self.line_where(|line| line["message"] == message).await;
        line.unwrap_or_else(|| {
            let log = self.read.join("\n");
            panic!("no line `{message}` in the log:\n{log}")
        })
    }

    /// Reads the log up to the next line that is accepted and returns that line; `None` if the program ends
    /// before.
    pub(crate) async fn line_where(&mut self, accepts: impl Fn(&Value) -> bool) -> Option<Value> {
        while let Some(line) = self.log.recv().await {
            let parsed: Option<Value> = serde_json::from_str(&line).ok();
            self.read.push(line);
            if let Some(parsed) = parsed.filter(&accepts) {
                return Some(parsed);
            }
        }
        None
    }

    /// Returns the lines read so far.
    pub(crate) fn read(&self) -> &[String] {
        &self.read
    }

    /// Returns the number of open file descriptors of the program.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id().unwrap());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Returns the peak resident memory of the program, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let file = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(file).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes << 10
    }

    /// Sends the signal with this name.
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &process])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Stops a program that ran with [`TRACE_LOG`] and returns its log, after a check that the log
    /// contains none of these secrets.
    pub(crate) async fn ended_without(self, secrets: &[String]) -> String {
        self.signal("TERM").await;
        let log = self.ended().await.1;
        assert!(
            log.contains(r#""level":"TRACE""#),
            "the log has no TRACE line"
        );
        assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
        log
    }

    /// Waits until the program has exited and returns its exit status and whole log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        while let Some(line) = self.log.recv().await {
            self.read.push(line);
        }
        (self.child.wait().await.unwrap(), self.read.join("\n"))
    }
}

/// The environment variable that sets the log level to TRACE.
pub(crate) const TRACE_LOG: [(&str, &str); 1] = [("IAI_FACADE_LOG_LEVEL", "trace")];

/// Runs the program with only these environment variables until it exits.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iai-facade"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap()
}

/// Returns the standard error of a program.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
