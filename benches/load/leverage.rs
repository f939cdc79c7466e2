//! More callers than quota: what sharing and the cache make of twenty calls a second.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use iai_facade::{
    emulator::Emulator,
    proto::{GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient},
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};
use tonic::{Request, metadata::MetadataMap, transport::Channel};

use crate::{callers::Caller, replica::Replica, report::Report, upstream};

/// What the account allows.
const RATE: u32 = 20;

/// The connections that all calls are spread over.
const CALLERS: usize = 20;

/// How long a call waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Times and numbers, of which the short form has a tenth. In both, a third more answers grow old
/// each second than upstream may be asked for.
struct Scale {
    ids: usize,
    calls_per_second: u32,
    ttl: Duration,
    stale: Duration,
    phase: Duration,
}

impl Scale {
    fn new(is_short: bool) -> Self {
        let divisor = if is_short { 10 } else { 1 };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into()) / divisor;
        Self {
            ids: 1_000 / divisor as usize,
            calls_per_second: 5_000 / divisor,
            ttl: seconds(30),
            stale: seconds(300),
            phase: seconds(60),
        }
    }
}

/// What became of the calls of a phase.
#[derive(Debug, Default)]
struct Tally {
    calls: u32,
    ok: u32,
    fresh: u32,
    stale: u32,
    oldest: u64,
    millis: Vec<u32>,
}

/// Measures which share of the calls is answered once every answer has been asked for, while upstream
/// is there, and while it is not.
pub(crate) async fn run(is_short: bool) -> Report {
    let scale = Scale::new(is_short);
    let emulator = upstream::start().await;
    let address = emulator.address();
    let replica = Replica::start(
        &emulator.endpoint(),
        &[
            "--share-calls",
            &format!("--upstream-rate={RATE}"),
            &format!("--cache-ttl={}s", scale.ttl.as_secs()),
            &format!("--cache-stale-while-revalidate={}s", scale.stale.as_secs()),
            &format!("--cache-stale-if-error={}s", scale.stale.as_secs()),
        ],
    );
    let callers = Callers::new(&replica, &scale);
    callers.warm(scale.ids).await;

    let (asked, _) = upstream::answered(&emulator);
    let began = Instant::now();
    let up = callers.call(scale.phase).await;
    let (asked_by_now, _) = upstream::answered(&emulator);
    let asked_each_second = (asked_by_now - asked) as f64 / began.elapsed().as_secs_f64();

    emulator.stop().await;
    let down = callers.call(scale.phase).await;
    let emulator = Emulator::start(address, upstream::fixtures())
        .await
        .unwrap();
    let back = callers.call(scale.phase).await;
    drop(emulator);

    let mut report = Report::default();
    report.at_least(99.5, "answered OK, %", up.share(up.ok));
    report.at_least(
        99.5,
        "answered OK while upstream is down, %",
        down.share(down.ok),
    );
    report.at_least(99.5, "answered OK when it is back, %", back.share(back.ok));
    let planned = f64::from(scale.calls_per_second) * scale.phase.as_secs_f64();
    report.at_least(
        95.0,
        "calls made, % of those planned",
        100.0 * f64::from(up.calls) / planned,
    );
    report.at_most(
        f64::from(RATE),
        "upstream calls a second",
        asked_each_second,
    );
    let oldest = up.oldest.max(down.oldest).max(back.oldest);
    let limit = (scale.ttl + scale.stale).as_secs_f64();
    report.at_most(limit, "the oldest answer, s", oldest as f64);
    report.note(
        "calls a second",
        f64::from(up.calls) / scale.phase.as_secs_f64(),
    );
    report.note("hits, %", up.share(up.fresh));
    report.note("stale, %", up.share(up.stale));
    report.note("stale while upstream is down, %", down.share(down.stale));
    report.note(
        "the oldest answer while upstream is there, s",
        up.oldest as f64,
    );
    report.note("99 % are answered within, ms", up.percentile(99));
    report.note("and while upstream is down, ms", down.percentile(99));
    report
}

struct Callers {
    clients: Vec<FaceRecognitionServiceClient<Channel>>,
    /// The sums of the weights 1, 1/2, 1/3 and so on.
    sums: Arc<[f64]>,
    calls_per_second: u32,
}

impl Callers {
    fn new(replica: &Replica, scale: &Scale) -> Self {
        let caller = |number| Caller {
            number,
            service: replica.address,
            rate: 0.0,
            timeout: TIMEOUT,
        };
        let clients = (0..CALLERS).map(|number| caller(number).channel());
        let sums = (1..=scale.ids).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self {
            clients: clients.map(FaceRecognitionServiceClient::new).collect(),
            sums: sums.collect(),
            calls_per_second: scale.calls_per_second,
        }
    }

    /// Asks for every id, as fast as the quota allows, until each was answered.
    async fn warm(&self, ids: usize) {
        let missing: Arc<Mutex<BTreeSet<usize>>> = Arc::new(Mutex::new((0..ids).collect()));
        let mut workers = JoinSet::new();
        for client in &self.clients {
            let (mut client, missing) = (client.clone(), Arc::clone(&missing));
            workers.spawn(async move {
                loop {
                    let Some(id) = missing.lock().unwrap().pop_first() else {
                        return;
                    };
                    if client.get_group_info(request(id)).await.is_err() {
                        missing.lock().unwrap().insert(id);
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            });
        }
        workers.join_all().await;
    }

    /// Asks for ids by Zipf's law at a steady rate, whatever becomes of it.
    async fn call(&self, duration: Duration) -> Tally {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut calls = JoinSet::new();
        // A hundred times a second, since timers are no finer than a millisecond.
        let mut ticks = interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let end = Instant::now() + duration;
        while let Ok(_tick) = timeout_at(end, ticks.tick()).await {
            for number in 0..self.calls_per_second / 100 {
                let client = &self.clients[number as usize % self.clients.len()];
                let (mut client, tally) = (client.clone(), Arc::clone(&tally));
                let draw = fastrand::f64() * self.sums.last().unwrap();
                let id = self.sums.partition_point(|sum| *sum < draw);
                calls.spawn(async move {
                    let start = Instant::now();
                    let answer = client.get_group_info(request(id)).await;
                    let metadata = answer.as_ref().ok().map(|answer| answer.metadata());
                    tally.lock().unwrap().count(metadata, start.elapsed());
                });
            }
            while calls.try_join_next().is_some() {}
        }
        calls.join_all().await;
        Arc::into_inner(tally).unwrap().into_inner().unwrap()
    }
}

impl Tally {
    fn count(&mut self, metadata: Option<&MetadataMap>, took: Duration) {
        self.calls += 1;
        self.millis.push(took.as_millis() as u32);
        let Some(metadata) = metadata else {
            return;
        };
        self.ok += 1;
        let text = |key| metadata.get(key).unwrap().to_str().unwrap();
        match text("x-iai-cache") {
            "hit" => self.fresh += 1,
            "stale" => self.stale += 1,
            _ => {}
        }
        self.oldest = self.oldest.max(text("age").parse().unwrap());
    }

    /// Returns a share of the calls in percent.
    fn share(&self, of: u32) -> f64 {
        100.0 * f64::from(of) / f64::from(self.calls)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut millis = self.millis.clone();
        millis.sort_unstable();
        f64::from(millis[(millis.len() - 1) * percent / 100])
    }
}

fn request(id: usize) -> Request<GetGroupInfoRequest> {
    let group_id = format!("group-{id}");
    let mut request = Request::new(GetGroupInfoRequest { group_id });
    request.set_timeout(TIMEOUT);
    request
}
