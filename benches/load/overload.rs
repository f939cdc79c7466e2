//! Overload: four times the peak throughput, generated on the same two cores.
//!
//! Upstream has the latency of a network, so that the limit of concurrent calls is the bottleneck, not
//! the processor. The load generator then has processor time left for four times as many calls.

use std::time::Duration;

use iai_emulator::{Action, Fault, FaultKind};
use iai_facade::proto::{
    GetGroupInfoRequest, GetPersonGroupInfoRequest,
    face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::Code;

use crate::{
    open_loop::{self, Caller, Outcome},
    replica::Replica,
    report::Report,
    upstream,
};

/// The latency of upstream for groups. It responds about persons at once.
const UPSTREAM_LATENCY: Duration = Duration::from_millis(400);

/// Concurrent calls while the peak is measured, and the number of connections.
const CONCURRENCY: usize = 1_024;
const CONNECTIONS: usize = 16;

/// The offered load over the peak throughput.
const OVERLOAD: f64 = 4.0;

/// The deadline of a call.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Number of successive calls for the median latency.
const SAMPLES: usize = 200;

/// Upper bound of the resident memory of the process.
const MAX_RESIDENT_MIB: f64 = 256.0;

pub(crate) async fn run(is_short: bool) -> Report {
    let duration = Duration::from_secs(if is_short { 4 } else { 20 });
    let emulator = upstream::start().await;
    let delay = Fault::from(FaultKind::Delay(UPSTREAM_LATENCY)).times(u32::MAX);
    emulator.script(delay.on(Action::GetGroupInfo));
    let replica = Replica::start(&emulator.endpoint(), &[]);

    // The warm-up opens connections and lets tables grow.
    peak(&replica, Duration::from_secs(2)).await;
    let before = median_latency(&replica).await;
    let peak = peak(&replica, duration).await;

    let callers = (0..CONNECTIONS).map(|number| Caller {
        number,
        service: replica.address,
        rate: OVERLOAD * peak / CONNECTIONS as f64,
        timeout: TIMEOUT,
    });
    let outcomes = open_loop::run(callers.collect(), duration).await;
    let resident = replica.resident() as f64 / f64::from(1 << 20);
    sleep(Duration::from_secs(1)).await;
    let after = median_latency(&replica).await;

    let served = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let goodput = served as f64 / duration.as_secs_f64();
    let mut report = Report::default();
    report.note("peak, calls per second", peak);
    report.note(
        "offered load, calls per second",
        outcomes.len() as f64 / duration.as_secs_f64(),
    );
    report.note("served, calls per second", goodput);
    report.at_least(80.0, "served, % of the peak", 100.0 * goodput / peak);
    report.note(
        "rejected with OVERLOADED, %",
        share(&outcomes, "OVERLOADED"),
    );
    report.at_most(MAX_RESIDENT_MIB, "resident afterwards, MiB", resident);
    let [before, after] = [before, after].map(|it| 1_000.0 * it.as_secs_f64());
    report.note("median latency before, ms", before);
    report.at_most(1.0, "increase 1 s after the load, ms", after - before);
    report
}

/// Returns the throughput of a closed loop, in calls per second.
async fn peak(replica: &Replica, duration: Duration) -> f64 {
    let end = Instant::now() + duration;
    let mut callers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let client = client(replica, number);
        for _ in 0..CONCURRENCY / CONNECTIONS {
            let mut client = client.clone();
            callers.spawn(async move {
                let mut served = 0;
                while Instant::now() < end {
                    client.get_group_info(request()).await.unwrap();
                    served += 1;
                }
                served
            });
        }
    }
    let served: usize = callers.join_all().await.into_iter().sum();
    served as f64 / duration.as_secs_f64()
}

/// Returns the median latency of successive calls to which upstream responds at once.
async fn median_latency(replica: &Replica) -> Duration {
    let mut client = client(replica, 0);
    let mut took = Vec::new();
    for _ in 0..SAMPLES {
        let start = Instant::now();
        let status = client
            .get_person_group_info(unknown_person())
            .await
            .unwrap_err();
        took.push(start.elapsed());
        assert_eq!(status.code(), Code::NotFound);
    }
    took.sort();
    took[SAMPLES / 2]
}

fn client(
    replica: &Replica,
    number: usize,
) -> FaceRecognitionServiceClient<tonic::transport::Channel> {
    let caller = Caller {
        number,
        service: replica.address,
        rate: 0.0,
        timeout: TIMEOUT,
    };
    FaceRecognitionServiceClient::new(caller.channel())
}

fn request() -> GetGroupInfoRequest {
    let group_id = format!("group-{}", fastrand::usize(..upstream::GROUPS));
    GetGroupInfoRequest { group_id }
}

fn unknown_person() -> GetPersonGroupInfoRequest {
    let person_id = "unknown".to_owned();
    GetPersonGroupInfoRequest {
        person_id,
        ..GetPersonGroupInfoRequest::default()
    }
}

fn share(outcomes: &[Outcome], reason: &str) -> f64 {
    let count = outcomes.iter().filter(|outcome| outcome.is(reason)).count();
    100.0 * count as f64 / outcomes.len() as f64
}
