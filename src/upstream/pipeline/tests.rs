//! Comparison with a model: calls, responses, failures and cancellations in any order and at any time.

mod model;
mod recovery;
mod state;
mod upstream;
mod world;

use std::time::Duration;

use proptest::{collection::vec, prelude::*, strategy::Union, test_runner::Config};
use tokio::time::Instant;

use self::world::World;
use crate::{clock::Clock, config};

/// An event.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call with a timeout in seconds.
    Call {
        id: u8,
        seconds: u64,
        is_uncached: bool,
    },
    /// An upstream request in flight completes.
    UpstreamOutcome {
        which: usize,
        outcome: UpstreamOutcome,
    },
    /// A call in progress is cancelled.
    Cancel { which: usize },
    /// The credential changes to that of the other account.
    SwitchAccount,
    /// Time passes, in tenths of a second.
    Wait { tenths: u64 },
}

/// A response or failure of upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UpstreamOutcome {
    Found,
    Malformed,
    Unreachable,
    NotFound,
    Denied,
    Throttled,
    Transient,
    UnknownPerson,
    Untrusted,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let call =
        (0u8..2, 1u64..12, prop::bool::weighted(0.1)).prop_map(|(id, seconds, is_uncached)| {
            Step::Call {
                id,
                seconds,
                is_uncached,
            }
        });
    let outcome = prop::sample::select(vec![
        UpstreamOutcome::Found,
        UpstreamOutcome::Found,
        UpstreamOutcome::Found,
        UpstreamOutcome::Found,
        UpstreamOutcome::Malformed,
        UpstreamOutcome::Unreachable,
        UpstreamOutcome::NotFound,
        UpstreamOutcome::Denied,
        UpstreamOutcome::Throttled,
        UpstreamOutcome::Transient,
        UpstreamOutcome::UnknownPerson,
        UpstreamOutcome::Untrusted,
    ]);
    let outcome = (any::<usize>(), outcome)
        .prop_map(|(which, outcome)| Step::UpstreamOutcome { which, outcome });
    let cancel = any::<usize>().prop_map(|which| Step::Cancel { which });
    let wait = prop_oneof![1u64..10, 10u64..60].prop_map(|tenths| Step::Wait { tenths });
    let step = Union::new_weighted(vec![
        (8, call.boxed()),
        (6, outcome.boxed()),
        (2, cancel.boxed()),
        (1, Just(Step::SwitchAccount).boxed()),
        (5, wait.boxed()),
    ]);
    vec(step, 1..30)
}

fn settings() -> impl Strategy<Value = config::Cache> {
    let seconds = |list: &'static [u64]| prop::sample::select(list).prop_map(Duration::from_secs);
    let times = (
        seconds(&[0, 1, 5]),
        seconds(&[0, 1, 2]),
        seconds(&[0, 3, 10]),
        seconds(&[0, 3, 10]),
    );
    (any::<bool>(), times).prop_map(
        |(is_sharing, (ttl, negative_ttl, stale_while_revalidate, stale_if_error))| config::Cache {
            is_sharing,
            ttl,
            negative_ttl,
            stale_while_revalidate,
            stale_if_error,
            max_bytes: 1 << 20,
        },
    )
}

/// Returns a clock whose time since boot is that of tokio, which is paused.
fn tokio_clock() -> Clock {
    let start = Instant::now();
    Clock::system().with_time_since_boot(move || start.elapsed())
}

proptest! {
    #![proptest_config(Config { cases: 10_000, max_shrink_iters: 20_000, ..Config::default() })]

    #[test]
    fn each_call_ends_as_in_the_model_after_any_sequence_of_events(
        settings in settings(),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(&settings);
            for step in steps {
                world.apply(step).await?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
