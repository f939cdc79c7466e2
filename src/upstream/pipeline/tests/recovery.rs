//! Recovery of singleflight and of the stale modes: no fault of upstream has effects beyond their bounds,
//! at any load and however long the fault lasted.

use std::{ops::Range, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    super::{Pipeline, SendRequest},
    UpstreamOutcome, tokio_clock,
    upstream::{Outcome, decode, sent},
};
use crate::{
    config,
    context::{Context, Deadline, Identity},
    credentials::{Credential, Credentials},
    upstream::{ApiRequest, ApiResponse, Error},
};

const MAX_CALL_TIME: Duration = Duration::from_secs(10);

/// The pause after a failed refresh.
const PAUSE: Duration = Duration::from_secs(1);

/// The numbers of the upstream responses before and after the fault.
const BEFORE: usize = 1;
const AFTER: usize = 2;

/// A fault of upstream.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Fails(UpstreamOutcome),
    Hangs,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(vec![
        Fault::Fails(UpstreamOutcome::Unreachable),
        Fault::Fails(UpstreamOutcome::Throttled),
        Fault::Fails(UpstreamOutcome::Transient),
        Fault::Hangs,
    ])
}

/// An upstream that fails for a while.
#[derive(Debug)]
struct FailingUpstream {
    fault: Fault,
    during: Range<Instant>,
}

impl SendRequest for FailingUpstream {
    async fn send(&self, _: &ApiRequest, _: &Context) -> Result<ApiResponse, Error> {
        let now = Instant::now();
        match self.fault {
            _ if now < self.during.start => sent(UpstreamOutcome::Found, BEFORE),
            _ if now >= self.during.end => sent(UpstreamOutcome::Found, AFTER),
            Fault::Fails(outcome) => sent(outcome, 0),
            Fault::Hangs => std::future::pending().await,
        }
    }
}

/// Calls with one key to such an upstream.
#[derive(Clone)]
struct World {
    pipeline: Arc<Pipeline<FailingUpstream>>,
    during: Range<Instant>,
}

impl World {
    fn new(settings: &config::Cache, fault: Fault, during: Range<u64>) -> Self {
        let credential = || Ok(Credential::new("a".to_owned(), "key".to_owned(), None).unwrap());
        let credentials = Credentials::from_source(credential).unwrap();
        let start = Instant::now();
        let at = |tenths| start + Duration::from_millis(100 * tenths);
        let during = at(during.start)..at(during.end);
        let upstream = FailingUpstream {
            fault,
            during: during.clone(),
        };
        let pipeline = Pipeline::new(
            settings,
            MAX_CALL_TIME,
            credentials,
            tokio_clock(),
            upstream,
        );
        Self {
            pipeline: Arc::new(pipeline),
            during,
        }
    }

    /// Makes a call, and returns its outcome unless its deadline passes first.
    async fn call(&self, time: Duration) -> Option<Outcome> {
        let deadline = Deadline::new(Instant::now(), None, time);
        let context = Context::new(deadline, false, Identity::Address([127, 0, 0, 1].into()));
        let request = ApiRequest {
            action: "Act",
            parameters: "{}".into(),
            id: |_| None,
        };
        let context = Arc::new(context);
        let response = self.pipeline.call(request, decode, &context);
        timeout_at(deadline.at(), response).await.ok()
    }
}

fn is_new(outcome: Option<&Outcome>) -> bool {
    outcome.is_some_and(|outcome| {
        let new = AFTER.to_string();
        outcome
            .as_ref()
            .is_ok_and(|response| response.request_id == new)
    })
}

fn run<F: Future<Output = Result<(), TestCaseError>>>(test: F) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

proptest! {
    /// Calls join a hanging request until its deadline at the latest.
    #[test]
    fn singleflight_sends_again_at_the_deadline_of_a_hanging_request(
        fault in fault(),
        gaps in vec((0u64..100, 1u64..=10), 1..40),
        outage in 1u64..300,
    ) {
        run(async {
            let settings = config::Cache {
                is_sharing: true,
                ttl: Duration::ZERO,
                negative_ttl: Duration::ZERO,
                stale_while_revalidate: Duration::ZERO,
                stale_if_error: Duration::ZERO,
                max_bytes: 1 << 20,
            };
            let world = World::new(&settings, fault, 0..outage);
            let mut hanging_until = world.during.end;
            let mut calls = Vec::new();
            for (gap, seconds) in gaps {
                sleep(Duration::from_millis(100 * gap)).await;
                let now = Instant::now();
                let deadline = now + Duration::from_secs(seconds);
                if now < world.during.end {
                    hanging_until = hanging_until.max(deadline);
                }
                let world = world.clone();
                let call = tokio::spawn(async move { world.call(deadline - now).await });
                calls.push((now, deadline, call));
                for _ in 0..4 {
                    yield_now().await;
                }
            }
            for (made, deadline, call) in calls {
                let outcome = call.await.unwrap();
                let is_after = made >= world.during.end;
                if is_after && (made >= hanging_until || deadline > hanging_until) {
                    prop_assert!(is_new(outcome.as_ref()), "{:?}", outcome);
                }
            }
            // A single call suffices. Timers have a resolution of 1 ms.
            sleep_until(hanging_until).await;
            let last = world.call(Duration::from_millis(10)).await;
            prop_assert!(is_new(last.as_ref()), "{:?}", last);
            Ok(())
        })?;
    }

    /// The first call after the pause refreshes a stale entry, so that the second is not served stale.
    #[test]
    fn stale_responses_end_with_one_call_1_s_after_a_fault(
        fault in fault(),
        stale in (0u64..100, 0u64..100),
        is_sharing in any::<bool>(),
        gaps in vec(1u64..100, 1..40),
        outage in 1u64..300,
    ) {
        run(async {
            let (stale_while_revalidate, stale_if_error) = stale;
            let settings = config::Cache {
                is_sharing,
                ttl: Duration::from_secs(1),
                negative_ttl: Duration::ZERO,
                stale_while_revalidate: Duration::from_secs(stale_while_revalidate),
                stale_if_error: Duration::from_secs(stale_if_error),
                max_bytes: 1 << 20,
            };
            let world = World::new(&settings, fault, 1..1 + outage);
            world.call(MAX_CALL_TIME).await;
            for gap in gaps {
                sleep(Duration::from_millis(100 * gap)).await;
                let world = world.clone();
                tokio::spawn(async move { world.call(MAX_CALL_TIME).await });
                for _ in 0..4 {
                    yield_now().await;
                }
            }
            let in_progress = match fault {
                Fault::Fails(_) => Duration::ZERO,
                Fault::Hangs => MAX_CALL_TIME,
            };
            let now = Instant::now();
            sleep_until((world.during.end + in_progress + PAUSE).max(now)).await;
            let first = world.call(MAX_CALL_TIME).await;
            prop_assert!(matches!(first, Some(Ok(_))), "{:?}", first);
            for _ in 0..4 {
                yield_now().await;
            }
            let second = world.call(MAX_CALL_TIME).await;
            prop_assert!(is_new(second.as_ref()), "{:?}", second);
            Ok(())
        })?;
    }
}
