//! Instructions of one whole call, from the received request to the sent response.
//!
//! `cargo bench --bench whole_call -- PROGRAM` runs PROGRAM, the release build of this crate, under
//! callgrind, in front of an emulator that runs natively in this process. It makes successive calls and
//! prints one line `NAME INSTRUCTIONS` for each kind of call. `.ci/instructions.py` compares the counts
//! with `benches/instructions.toml`.
//!
//! callgrind counts the instructions in user space only, not those of the kernel.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a command-line program; a panic must stop the measurement"
)]

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use iai_emulator::{Emulator, Fixtures};
use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command as AsyncCommand},
};
use tonic::{Code, transport::Endpoint};

/// Calls before the counted ones, which fill caches, open connections and let buffers grow.
const WARM_UP_CALLS: u64 = 300;

/// Number of counted calls; the count is their average.
const COUNTED_CALLS: u64 = 3_000;

/// Number of runs of each measurement; the least count is used. Timers and the maintenance of the cache
/// go by the wall clock, so a busy machine adds to the instructions of a call, and never removes any.
const RUNS: usize = 3;

/// A group of the emulator's default fixtures.
const GROUP: &str = "aaa";

/// One kind of call.
struct Scenario {
    name: &'static str,
    /// Flags of `serve`.
    flags: &'static [&'static str],
    /// Its environment variables.
    variables: &'static [(&'static str, &'static str)],
    group_id: &'static str,
    code: Code,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "uncached",
        flags: &[],
        variables: &[],
        group_id: GROUP,
        code: Code::Ok,
    },
    Scenario {
        name: "cache_hit",
        flags: &["--cache-ttl=1d"],
        variables: &[],
        group_id: GROUP,
        code: Code::Ok,
    },
    Scenario {
        name: "invalid_request",
        flags: &[],
        variables: &[],
        group_id: "",
        code: Code::InvalidArgument,
    },
    // As `uncached`, with traces that do not include the call. The exporter never has a span to send.
    Scenario {
        name: "unsampled",
        flags: &[],
        variables: &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
        ],
        group_id: GROUP,
        code: Code::Ok,
    },
];

#[tokio::main]
async fn main() {
    let program = env::args().skip(1).find(|argument| argument != "--bench");
    let program = program.unwrap();
    for scenario in &SCENARIOS {
        // The difference excludes start, warm-up and shutdown.
        let base = least_count(&program, scenario, WARM_UP_CALLS).await;
        let total = least_count(&program, scenario, WARM_UP_CALLS + COUNTED_CALLS).await;
        println!("{} {}", scenario.name, (total - base) / COUNTED_CALLS);
    }
}

async fn least_count(program: &str, scenario: &Scenario, calls: u64) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..RUNS {
        least = least.min(count(program, scenario, calls).await);
    }
    least
}

/// Returns the instructions of the program from its start to its exit, with `calls` calls.
async fn count(program: &str, scenario: &Scenario, calls: u64) -> u64 {
    let emulator = Emulator::start((Ipv4Addr::LOCALHOST, 0).into(), Fixtures::default())
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("callgrind");
    let (mut service, address) = start(program, scenario, &emulator, &profile).await;

    let channel = Endpoint::try_from(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = FaceRecognitionServiceClient::new(channel);
    for _ in 0..calls {
        let mut request = tonic::Request::new(GetGroupInfoRequest {
            group_id: scenario.group_id.to_owned(),
        });
        request.set_timeout(Duration::from_secs(10));
        let code = client
            .get_group_info(request)
            .await
            .map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, scenario.code);
    }
    drop(client);

    let process = service.id().unwrap().to_string();
    let stopped = Command::new("kill").args(["-s", "TERM", &process]).status();
    assert!(stopped.unwrap().success());
    assert!(service.wait().await.unwrap().success());
    instructions(&profile)
}

/// Starts the program under callgrind, with one worker thread, and waits until it listens.
async fn start(
    program: &str,
    scenario: &Scenario,
    emulator: &Emulator,
    profile: &Path,
) -> (Child, SocketAddr) {
    let mut service = AsyncCommand::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .args([program, "serve", "--log-format=json", "--unready-delay=0s"])
        .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
        .args(["--endpoint", &emulator.endpoint()])
        .args(scenario.flags)
        .envs(scenario.variables.iter().copied())
        .env("TOKIO_WORKER_THREADS", "1")
        .env("TENCENTCLOUD_SECRET_ID", emulator_account().0)
        .env("TENCENTCLOUD_SECRET_KEY", emulator_account().1)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        if let Some(address) = line["grpc.address"].as_str() {
            break address.parse().unwrap();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (service, address)
}

fn emulator_account() -> (String, String) {
    let fixtures = Fixtures::default();
    let account = fixtures.account();
    (
        account.secret_id().to_owned(),
        account.secret_key().to_owned(),
    )
}

/// Returns the total of a profile in [callgrind's format].
///
/// [callgrind's format]: https://valgrind.org/docs/manual/cl-format.html
fn instructions(profile: &Path) -> u64 {
    let text = fs::read_to_string(profile).unwrap();
    let total = text.lines().find_map(|line| {
        line.strip_prefix("summary: ")
            .or_else(|| line.strip_prefix("totals: "))
    });
    total.unwrap().trim().parse().unwrap()
}
