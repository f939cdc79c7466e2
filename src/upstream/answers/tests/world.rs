//! [`Answers`] beside the model: both are told the same, and must come to the same.

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
    super::Answers,
    Step,
    model::{MAX_CALL_TIME, Model},
    state::{End, Key, Time},
    upstream::{Outcome, meaning, outcome, read},
};
use crate::{
    config,
    context::{Context, Origin},
    credentials::{Credential, Credentials},
    deadline::Deadline,
    identity::Identity,
    upstream::{Call, statistics::Statistics},
};

pub(super) struct World {
    model: Model,
    answers: Arc<Answers>,
    credentials: Credentials,
    is_other_account: Arc<AtomicBool>,
    start: Instant,
    upstream: Arc<Mutex<Vec<Arrived>>>,
    callers: Vec<Caller>,
}

/// A call that has arrived upstream.
struct Arrived {
    key: Key,
    deadline: Time,
    answer: oneshot::Sender<Outcome>,
    /// As which one the model knows it.
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
        Self {
            model: Model::new(settings),
            answers: Arc::new(Answers::new(settings, max_call_time, credentials.clone())),
            credentials,
            is_other_account,
            start: Instant::now(),
            upstream: Arc::default(),
            callers: Vec::new(),
        }
    }

    pub(super) async fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Call {
                id,
                seconds,
                is_uncached,
            } => {
                self.call(id, seconds * 10, is_uncached);
                self.model.call(id, seconds * 10, is_uncached);
            }
            Step::Answer { which, answer } => {
                let Some(number) = pick(&self.model.asked, which).map(|asked| asked.number) else {
                    return Ok(());
                };
                let mut upstream = self.upstream.lock().unwrap();
                let arrived = upstream
                    .iter()
                    .position(|arrived| arrived.number == Some(number));
                let arrived = upstream.remove(arrived.unwrap());
                drop(upstream);
                let _ = arrived.answer.send(outcome(answer, number));
                self.model.answer(number, answer);
            }
            Step::Leave { which } => {
                let waiting = self.model.waiting();
                let Some(caller) = pick(&waiting, which) else {
                    return Ok(());
                };
                self.callers[*caller].task.take().unwrap().abort();
                self.model.leave(*caller);
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
        let key = Key {
            is_other_account: self.model.is_other_account,
            id,
        };
        let deadline = Deadline::new(Instant::now(), None, tenths(timeout));
        let context = Context::new(deadline, false, Identity::Address([127, 0, 0, 1].into()));
        let context = Arc::new(if is_uncached {
            context.uncached()
        } else {
            context
        });
        let call = Call {
            action: "Act",
            parameters: vec![id].into(),
            meaning,
        };
        let (upstream, start) = (Arc::clone(&self.upstream), self.start);
        let ask = move |context: Arc<Context>| {
            let upstream = Arc::clone(&upstream);
            async move {
                let (answer, answered) = oneshot::channel();
                let deadline = in_tenths(context.deadline().at() - start);
                let arrived = Arrived {
                    key,
                    deadline,
                    answer,
                    number: None,
                };
                upstream.lock().unwrap().push(arrived);
                answered.await.unwrap()
            }
        };
        let (answers, of_call) = (Arc::clone(&self.answers), Arc::clone(&context));
        let answer = async move {
            let answer = answers.answer(&call, &of_call, ask);
            timeout_at(deadline.at(), answer).await.ok()
        };
        self.callers.push(Caller {
            context,
            task: Some(tokio::spawn(answer)),
            end: None,
        });
    }

    /// Lets everything happen that happens by itself, and holds it against the model.
    async fn compare(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..4 {
            yield_now().await;
        }
        self.compare_upstream()?;
        let mut expected = Statistics::default();
        for (index, caller) in self.callers.iter_mut().enumerate() {
            caller.look().await;
            let model = self.model.end(index);
            match (caller.end, model) {
                (Some(End::Told { origin, .. }), Some(told @ End::Told { origin: None, .. })) => {
                    prop_assert!(matches!(origin, Some(Origin::Miss | Origin::Shared)));
                    prop_assert_eq!(caller.end.map(End::without_origin), Some(told));
                }
                (end, model) => prop_assert_eq!(end, model, "of call {}", index),
            }
            if let Some(End::Told {
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
        let statistics = self.answers.statistics();
        (expected.flights_in_progress, expected.waiters) = self.model.flights();
        expected.entries = statistics.entries;
        expected.bytes = statistics.bytes;
        prop_assert_eq!(statistics, expected);
        Ok(())
    }

    fn compare_upstream(&mut self) -> Result<(), TestCaseError> {
        let mut upstream = self.upstream.lock().unwrap();
        upstream.retain(|arrived| !arrived.answer.is_closed());
        let mut known: Vec<_> = upstream
            .iter()
            .filter_map(|arrived| arrived.number)
            .collect();
        for arrived in upstream
            .iter_mut()
            .filter(|arrived| arrived.number.is_none())
        {
            let mut asked = self.model.asked.iter_mut();
            let is_it = |number, key| key == arrived.key && !known.contains(&number);
            let Some(asked) = asked.find(|asked| is_it(asked.number, asked.key)) else {
                return Err(TestCaseError::fail(format!(
                    "nobody asks for {:?}",
                    arrived.key
                )));
            };
            prop_assert!(asked.deadlines.contains(&arrived.deadline), "{:?}", asked);
            asked.deadlines = vec![arrived.deadline];
            arrived.number = Some(asked.number);
            known.push(asked.number);
        }
        known.sort_unstable();
        let mut expected: Vec<_> = self.model.asked.iter().map(|asked| asked.number).collect();
        expected.sort_unstable();
        prop_assert_eq!(known, expected, "calls upstream under way");
        Ok(())
    }
}

impl Caller {
    async fn look(&mut self) {
        let Some(task) = self.task.take_if(|task| task.is_finished()) else {
            return;
        };
        self.end = Some(match task.await.unwrap() {
            None => End::Late,
            Some(outcome) => {
                let provenance = self.context.provenance().unwrap();
                let (answer, number) = read(&outcome);
                End::Told {
                    origin: Some(provenance.origin),
                    age: in_tenths(provenance.age),
                    answer,
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
            Self::Told {
                age,
                answer,
                number,
                ..
            } => Self::Told {
                origin: None,
                age,
                answer,
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
