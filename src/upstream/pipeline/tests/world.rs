//! [`Pipeline`] compared with the model: both process the same steps and must agree.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, advance, timeout_at},
};

use super::{
    super::{Pipeline, SendRequest},
    Step,
    model::{MAX_CALL_TIME, Model},
    state::{End, Key, Time},
    tokio_clock,
    upstream::{Outcome, Sent, decode, read, sent},
};
use crate::{
    config,
    context::{Context, Deadline, Identity, Origin},
    credentials::{Credential, Credentials},
    upstream::{ApiRequest, ApiResponse, CacheStatistics, Error},
};

pub(super) struct World {
    model: Model,
    pipeline: Arc<Pipeline<HeldUpstream>>,
    credentials: Credentials,
    is_other_account: Arc<AtomicBool>,
    upstream: Arc<Mutex<Vec<Arrived>>>,
    callers: Vec<Caller>,
}

/// An upstream that holds each request until the test completes it.
#[derive(Debug)]
struct HeldUpstream {
    start: Instant,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl SendRequest for HeldUpstream {
    async fn send(&self, request: &ApiRequest, context: &Context) -> Result<ApiResponse, Error> {
        let (sender, receiver) = oneshot::channel();
        self.arrived.lock().unwrap().push(Arrived {
            key: Key {
                is_other_account: *context.identity() == caller(true),
                id: request.parameters[0],
            },
            deadline: in_tenths(context.deadline().at() - self.start),
            sender,
            number: None,
        });
        receiver.await.unwrap()
    }
}

/// Returns the only caller of an account, by which the upstream knows the account.
fn caller(is_other_account: bool) -> Identity {
    Identity::Address([127, 0, 0, if is_other_account { 2 } else { 1 }].into())
}

/// A request that upstream has received.
#[derive(Debug)]
struct Arrived {
    key: Key,
    deadline: Time,
    sender: oneshot::Sender<Sent>,
    /// The number of the request in the model.
    number: Option<usize>,
}

struct Caller {
    context: Arc<Context>,
    task: Option<JoinHandle<Option<Outcome>>>,
    end: Option<End>,
}

impl World {
    pub(super) fn new(settings: &config::Cache) -> Self {
        let is_other_account = Arc::new(AtomicBool::new(false));
        let account = Arc::clone(&is_other_account);
        let credential = move || {
            let id = if account.load(Ordering::Relaxed) {
                "b"
            } else {
                "a"
            };
            Ok(Credential::new(id.to_owned(), "key".to_owned(), None).unwrap())
        };
        let credentials = Credentials::from_source(credential).unwrap();
        let max_call_time = tenths(MAX_CALL_TIME);
        let upstream = Arc::default();
        let held = HeldUpstream {
            start: Instant::now(),
            arrived: Arc::clone(&upstream),
        };
        let pipeline = Pipeline::new(
            settings,
            max_call_time,
            credentials.clone(),
            tokio_clock(),
            held,
        );
        Self {
            model: Model::new(settings),
            pipeline: Arc::new(pipeline),
            credentials,
            is_other_account,
            upstream,
            callers: Vec::new(),
        }
    }

    pub(super) async fn apply(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Call {
                id,
                seconds,
                is_uncached,
            } => {
                self.call(id, seconds * 10, is_uncached);
                self.model.call(id, seconds * 10, is_uncached);
            }
            Step::UpstreamOutcome { which, outcome } => {
                let Some(number) =
                    pick(&self.model.in_flight, which).map(|in_flight| in_flight.number)
                else {
                    return Ok(());
                };
                let mut upstream = self.upstream.lock().unwrap();
                let arrived = upstream
                    .iter()
                    .position(|arrived| arrived.number == Some(number));
                let arrived = upstream.remove(arrived.unwrap());
                drop(upstream);
                let _ = arrived.sender.send(sent(outcome, number));
                self.model.complete(number, outcome);
            }
            Step::Cancel { which } => {
                let waiting = self.model.waiting();
                let Some(caller) = pick(&waiting, which) else {
                    return Ok(());
                };
                self.callers[*caller].task.take().unwrap().abort();
                self.model.cancel(*caller);
            }
            Step::SwitchAccount => {
                self.is_other_account.fetch_not(Ordering::Relaxed);
                let before = self.credentials.current().await.unwrap();
                prop_assert!(self.credentials.renew(&before).await);
                self.model.is_other_account ^= true;
            }
            Step::Wait { tenths: rest } => {
                let until = self.model.now + rest;
                while self.model.now < until {
                    let next = self.model.next(until);
                    advance(tenths(next - self.model.now)).await;
                    self.model.pass(next);
                    self.compare().await?;
                }
            }
        }
        self.compare().await
    }

