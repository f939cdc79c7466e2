//! Fault visibility: each fault shows in a metric, in a field of the log and in the status.
//! `tests/data/fault_visibility.csv` says where.

use std::time::Duration;

use http::StatusCode;
use iai_emulator::{Account, Action, Emulator, Fault, FaultKind};
use iai_facade::{
    clock::Clock, proto::face_recognition_service_client::FaceRecognitionServiceClient,
};
use serde_json::Value;
use tonic::transport::Channel;

use crate::harness::{
    Addresses, DeadUpstream, Program, authority::Authority, client, group, http, samples::Samples,
    start_emulator,
};

const ROWS: &str = include_str!("../../data/fault_visibility.csv");
/// The key of the emulator's account.
const KEY: &str = "emulator-secret";

const ROLE: &str = "qcs::cam::uin/1:roleName/iai";

/// A fault, and where it shows.
struct Row {
    metric: &'static str,
    /// A field of a log line, with or without its value.
    log: &'static str,
    /// A JSON pointer into the status.
    status: &'static str,
}

/// A program with a fault.
struct Faulty {
    program: Program,
    addresses: Addresses,
    emulator: Emulator,
}

#[tokio::test]
async fn a_wrong_secret_shows_in_metric_log_and_status() {
    let faulty = Faulty::start(&[], "another-key").await;
    faulty.calls(1).await;
    faulty.shows("wrong secret", |value| value > 0.0).await;
}

#[tokio::test]
async fn an_upstream_that_is_down_shows_in_metric_log_and_status() {
    let upstream = DeadUpstream::new();
    let endpoint = format!("http://{}", upstream.address());
    let faulty = Faulty::start(&["--endpoint", &endpoint], KEY).await;
    faulty.calls(20).await;
    faulty.shows("upstream down", |value| value > 0.0).await;
}

#[tokio::test]
async fn a_slow_upstream_shows_in_metric_log_and_status() {
    let faulty = Faulty::start(&["--log-slow", "100ms"], KEY).await;
    let slow = Fault::from(FaultKind::Delay(Duration::from_millis(200)));
    faulty.emulator.script(slow.times(u32::MAX));
    faulty.calls(1).await;
    faulty.shows("upstream slow", |value| value >= 0.2).await;
}

#[tokio::test]
async fn an_exhausted_quota_shows_in_metric_log_and_status() {
    let faulty = Faulty::start(&["--upstream-rate", "1", "--max-call-time", "1s"], KEY).await;
    faulty.calls(3).await;
    faulty.shows("quota exhausted", |value| value > 0.0).await;
}

#[tokio::test]
async fn an_expired_certificate_shows_in_metric_log_and_status() {
    let authority = Authority::new();
    let server = authority.server_in(2019..2020);
    let flags = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let faulty = Faulty::start(&flags, KEY).await;
    let now = Clock::system().now().unix_timestamp() as f64;
    faulty
        .shows("certificate expired", |value| value < now)
        .await;
}

#[tokio::test]
async fn a_wrong_clock_shows_in_metric_log_and_status() {
    let faulty = Faulty::start(&[], KEY).await;
    faulty.emulator.set_clock_offset(3_600);
    faulty.calls(1).await;
    let is_an_hour = |value: f64| (value - 3_600.0).abs() < 60.0;
    faulty.shows("clock wrong", is_an_hour).await;
}

#[tokio::test]
async fn a_failing_renewal_shows_in_metric_log_and_status() {
    let emulator = start_emulator().await;
    emulator.set_credential_lifetime(Duration::from_secs(4));
    let endpoint = emulator.endpoint();
    let flags = ["--sts-endpoint", &endpoint, "--role-arn", ROLE];
    let faulty = Faulty::start_before(emulator, &flags, KEY).await;
    let down = Fault::from(FaultKind::status(StatusCode::SERVICE_UNAVAILABLE));
    let down = down.on(Action::AssumeRole).times(u32::MAX);
    faulty.emulator.script(down);
    faulty.shows("renewal failing", |value| value > 0.0).await;
}

#[test]
fn each_fault_of_the_list_has_its_test() {
    let faults: Vec<_> = ROWS
        .lines()
        .skip(1)
        .map(|row| row.split(';').next().unwrap())
        .collect();
    let source = include_str!("fault_visibility.rs");
    for fault in &faults {
        assert!(source.contains(&format!(".shows(\"{fault}\"")), "{fault}");
    }
    assert_eq!(source.matches(".shows(\"").count(), faults.len());
}

impl Faulty {
    /// Starts the program with an emulator and this key.
    async fn start(flags: &[&str], key: &str) -> Self {
        Self::start_before(start_emulator().await, flags, key).await
    }

    async fn start_before(emulator: Emulator, flags: &[&str], key: &str) -> Self {
        let endpoint = emulator.endpoint();
        let ours = match flags.contains(&"--endpoint") {
            true => &[][..],
            false => &["--endpoint", endpoint.as_str()],
        };
        let account = Account::default();
        let secrets = [
            ("TENCENTCLOUD_SECRET_ID", account.secret_id()),
            ("TENCENTCLOUD_SECRET_KEY", key),
        ];
        let (program, addresses) = Program::serve(&[ours, flags].concat(), &secrets).await;
        Self {
            program,
            addresses,
            emulator,
        }
    }

    /// Makes this many calls at once, whatever becomes of them.
    async fn calls(&self, count: usize) {
        let client: FaceRecognitionServiceClient<Channel> = client(self.addresses.grpc);
        let calls = (0..count).map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get_group_info(group("aaa")).await })
        });
        for call in calls.collect::<Vec<_>>() {
            let _ = call.await.unwrap();
        }
    }

    /// Waits until the fault shows where its row says.
    async fn shows(mut self, fault: &str, is_abnormal: impl Fn(f64) -> bool) {
        let row = row(fault);
        let admin = self.addresses.admin;
        while !is_abnormal(Samples::scrape(admin).await.get(row.metric)) {
            tokio::task::yield_now().await;
        }
        loop {
            let (_, page) = http(admin, "GET", "/status.json", "").await;
            let status: Value = serde_json::from_str(&page).unwrap();
            let value = status.pointer(row.status);
            if value.is_some_and(|value| !value.is_null() && *value != 0 && *value != "valid") {
                break;
            }
            tokio::task::yield_now().await;
        }
        let (field, value) = match row.log.split_once('=') {
            Some((field, value)) => (field, Some(value)),
            None => (row.log, None),
        };
        self.program
            .line_where(|line| match value {
                Some(value) => line[field] == value,
                None => !line[field].is_null(),
            })
            .await
            .unwrap();
    }
}

/// Returns the row of a fault.
fn row(fault: &str) -> Row {
    let rows = ROWS.lines().map(|row| row.split(';').collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row[0] == fault).unwrap();
    Row {
        metric: row[1],
        log: row[2],
        status: row[3],
    }
}
