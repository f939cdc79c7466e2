//! Calls, answers, failures and departures in any order, and the passing of time between them.

mod model;
mod state;
mod upstream;
mod world;

use std::time::Duration;

use proptest::{collection::vec, prelude::*, strategy::Union, test_runner::Config};

use self::world::World;
use crate::config;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody calls, with so many seconds to wait.
    Call {
        id: u8,
        seconds: u64,
        is_uncached: bool,
    },
    /// One of the calls upstream under way is answered.
    Answer { which: usize, answer: Answer },
    /// One of those who wait goes away.
    Leave { which: usize },
    /// The credential becomes that of the other account.
    SwitchAccount,
    /// So many tenths of a second pass.
    Wait { tenths: u64 },
}

/// What upstream answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Found,
    Malformed,
    NoReply,
    NotFound,
    Refused,
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
    let answer = prop::sample::select(vec![
        Answer::Found,
        Answer::Found,
        Answer::Found,
        Answer::Found,
        Answer::Malformed,
        Answer::NoReply,
        Answer::NotFound,
        Answer::Refused,
        Answer::Throttled,
        Answer::Transient,
        Answer::UnknownPerson,
        Answer::Untrusted,
    ]);
    let answer =
        (any::<usize>(), answer).prop_map(|(which, answer)| Step::Answer { which, answer });
    let leave = any::<usize>().prop_map(|which| Step::Leave { which });
    let wait = prop_oneof![1u64..10, 10u64..60].prop_map(|tenths| Step::Wait { tenths });
    let step = Union::new_weighted(vec![
        (8, call.boxed()),
        (6, answer.boxed()),
        (2, leave.boxed()),
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

proptest! {
    #![proptest_config(Config { cases: 10_000, max_shrink_iters: 20_000, ..Config::default() })]

    #[test]
    fn whatever_happens_each_call_is_answered_as_the_model_says(
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
                world.take(step).await?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
