//! Soak test: a million calls with upstream faults, cancellations and reconnects leak neither memory nor
//! file descriptors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use iai_emulator::{Cut, Emulator, FaultKind};
use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::Code;

use crate::{open_loop::Caller, replica::Replica, report::Report, upstream};

/// Number of callers, each with its own connection and one call at a time.
const CALLERS: usize = 48;

/// Number of calls for each upstream fault, cancellation and reconnect.
const CALLS_PER_FAULT: usize = 50;
const CALLS_PER_CANCELLATION: usize = 40;
const CALLS_PER_RECONNECT: usize = 200;

/// Calls before the first measurement, so that buffers, tables and the allocator's pages have grown.
const WARM_UP_CALLS: usize = 100_000;

/// The idle timeout of connections to upstream, and the time limit for descriptors to be closed.
const IDLE_TIMEOUT: &str = "1s";
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) async fn run(is_short: bool) -> Report {
    let calls: usize = if is_short { 200_000 } else { 1_000_000 };
    let emulator = Arc::new(upstream::start().await);
    let flags = [
        "--max-connection-age=2s",
        "--upstream-idle-timeout",
        IDLE_TIMEOUT,
    ];
    let replica = Replica::start(&emulator.endpoint(), &flags);
    let descriptors = replica.descriptors();

    let first = make_calls(&replica, &emulator, WARM_UP_CALLS).await;
    let before = replica.resident();
    let rest = make_calls(&replica, &emulator, calls - WARM_UP_CALLS).await;
    let after = replica.resident();
    let leaked = leaked_descriptors(&replica, descriptors).await;

    let mut report = Report::default();
    report.note("calls", calls as f64);
    for (name, count) in [
        ("succeeded", first.succeeded + rest.succeeded),
        ("failed, with error details", first.failed + rest.failed),
        ("cancelled by the client", first.cancelled + rest.cancelled),
        (
            "not sent, because the connection closed",
            first.unsent + rest.unsent,
        ),
    ] {
        report.note(name, count as f64);
    }
    report.at_most(
        0.0,
        "failed, without error details",
        (first.other + rest.other) as f64,
    );
    report.note(
        "resident after the first 100,000, MiB",
        before as f64 / f64::from(1 << 20),
    );
    report.at_most(
        10.0,
        "growth until the end, %",
        100.0 * (after as f64 / before as f64 - 1.0),
    );
    report.at_most(0.0, "leaked file descriptors", leaked as f64);
    report
}

/// The number of calls with each outcome.
#[derive(Debug, Default)]
struct Outcomes {
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    unsent: usize,
    other: usize,
}

async fn make_calls(replica: &Replica, emulator: &Arc<Emulator>, calls: usize) -> Outcomes {
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
                if call.is_multiple_of(CALLS_PER_RECONNECT) {
                    client = FaceRecognitionServiceClient::new(caller.channel());
                }
                if call.is_multiple_of(CALLS_PER_FAULT) {
                    emulator.script(fault(call / CALLS_PER_FAULT));
                }
                let limit = match call.is_multiple_of(CALLS_PER_CANCELLATION) {
                    true => Duration::from_millis(1),
                    false => Duration::from_secs(60),
                };
                let group_id = format!("group-{}", call % upstream::GROUPS);
                let request = GetGroupInfoRequest { group_id };
                let result = timeout(limit, client.get_group_info(request)).await;
                outcomes.count(result);
            }
        });
    }
    let mut total = Outcomes::default();
    for one in callers.join_all().await {
        total.succeeded += one.succeeded;
        total.failed += one.failed;
        total.cancelled += one.cancelled;
        total.unsent += one.unsent;
        total.other += one.other;
    }
    total
}

impl Outcomes {
    fn count<T>(&mut self, result: Result<Result<T, tonic::Status>, tokio::time::error::Elapsed>) {
        let counter = match result {
            Ok(Ok(_)) => &mut self.succeeded,
            Ok(Err(status)) if !status.details().is_empty() => &mut self.failed,
            // tonic's own status for a call whose connection closed before it was sent.
            Ok(Err(status)) if matches!(status.code(), Code::Cancelled | Code::Unknown) => {
                &mut self.unsent
            }
            Ok(Err(_)) => &mut self.other,
            Err(_) => &mut self.cancelled,
        };
        *counter += 1;
    }
}

/// Returns the faults in rotation.
fn fault(number: usize) -> FaultKind {
    match number % 7 {
        0 => FaultKind::Cut(Cut::BeforeHeaders),
        1 => FaultKind::Delay(Duration::from_millis(50)),
        2 => FaultKind::Garbage,
        3 => FaultKind::status(StatusCode::BAD_GATEWAY),
        4 => FaultKind::api_error("InternalError"),
        5 => FaultKind::Truncate,
        _ => FaultKind::Oversize(100_000),
    }
}

/// Waits until no more descriptors are open than `before`, and returns the excess at the time limit.
async fn leaked_descriptors(replica: &Replica, before: usize) -> usize {
    let closed = async {
        while replica.descriptors() > before {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
    replica.descriptors().saturating_sub(before)
}