    fn call(&mut self, id: u8, timeout: Time, is_uncached: bool) {
        let deadline = Deadline::new(Instant::now(), None, tenths(timeout));
        let context = Context::new(deadline, false, caller(self.model.is_other_account));
        let context = Arc::new(if is_uncached {
            context.uncached()
        } else {
            context
        });
        let request = ApiRequest {
            action: "Act",
            parameters: vec![id].into(),
            id: |_| None,
        };
        let (pipeline, of_call) = (Arc::clone(&self.pipeline), Arc::clone(&context));
        let outcome = async move {
            let response = pipeline.call(request, decode, &of_call);
            timeout_at(deadline.at(), response).await.ok()
        };
        self.callers.push(Caller {
            context,
            task: Some(tokio::spawn(outcome)),
            end: None,
        });
    }

    /// Runs all tasks that are ready, and compares the state with the model.
    async fn compare(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..4 {
            yield_now().await;
        }
        self.compare_upstream()?;
        let mut expected = CacheStatistics::default();
        for (index, caller) in self.callers.iter_mut().enumerate() {
            caller.observe_end().await;
            let model = self.model.end(index);
            match (caller.end, model) {
                (
                    Some(End::Completed { origin, .. }),
                    Some(completed @ End::Completed { origin: None, .. }),
                ) => {
                    prop_assert!(matches!(origin, Some(Origin::Miss | Origin::Shared)));
                    prop_assert_eq!(caller.end.map(End::without_origin), Some(completed));
                }
                (end, model) => prop_assert_eq!(end, model, "of call {}", index),
            }
            if let Some(End::Completed {
                origin: Some(origin),
                ..
            }) = caller.end
            {
                *match origin {
                    Origin::Hit => &mut expected.hits,
                    Origin::Miss => &mut expected.misses,
                    Origin::Shared => &mut expected.shared,
                    Origin::Stale => &mut expected.stale,
                } += 1;
            }
        }
        let statistics = self.pipeline.cache_statistics();
        (expected.requests_in_flight, expected.waiters) = self.model.singleflight();
        expected.entries = statistics.entries;
        expected.bytes = statistics.bytes;
        expected.max_bytes = statistics.max_bytes;
        prop_assert_eq!(statistics, expected);
        Ok(())
    }

    fn compare_upstream(&mut self) -> Result<(), TestCaseError> {
        let mut upstream = self.upstream.lock().unwrap();
        upstream.retain(|arrived| !arrived.sender.is_closed());
        let mut known: Vec<_> = upstream
            .iter()
            .filter_map(|arrived| arrived.number)
            .collect();
        for arrived in upstream
            .iter_mut()
            .filter(|arrived| arrived.number.is_none())
        {
            let mut in_flight = self.model.in_flight.iter_mut();
            let matches = |number, key| key == arrived.key && !known.contains(&number);
            let Some(in_flight) =
                in_flight.find(|in_flight| matches(in_flight.number, in_flight.key))
            else {
                return Err(TestCaseError::fail(format!(
                    "unexpected request {:?}",
                    arrived.key
                )));
            };
            prop_assert!(
                in_flight.deadlines.contains(&arrived.deadline),
                "{:?}",
                in_flight
            );
            in_flight.deadlines = vec![arrived.deadline];
            arrived.number = Some(in_flight.number);
            known.push(in_flight.number);
        }
        known.sort_unstable();
        let mut expected: Vec<_> = self
            .model
            .in_flight
            .iter()
            .map(|in_flight| in_flight.number)
            .collect();
        expected.sort_unstable();
        prop_assert_eq!(known, expected, "upstream requests in flight");
        Ok(())
    }
}

impl Caller {
    async fn observe_end(&mut self) {
        let Some(task) = self.task.take_if(|task| task.is_finished()) else {
            return;
        };
        self.end = Some(match task.await.unwrap() {
            None => End::Late,
            Some(outcome) => {
                let provenance = self.context.provenance().unwrap();
                let (outcome, number) = read(&outcome);
                End::Completed {
                    origin: Some(provenance.origin),
                    age: in_tenths(provenance.age),
                    outcome,
                    number,
                }
            }
        });
    }
}

impl End {
    fn without_origin(self) -> Self {
        match self {
            Self::Late => Self::Late,
            Self::Completed {
                age,
                outcome,
                number,
                ..
            } => Self::Completed {
                origin: None,
                age,
                outcome,
                number,
            },
        }
    }
}

fn pick<T>(of: &[T], which: usize) -> Option<&T> {
    of.get(which.checked_rem(of.len())?)
}

fn tenths(number: Time) -> Duration {
    Duration::from_millis(number * 100)
}

fn in_tenths(duration: Duration) -> Time {
    assert_eq!(duration.subsec_nanos() % 100_000_000, 0, "{duration:?}");
    (duration.as_millis() / 100) as Time
}
