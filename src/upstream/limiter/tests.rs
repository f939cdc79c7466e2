//! Tests of the rate limiter: rate, fairness, rejections and cancelled waits.

use std::{iter, net::IpAddr};

use proptest::prelude::*;
use tokio::{
    runtime::Builder,
    sync::mpsc,
    task::{JoinSet, yield_now},
};

use super::*;

mod courses;

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

/// Acquires in a task of its own, which sends `name` when it is admitted.
fn spawn_acquire(
    limiter: &Arc<Limiter>,
    tasks: &mut JoinSet<()>,
    names: &mpsc::UnboundedSender<&'static str>,
    (number, name): (u8, &'static str),
) -> tokio::task::AbortHandle {
    let (limiter, names) = (Arc::clone(limiter), names.clone());
    tasks.spawn(async move {
        limiter
            .acquire(&caller(number), after(60_000))
            .await
            .unwrap();
        names.send(name).unwrap();
    })
}

#[tokio::test(start_paused = true)]
async fn an_attempt_too_late_is_rejected_at_once_with_the_expected_wait() {
    let limiter = limiter(1);
    let start = Instant::now();
    limiter.acquire(&caller(1), start).await.unwrap();

    let rejected = limiter.acquire(&caller(1), after(1_000)).await;

    assert_eq!(rejected, Err(TooLate { wait: WIDTH }));
    assert_eq!(Instant::now(), start);
    limiter.acquire(&caller(1), after(1_020)).await.unwrap();
    assert!(Instant::now() - start < WIDTH + Duration::from_millis(2));
    let state = limiter.state(Instant::now());
    assert_eq!((state.admitted, state.rejected, state.waiting), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn callers_are_admitted_round_robin_however_many_attempts_they_have() {
    let limiter = limiter(1);
    let (names, mut order) = mpsc::unbounded_channel();
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
        spawn_acquire(&limiter, &mut tasks, &names, call);
        yield_now().await;
    }
    assert_eq!(limiter.state(Instant::now()).callers_waiting, 3);

    tasks.join_all().await;

    let order: Vec<_> = iter::from_fn(|| order.try_recv().ok()).collect();
    assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_hands_its_position_and_the_timer_to_the_next() {
    let limiter = limiter(1);
    let (names, mut order) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    let first = spawn_acquire(&limiter, &mut tasks, &names, (1, "first"));
    yield_now().await;
    spawn_acquire(&limiter, &mut tasks, &names, (1, "second"));
    yield_now().await;

    first.abort();
    assert_eq!(order.recv().await, Some("second"));

    assert!(Instant::now() - start < WIDTH + Duration::from_millis(2));
    let state = limiter.state(Instant::now());
    assert_eq!((state.admitted, state.cancelled, state.waiting), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn quota_granted_to_a_cancelled_waiter_is_refunded() {
    let limiter = limiter(1);
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    let available_at = after(1_020);
    // Admitted by another waiter, and cancelled before it has polled.
    let Ok(Some(queued)) = limiter.enqueue(&caller(1), available_at) else {
        panic!("expected to be queued");
    };
    limiter.0.lock().admit_due(available_at);
    assert_eq!(limiter.state(available_at).admitted, 2);
    drop(queued);

    assert_eq!(limiter.state(available_at).admitted, 1);
    sleep_until(available_at).await;
    assert!(limiter.enqueue(&caller(2), available_at).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_overtaken_beyond_its_deadline_is_rejected_in_time() {
    let limiter = limiter(1);
    let start = Instant::now();
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    let (names, _order) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    spawn_acquire(
        &limiter,
        &mut tasks,
        &names,
        (1, "first of the same caller"),
    );
    yield_now().await;
    let second = {
        let limiter = Arc::clone(&limiter);
        tokio::spawn(async move { limiter.acquire(&caller(1), start + WIDTH * 2).await })
    };
    yield_now().await;
    for call in [(2, "second caller"), (3, "third caller")] {
        spawn_acquire(&limiter, &mut tasks, &names, call);
        yield_now().await;
    }

    let rejected = second.await.unwrap().unwrap_err();

    assert!(Instant::now() - start < WIDTH * 2 + Duration::from_millis(2));
    assert!(rejected.wait > Duration::from_millis(900), "{rejected:?}");
    tasks.join_all().await;
    assert_eq!(limiter.state(Instant::now()).waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_the_next_attempt_down_only_if_the_rate_is_adaptive() {
    let adaptive = Limiter::new(&config::Quota {
        rate: None,
        is_adaptive: true,
        has_circuit: false,
    });
    let fixed = Limiter::new(&config::Quota {
        rate: None,
        is_adaptive: false,
        has_circuit: false,
    });
    for limiter in [&adaptive, &fixed] {
        limiter.acquire(&caller(1), after(0)).await.unwrap();
        limiter.throttle(Instant::now(), Instant::now());
    }

    let rejected = adaptive.acquire(&caller(1), after(0)).await.unwrap_err();

    // A seventh of a second, minus the tolerance for late timers.
    assert!(rejected.wait > Duration::from_millis(120), "{rejected:?}");
    let found = adaptive.state(Instant::now()).adaptive_rate.unwrap();
    assert!((found - 7.0).abs() < 1e-9, "{found}");
    fixed.acquire(&caller(1), after(0)).await.unwrap();
    assert_eq!(fixed.state(Instant::now()).adaptive_rate, None);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_admitted_at_the_adaptive_rate_while_it_grows() {
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

    // From 14 to 20 attempts per second along the curve.
    assert!((33..=40).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_cancelled_waiters_leave_no_state_behind() {
    let limiter = limiter(1);
    limiter.acquire(&caller(1), after(0)).await.unwrap();
    for round in 0..100u8 {
        let waiting: Vec<_> = (0..1_000)
            .map(|_| {
                let mut queued = limiter.enqueue(&caller(round), after(100_000_000)).unwrap();
                assert!(matches!(queued.as_mut().unwrap().poll(), Wake::At(_)));
                queued
            })
            .collect();
        assert!(limiter.0.lock().has_timer_driver);
        assert_eq!(limiter.state(Instant::now()).waiting, 1_000);
        drop(waiting);
    }

    let state = limiter.state(Instant::now());
    assert_eq!(
        (state.waiting, state.callers_waiting, state.cancelled),
        (0, 0, 100_000)
    );
    assert!(!limiter.0.lock().has_timer_driver);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Attempts arrive, wait and are cancelled in any order: the rate is not exceeded, no attempt waits
    /// past its deadline, and none is rejected while quota is available.
    #[test]
    fn the_rate_holds_and_the_queue_empties_under_any_arrivals(
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
                    let outcome = limiter.acquire(&caller(number), latest).await;
                    (outcome.is_ok(), Instant::now(), latest)
                });
                yield_now().await;
                if !stays {
                    task.abort();
                }
            }
            let (mut admitted_at, mut rejected) = (Vec::new(), Vec::new());
            while let Some(ended) = tasks.join_next().await {
                let Ok((is_admitted, at, latest)) = ended else {
                    continue;
                };
                // Timers are precise to a millisecond.
                prop_assert!(at <= latest + GRACE + Duration::from_millis(2));
                match is_admitted {
                    true => admitted_at.push(at),
                    false => rejected.push(at),
                }
            }
            admitted_at.sort();
            for window in admitted_at.windows(rate as usize + 1) {
                prop_assert!(window[rate as usize] - window[0] >= WIDTH);
            }
            // A missed wake-up would leave quota unused before a rejection.
            for at in rejected {
                let window = at - WIDTH - Duration::from_millis(3)..=at;
                let admitted = admitted_at.iter().filter(|at| window.contains(at)).count();
                prop_assert!(admitted >= rate as usize, "{} admitted before a rejection", admitted);
            }
            prop_assert_eq!(limiter.state(Instant::now()).waiting, 0);
            Ok(())
        })?;
    }
}
