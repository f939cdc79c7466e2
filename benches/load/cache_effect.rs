//! The effect of cache and singleflight on a load far above the quota, with and without upstream.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use iai_emulator::Emulator;
use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};
use tonic::{Request, metadata::MetadataMap, transport::Channel};

use crate::{open_loop::Caller, replica::Replica, report::Report, upstream};

/// The account's quota, in calls per second.
const RATE: u32 = 20;

/// Number of connections.
const CALLERS: usize = 20;

/// The deadline of a call.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Durations and counts; the short form has a tenth of each. In both forms, a third more entries expire
/// per second than the quota can refresh.
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

/// The outcomes of the calls of a phase.
#[derive(Debug, Default)]
struct Counts {
    calls: u32,
    ok: u32,
    hits: u32,
    stale: u32,
    max_age: u64,
    millis: Vec<u32>,
}

/// Fills the cache, then measures the success rate before, during and after an outage of upstream.
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
    callers.fill_cache(scale.ids).await;

    let calls_before = upstream::counts(&emulator).total;
    let start = Instant::now();
    let before = callers.call(scale.phase).await;
    let upstream_calls = upstream::counts(&emulator).total - calls_before;
    let upstream_rate = upstream_calls as f64 / start.elapsed().as_secs_f64();

    emulator.stop().await;
    let during = callers.call(scale.phase).await;
    let emulator = Emulator::start(address, upstream::fixtures())
        .await
        .unwrap();
    let after = callers.call(scale.phase).await;
    drop(emulator);

    let mut report = Report::default();
    report.at_least(99.5, "OK before the outage, %", before.share(before.ok));
    report.at_least(99.5, "OK during the outage, %", during.share(during.ok));
    report.at_least(99.5, "OK after the outage, %", after.share(after.ok));
    let planned = f64::from(scale.calls_per_second) * scale.phase.as_secs_f64();
    report.at_least(
        95.0,
        "calls made, % of the planned ones",
        100.0 * f64::from(before.calls) / planned,
    );
    report.at_most(f64::from(RATE), "upstream calls per second", upstream_rate);
    let max_age = before.max_age.max(during.max_age).max(after.max_age);
    let limit = (scale.ttl + scale.stale).as_secs_f64();
    report.at_most(limit, "maximum age of a response, s", max_age as f64);
    report.note(
        "calls per second",
        f64::from(before.calls) / scale.phase.as_secs_f64(),
    );
    report.note("hits before the outage, %", before.share(before.hits));
    report.note("stale before the outage, %", before.share(before.stale));
    report.note("stale during the outage, %", during.share(during.stale));
    report.note("maximum age before the outage, s", before.max_age as f64);
    report.note("99th percentile before, ms", before.percentile(99));
    report.note("99th percentile during, ms", during.percentile(99));
    report
}

struct Callers {
    clients: Vec<FaceRecognitionServiceClient<Channel>>,
    /// The cumulative weights of Zipf's law: 1, 1 + 1/2, 1 + 1/2 + 1/3 and so on.
    cumulative_weights: Arc<[f64]>,
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
        let cumulative_weights = (1..=scale.ids).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self {
            clients: clients.map(FaceRecognitionServiceClient::new).collect(),
            cumulative_weights: cumulative_weights.collect(),
            calls_per_second: scale.calls_per_second,
        }
    }

    /// Fills the cache: requests every id, as fast as the quota allows, until each has succeeded.
    async fn fill_cache(&self, ids: usize) {
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

    /// Requests ids distributed by Zipf's law, at a constant rate.
    async fn call(&self, duration: Duration) -> Counts {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let mut calls = JoinSet::new();
        // Calls start in bursts, 100 per second, because tokio's timers have a resolution of 1 ms.
        let mut ticks = interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let end = Instant::now() + duration;
        while let Ok(_tick) = timeout_at(end, ticks.tick()).await {
            for number in 0..self.calls_per_second / 100 {
                let client = &self.clients[number as usize % self.clients.len()];
                let (mut client, counts) = (client.clone(), Arc::clone(&counts));
                let weights = &self.cumulative_weights;
                let drawn = fastrand::f64() * weights.last().unwrap();
                let id = weights.partition_point(|weight| *weight < drawn);
                calls.spawn(async move {
                    let start = Instant::now();
                    let response = client.get_group_info(request(id)).await;
                    let metadata = response.as_ref().ok().map(|response| response.metadata());
                    counts.lock().unwrap().add(metadata, start.elapsed());
                });
            }
            while calls.try_join_next().is_some() {}
        }
        calls.join_all().await;
        Arc::into_inner(counts).unwrap().into_inner().unwrap()
    }
}

impl Counts {
    fn add(&mut self, metadata: Option<&MetadataMap>, took: Duration) {
        self.calls += 1;
        self.millis.push(took.as_millis() as u32);
        let Some(metadata) = metadata else {
            return;
        };
        self.ok += 1;
        let text = |key| metadata.get(key).unwrap().to_str().unwrap();
        match text("x-iai-cache") {
            "hit" => self.hits += 1,
            "stale" => self.stale += 1,
            _ => {}
        }
        self.max_age = self.max_age.max(text("age").parse().unwrap());
    }

    /// Returns `count` in percent of the calls.
    fn share(&self, count: u32) -> f64 {
        100.0 * f64::from(count) / f64::from(self.calls)
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
