use std::{iter, net::IpAddr};

use proptest::prelude::*;
use tokio::{
    runtime::Builder,
    sync::mpsc,
    task::{JoinSet, yield_now},
};

use super::*;

const WIDTH: Duration = Duration::from_millis(1_020);

fn limiter(rate: u32) -> Arc<Limiter> {
    Arc::new(Limiter::new(&config::Quota {
        rate: NonZeroU32::new(rate),
        is_adaptive: true,
        has_circuit: false,
    }))
}

fn caller(number: u8) -> Identity {
    Identity::Address(IpAddr::from([127, 0, 0, number]))
}

fn after(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

/// Lets a call wait in a task of its own, which tells its name when its turn has come.
fn waits(
    limiter: &Arc<Limiter>,
    tasks: &mut JoinSet<()>,
    turns: &mpsc::UnboundedSender<&'static str>,
    (number, name): (u8, &'static str),
) -> tokio::task::AbortHandle {
    let (limiter, turns) = (Arc::clone(limiter), turns.clone());
    tasks.spawn(async move {
        limiter
            .acquire(&caller(number), after(60_000))
            .await
            .unwrap();
        turns.send(name).unwrap();
    })
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_would_come_too_late_is_refused_at_once_with_the_expected_wait() {
    let limiter = limiter(1);
    let start = Instant::now();
    limiter.acquire(&caller(1), start).await.unwrap();

    let refused = limiter.acquire(&caller(1), after(1_000)).await;

    assert_eq!(refused, Err(TooLate { wait: WIDTH }));
    assert_eq!(Instant::now(), start);
    limiter.acquire(&caller(1), after(1_020)).await.unwrap();
    assert!(Instant::now() - start < WIDTH + Duration::from_millis(2));
    let state = limiter.state(Instant::now());
    assert_eq!((state.admitted, state.refused, state.waiting), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn callers_take_turns_whoever_asks_more() {
    let limiter = limiter(1);
    let (turns, mut order) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    for call in [
        (1, "a1"),
        (1, "a2"),
        (1, "a3"),
        (2, "b1"),
        (3, "c1"),
        (2, "b2"),
    ] {
        waits(&limiter, &mut tasks, &turns, call);
        yield_now().await;
    }
    assert_eq!(limiter.state(Instant::now()).callers_waiting, 3);

    tasks.join_all().await;

    let order: Vec<_> = iter::from_fn(|| order.try_recv().ok()).collect();
    assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_gives_its_place_and_the_clock_to_the_next() {
    let limiter = limiter(1);
    let (turns, mut order) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    let first = waits(&limiter, &mut tasks, &turns, (1, "first"));
    yield_now().await;
    waits(&limiter, &mut tasks, &turns, (1, "second"));
    yield_now().await;

    first.abort();
    assert_eq!(order.recv().await, Some("second"));

    assert!(Instant::now() - start < WIDTH + Duration::from_millis(2));
    let state = limiter.state(Instant::now());
    assert_eq!((state.admitted, state.abandoned, state.waiting), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_to_one_who_has_left_is_not_lost() {
    let limiter = limiter(1);
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    let opens = after(1_020);
    // Served by another's look at the clock, and gone before it has looked itself.
    let Ok(Some(queued)) = limiter.enter(&caller(1), opens) else {
        panic!("it waits");
    };
    limiter.lock().serve(opens);
    assert_eq!(limiter.state(opens).admitted, 2);
    drop(queued);

    assert_eq!(limiter.state(opens).admitted, 1);
    sleep_until(opens).await;
    assert!(limiter.enter(&caller(2), opens).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_overtaken_until_its_turn_is_too_late_is_refused_in_time() {
    let limiter = limiter(1);
    let start = Instant::now();
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    let (turns, _order) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    waits(&limiter, &mut tasks, &turns, (1, "its own first"));
    yield_now().await;
    let second = {
        let limiter = Arc::clone(&limiter);
        tokio::spawn(async move { limiter.acquire(&caller(1), start + WIDTH * 2).await })
    };
    yield_now().await;
    for call in [(2, "another's"), (3, "one more")] {
        waits(&limiter, &mut tasks, &turns, call);
        yield_now().await;
    }

    let refused = second.await.unwrap().unwrap_err();

    assert!(Instant::now() - start < WIDTH * 2 + Duration::from_millis(2));
    assert!(refused.wait > Duration::from_millis(900), "{refused:?}");
    tasks.join_all().await;
    assert_eq!(limiter.state(Instant::now()).waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_upstream_slows_the_next_call_down_and_only_if_that_is_wanted() {
    let adaptive = Limiter::new(&config::Quota {
        rate: None,
        is_adaptive: true,
        has_circuit: false,
    });
    let untaught = Limiter::new(&config::Quota {
        rate: None,
        is_adaptive: false,
        has_circuit: false,
    });
    for limiter in [&adaptive, &untaught] {
        limiter.acquire(&caller(1), after(0)).await.unwrap();
        limiter.throttle(Instant::now(), Instant::now());
    }

    let refused = adaptive.acquire(&caller(1), after(0)).await.unwrap_err();

    assert!(refused.wait > Duration::from_secs(1), "{refused:?}");
    assert_eq!(adaptive.state(Instant::now()).adaptive_rate, Some(0.5));
    untaught.acquire(&caller(1), after(0)).await.unwrap();
    assert_eq!(untaught.state(Instant::now()).adaptive_rate, None);
}

#[tokio::test(start_paused = true)]
async fn calls_are_let_through_at_the_rate_that_was_found_while_it_grows() {
    let limiter = Limiter::new(&config::Quota {
        rate: None,
        is_adaptive: true,
        has_circuit: false,
    });
    for _ in 0..20 {
        limiter.acquire(&caller(1), after(0)).await.unwrap();
        limiter.accept(Instant::now());
    }
    let start = Instant::now();
    limiter.throttle(start, start);

    let mut calls = 0;
    while Instant::now() < start + Duration::from_secs(2) {
        limiter.acquire(&caller(1), after(1_000)).await.unwrap();
        calls += 1;
    }

    // From 14 to 20 calls a second along the curve.
    assert!((33..=40).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_who_come_and_go_leave_nothing_behind() {
    let limiter = limiter(1);
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    for round in 0..100u8 {
        let waiting: Vec<_> = (0..1_000)
            .map(|_| {
                let mut queued = limiter.enter(&caller(round), after(100_000_000)).unwrap();
                assert!(matches!(queued.as_mut().unwrap().look(), Wake::At(_)));
                queued
            })
            .collect();
        assert!(limiter.lock().has_clock);
        assert_eq!(limiter.state(Instant::now()).waiting, 1_000);
        drop(waiting);
    }

    let state = limiter.state(Instant::now());
    assert_eq!(
        (state.waiting, state.callers_waiting, state.abandoned),
        (0, 0, 100_000)
    );
    assert!(!limiter.lock().has_clock);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Callers who come, wait and go in any order: the rate is kept, nobody waits past its time, and
    /// nobody is refused while a turn was to be had.
    #[test]
    fn whatever_callers_do_the_rate_is_kept_and_the_queue_ends_empty(
        rate in 1u32..8,
        calls in proptest::collection::vec((0u64..400, 0u8..4, 0u64..4_000, any::<bool>()), 1..60),
    ) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let limiter = limiter(rate);
            let mut tasks = JoinSet::new();
            for (pause, number, patience, stays) in calls {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let limiter = Arc::clone(&limiter);
                let latest = after(patience);
                let task = tasks.spawn(async move {
                    let turn = limiter.acquire(&caller(number), latest).await;
                    (turn.is_ok(), Instant::now(), latest)
                });
                yield_now().await;
                if !stays {
                    task.abort();
                }
            }
            let (mut served, mut refused) = (Vec::new(), Vec::new());
            while let Some(ended) = tasks.join_next().await {
                let Ok((is_served, at, latest)) = ended else {
                    continue;
                };
                // Timers are precise to a millisecond.
                prop_assert!(at <= latest + GRACE + Duration::from_millis(2));
                match is_served {
                    true => served.push(at),
                    false => refused.push(at),
                }
            }
            served.sort();
            for window in served.windows(rate as usize + 1) {
                prop_assert!(window[rate as usize] - window[0] >= WIDTH);
            }
            // A turn that nobody is woken for would be missing before a refusal.
            for at in refused {
                let window = at - WIDTH - Duration::from_millis(3)..=at;
                let turns = served.iter().filter(|served| window.contains(served)).count();
                prop_assert!(turns >= rate as usize, "{} turns before a refusal", turns);
            }
            prop_assert_eq!(limiter.state(Instant::now()).waiting, 0);
            Ok(())
        })?;
    }
}
