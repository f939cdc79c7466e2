//! Four times the load that the service can serve, from the same two cores.
//!
//! Upstream takes as long as it does over a network, so that what the service can serve is what may be
//! in progress, and the callers have time left to be four times as many.

use std::time::Duration;

use iai_facade::{
    emulator::{Action, Fault, FaultKind},
    proto::{
        GetGroupInfoRequest, GetPersonGroupInfoRequest,
        face_recognition_service_client::FaceRecognitionServiceClient,
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::Code;

use crate::{
    callers::{self, Caller, Outcome},
    replica::Replica,
    report::Report,
    upstream,
};

/// How long upstream takes to answer about a group. About persons it answers at once.
const UPSTREAM: Duration = Duration::from_millis(400);

/// How many call at the same time while the peak is measured, over how many connections.
const AT_ONCE: usize = 1_024;
const CONNECTIONS: usize = 16;

/// How many times the peak is asked for.
const OVERLOAD: f64 = 4.0;

/// How long a caller waits. An answer that comes later is worth nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls made one after another to see how long one takes.
const SAMPLES: usize = 200;

/// What the process may hold in memory.
const MAX_RESIDENT_MIB: f64 = 256.0;

pub(crate) async fn run(is_short: bool) -> Report {
    let duration = Duration::from_secs(if is_short { 4 } else { 20 });
    let emulator = upstream::start().await;
    let delay = Fault::from(FaultKind::Delay(UPSTREAM)).times(u32::MAX);
    emulator.script(delay.on(Action::GetGroupInfo));
    let replica = Replica::start(&emulator.endpoint(), &[]);

    // Connections are opened, and tables have their size.
    peak(&replica, Duration::from_secs(2)).await;
    let alone = median(&replica).await;
    let peak = peak(&replica, duration).await;

    let callers = (0..CONNECTIONS).map(|number| Caller {
        number,
        service: replica.address,
        rate: OVERLOAD * peak / CONNECTIONS as f64,
        timeout: PATIENCE,
    });
    let outcomes = callers::run(callers.collect(), duration).await;
    let resident = replica.resident() as f64 / f64::from(1 << 20);
    sleep(Duration::from_secs(1)).await;
    let afterwards = median(&replica).await;

    let good = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let goodput = good as f64 / duration.as_secs_f64();
    let mut report = Report::default();
    report.note("peak, calls a second", peak);
    report.note(
        "asked for, calls a second",
        outcomes.len() as f64 / duration.as_secs_f64(),
    );
    report.note("answered, calls a second", goodput);
    report.at_least(80.0, "answered, % of the peak", 100.0 * goodput / peak);
    report.note("refused with OVERLOADED, %", share(&outcomes, "OVERLOADED"));
    report.at_most(MAX_RESIDENT_MIB, "resident afterwards, MiB", resident);
    let [alone, afterwards] = [alone, afterwards].map(|it| 1_000.0 * it.as_secs_f64());
    report.note("a call before, ms", alone);
    report.at_most(1.0, "a second after the load, ms more", afterwards - alone);
    report
}

/// Returns how many calls a second are answered if the next is made as soon as one is.
async fn peak(replica: &Replica, duration: Duration) -> f64 {
    let end = Instant::now() + duration;
    let mut callers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let client = client(replica, number);
        for _ in 0..AT_ONCE / CONNECTIONS {
            let mut client = client.clone();
            callers.spawn(async move {
                let mut answered = 0;
                while Instant::now() < end {
                    client.get_group_info(request()).await.unwrap();
                    answered += 1;
                }
                answered
            });
        }
    }
    let answered: usize = callers.join_all().await.into_iter().sum();
    answered as f64 / duration.as_secs_f64()
}

/// Returns how long a call takes to which upstream answers at once, while there is no other.
async fn median(replica: &Replica) -> Duration {
    let mut client = client(replica, 0);
    let mut took = Vec::new();
    for _ in 0..SAMPLES {
        let start = Instant::now();
        let status = client.get_person_group_info(unknown()).await.unwrap_err();
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
        timeout: PATIENCE,
    };
    FaceRecognitionServiceClient::new(caller.channel())
}

fn request() -> GetGroupInfoRequest {
    let group_id = format!("group-{}", fastrand::usize(..upstream::GROUPS));
    GetGroupInfoRequest { group_id }
}

fn unknown() -> GetPersonGroupInfoRequest {
    let person_id = "nobody".to_owned();
    GetPersonGroupInfoRequest {
        person_id,
        ..GetPersonGroupInfoRequest::default()
    }
}

fn share(outcomes: &[Outcome], reason: &str) -> f64 {
    let count = outcomes.iter().filter(|outcome| outcome.is(reason)).count();
    100.0 * count as f64 / outcomes.len() as f64
}
