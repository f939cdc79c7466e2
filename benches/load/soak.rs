//! A million calls, among which much goes wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use iai_facade::{
    emulator::{Cut, Emulator, FaultKind},
    proto::{GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::Code;

use crate::{callers::Caller, replica::Replica, report::Report, upstream};

/// Callers, each with a connection of its own and one call at a time.
const CALLERS: usize = 48;

/// How often something goes wrong: once in so many calls.
const FAULT: usize = 50;
const CANCELLATION: usize = 40;
const RECONNECT: usize = 200;

/// After how many calls buffers, tables and the allocator's pages have their size.
const SETTLED: usize = 100_000;

/// How long connections to upstream are kept, and what is left behind is waited for.
const IDLE: &str = "1s";
const SETTLING: Duration = Duration::from_secs(20);

pub(crate) async fn run(is_short: bool) -> Report {
    let calls: usize = if is_short { 200_000 } else { 1_000_000 };
    let emulator = Arc::new(upstream::start().await);
    let flags = ["--max-connection-age=2s", "--upstream-idle-timeout", IDLE];
    let replica = Replica::start(&emulator.endpoint(), &flags);
    let descriptors = replica.descriptors();

    let first = make(&replica, &emulator, SETTLED).await;
    let before = replica.resident();
    let rest = make(&replica, &emulator, calls - SETTLED).await;
    let after = replica.resident();
    let left = settled(&replica, descriptors).await;

    let mut report = Report::default();
    report.note("calls", calls as f64);
    for (name, count) in [
        ("answered", first.answered + rest.answered),
        ("failed, with a status of ours", first.failed + rest.failed),
        ("cancelled by the caller", first.cancelled + rest.cancelled),
        (
            "not sent, for a connection that ended",
            first.unsent + rest.unsent,
        ),
    ] {
        report.note(name, count as f64);
    }
    report.at_most(
        0.0,
        "answered with anything else",
        (first.other + rest.other) as f64,
    );
    report.note(
        "resident after the first 100,000, MiB",
        before as f64 / f64::from(1 << 20),
    );
    report.at_most(
        10.0,
        "resident at the end, % more",
        100.0 * (after as f64 / before as f64 - 1.0),
    );
    report.at_most(0.0, "descriptors left behind", left as f64);
    report
}

/// What became of calls.
#[derive(Debug, Default)]
struct Outcomes {
    answered: usize,
    failed: usize,
    cancelled: usize,
    unsent: usize,
    other: usize,
}

async fn make(replica: &Replica, emulator: &Arc<Emulator>, calls: usize) -> Outcomes {
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (next, emulator) = (Arc::clone(&next), Arc::clone(emulator));
        let caller = Caller {
            number,
            service: replica.address,
            rate: 0.0,
            timeout: Duration::ZERO,
        };
        callers.spawn(async move {
            let mut outcomes = Outcomes::default();
            let mut client = FaceRecognitionServiceClient::new(caller.channel());
            loop {
                let call = next.fetch_add(1, Ordering::Relaxed);
                if call >= calls {
                    return outcomes;
                }
                if call.is_multiple_of(RECONNECT) {
                    client = FaceRecognitionServiceClient::new(caller.channel());
                }
                if call.is_multiple_of(FAULT) {
                    emulator.script(fault(call / FAULT));
                }
                let patience = match call.is_multiple_of(CANCELLATION) {
                    true => Duration::from_millis(1),
                    false => Duration::from_secs(60),
                };
                let group_id = format!("group-{}", call % upstream::GROUPS);
                let request = GetGroupInfoRequest { group_id };
                let answer = timeout(patience, client.get_group_info(request)).await;
                outcomes.count(answer);
            }
        });
    }
    let mut total = Outcomes::default();
    for one in callers.join_all().await {
        total.answered += one.answered;
        total.failed += one.failed;
        total.cancelled += one.cancelled;
        total.unsent += one.unsent;
        total.other += one.other;
    }
    total
}

impl Outcomes {
    fn count<T>(&mut self, answer: Result<Result<T, tonic::Status>, tokio::time::error::Elapsed>) {
        let counter = match answer {
            Ok(Ok(_)) => &mut self.answered,
            Ok(Err(status)) if !status.details().is_empty() => &mut self.failed,
            // tonic's own, of a call that its connection ended before.
            Ok(Err(status)) if matches!(status.code(), Code::Cancelled | Code::Unknown) => {
                &mut self.unsent
            }
            Ok(Err(_)) => &mut self.other,
            Err(_) => &mut self.cancelled,
        };
        *counter += 1;
    }
}

/// Returns one fault after another.
fn fault(number: usize) -> FaultKind {
    match number % 7 {
        0 => FaultKind::Cut(Cut::BeforeHeaders),
        1 => FaultKind::Delay(Duration::from_millis(50)),
        2 => FaultKind::Garbage,
        3 => FaultKind::status(StatusCode::BAD_GATEWAY),
        4 => FaultKind::refuse("InternalError"),
        5 => FaultKind::Truncate,
        _ => FaultKind::Oversize(100_000),
    }
}

/// Waits until as many descriptors are open as `before`, and returns how many more there are.
async fn settled(replica: &Replica, before: usize) -> usize {
    let settling = async {
        while replica.descriptors() > before {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = timeout(SETTLING, settling).await;
    replica.descriptors().saturating_sub(before)
}
