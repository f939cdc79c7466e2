//! The emulator as a program of its own: its start, its memory with a hundred thousand groups, and its
//! rate of signed calls beside the load.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{self, Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::NamedTempFile;
use tencent_cloud_signature::{
    CanonicalRequest, Scope, SigningKey, StringToSign, authorization, sha256_hex,
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use crate::{
    replica::{memory, processor_time},
    report::Report,
};

const GROUPS: usize = 100_000;

/// Number of starts, of which the fastest counts: others may have waited for a processor.
const STARTS: usize = 20;

/// Number of connections, with one call in progress each.
const CONNECTIONS: usize = 16;

/// Number of cores that the emulator and the load share.
const CORES: f64 = 2.0;

const MEGABYTE: f64 = 1e6;

const SECRET_KEY: &str = "emulator-secret";

/// Measures start, memory and rate.
pub(crate) async fn run(is_short: bool) -> Report {
    let mut report = Report::default();
    let mut starts: Vec<_> = Vec::new();
    for _ in 0..STARTS {
        let (_emulate, start) = Emulate::start(&[]).await;
        starts.push(start.as_secs_f64() * 1e3);
    }
    let fastest = starts.into_iter().fold(f64::INFINITY, f64::min);
    report.at_most(10.0, "from exec to the first connection, ms", fastest);

    let fixtures = fixtures();
    let path = fixtures.path().to_str().unwrap();
    let (emulate, start) = Emulate::start(&["--fixtures", path]).await;
    report.note(
        "the same with 100,000 groups, ms",
        start.as_secs_f64() * 1e3,
    );

    let duration = Duration::from_secs(if is_short { 5 } else { 30 });
    let before = emulate.processor_time() + processor_time(process::id());
    let emulator_before = emulate.processor_time();
    let begin = Instant::now();
    let calls = make_calls(emulate.address, duration).await as f64;
    let elapsed = begin.elapsed().as_secs_f64();
    let emulator = emulate.processor_time() - emulator_before;
    let both = emulate.processor_time() + processor_time(process::id()) - before;
    // By processor time, since other programs may take a part of the cores.
    let capacity = CORES * calls / both.as_secs_f64();
    report.at_least(
        15_000.0,
        "signed calls on two cores, with the load, per s",
        capacity,
    );
    report.note("signed calls by the clock, per s", calls / elapsed);
    let per_call = |time: Duration| time.as_secs_f64() * 1e6 / calls;
    report.note(
        "processor time of the emulator for a call, µs",
        per_call(emulator),
    );
    report.note(
        "processor time of the load for a call, µs",
        per_call(both - emulator),
    );

    for (name, field) in [
        ("resident with 100,000 groups, after the load, MB", "VmRSS"),
        ("resident at most, MB", "VmHWM"),
    ] {
        let bytes = memory(emulate.process.id(), field) as f64;
        report.at_most(100.0, name, bytes / MEGABYTE);
    }
    report
}

/// A running `emulate`. Dropping it kills the process.
struct Emulate {
    process: Child,
    address: SocketAddr,
}

impl Emulate {
    /// Starts the program, and returns how long it took until the first connection.
    async fn start(flags: &[&str]) -> (Self, Duration) {
        let address = free_address();
        let begin = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_iai-facade"))
            .args(["emulate", "--listen", &address.to_string()])
            .args(flags)
            .env_clear()
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while TcpStream::connect(address).await.is_err() {
            assert!(process.try_wait().unwrap().is_none(), "the emulator exited");
        }
        let start = begin.elapsed();
        let mut log = process.stderr.take().unwrap();
        // The log is discarded.
        thread::spawn(move || io::copy(&mut log.by_ref(), &mut io::sink()));
        (Self { process, address }, start)
    }

    fn processor_time(&self) -> Duration {
        processor_time(self.process.id())
    }
}

impl Drop for Emulate {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns an address that is free, so that the start can be measured without reading the log.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Writes a file with the groups `group-0`, `group-1` and so on.
fn fixtures() -> NamedTempFile {
    let mut text = String::new();
    for number in 0..GROUPS {
        write!(
            text,
            "[[groups]]\ngroup_id = \"group-{number}\"\ngroup_name = \"the group {number}\"\n\
             creation_timestamp = 2019-06-03T03:02:11.613Z\n"
        )
        .unwrap();
    }
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

/// Makes calls on all connections, and returns their number.
async fn make_calls(emulator: SocketAddr, duration: Duration) -> usize {
    let end = Instant::now() + duration;
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        connections.spawn(async move {
            let mut stream = TcpStream::connect(emulator).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut response = Vec::new();
            let mut calls = 0;
            while Instant::now() < end {
                let group = format!("group-{}", fastrand::usize(..GROUPS));
                let request = request(&emulator.to_string(), &group);
                stream.write_all(request.as_bytes()).await.unwrap();
                read(&mut stream, &mut response).await;
                let expected = format!("\"GroupId\":\"{group}\"");
                let text = str::from_utf8(&response).unwrap();
                assert!(text.contains(&expected), "{text}");
                calls += 1;
            }
            calls
        });
    }
    connections.join_all().await.into_iter().sum()
}

/// Returns a signed request.
fn request(host: &str, group: &str) -> String {
    let body = format!("{{\"GroupId\":\"{group}\"}}");
    let timestamp = OffsetDateTime::now_utc().unix_timestamp();
    let scope = Scope::new(timestamp, "iai");
    let headers = [("content-type", "application/json"), ("host", host)];
    let canonical = CanonicalRequest::new("POST", "", &headers, &sha256_hex(body.as_bytes()));
    let signature = SigningKey::derive(SECRET_KEY, scope)
        .sign(&StringToSign::new(timestamp, scope, &canonical));
    let authorization = authorization("AKIDEMULATOR", scope, &canonical, &signature);
    format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         X-TC-Action: GetGroupInfo\r\nX-TC-Version: 2020-03-03\r\nX-TC-Timestamp: {timestamp}\r\n\
         Authorization: {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one response, which ends as JSON of the API does.
async fn read(stream: &mut TcpStream, response: &mut Vec<u8>) {
    response.clear();
    while !response.ends_with(b"\"}}") {
        let length = stream.read_buf(response).await.unwrap();
        assert!(length > 0, "the emulator closed a connection");
    }
}
