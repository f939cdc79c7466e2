//! Clock skew: signatures with a wrong clock, and the end of days, months and years.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use iai_facade::clock::Clock;
use time::{UtcDateTime, macros::utc_datetime};
use tonic::Code;

use crate::harness::{Facade, credentials, group, start_emulator};

#[tokio::test]
async fn a_clock_skew_of_an_hour_costs_one_attempt_and_so_does_its_end() {
    for offset in [-3_600, 3_600] {
        let facade = Facade::start().await;
        facade.emulator.set_clock_offset(offset);

        assert_eq!(attempts_of_3_calls(&facade).await, [2, 1, 1], "{offset}");
        facade.emulator.set_clock_offset(0);
        assert_eq!(
            attempts_of_3_calls(&facade).await,
            [2, 1, 1],
            "{offset}, set right"
        );
    }
}

#[tokio::test]
async fn a_call_without_retries_corrects_the_clock_for_the_next_call() {
    let facade = Facade::start_with(&["--max-attempts", "1"]).await;
    facade.emulator.set_clock_offset(3_600);
    let mut client = facade.client();

    let rejected = client.get_group_info(group("aaa")).await;
    assert_eq!(rejected.unwrap_err().code(), Code::Internal);

    client.get_group_info(group("aaa")).await.unwrap();
    assert_eq!(facade.emulator.requests().len(), 2);
}

#[tokio::test]
async fn a_clock_skew_within_the_tolerance_costs_nothing() {
    let facade = Facade::start().await;

    for offset in [-290, 290] {
        facade.emulator.set_clock_offset(offset);
        assert_eq!(attempts_of_3_calls(&facade).await, [1, 1, 1], "{offset}");
    }
}

#[tokio::test]
async fn calls_succeed_across_the_end_of_a_day_month_and_year() {
    let ends = [
        utc_datetime!(2027-03-09 23:59:59),
        utc_datetime!(2027-04-30 23:59:59),
        utc_datetime!(2027-12-31 23:59:59),
        utc_datetime!(2028-02-28 23:59:59),
        utc_datetime!(2028-02-29 23:59:59),
    ];
    let now = Arc::new(AtomicU64::new(0));
    let clock = {
        let now = Arc::clone(&now);
        Clock::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed)))
    };
    let emulator = start_emulator().await;
    let flags = ["--endpoint", &emulator.endpoint()];
    let facade = Facade::start_at(clock, credentials(), emulator, &flags).await;

    for end in ends {
        for seconds in [0, 1, 2] {
            let time = end + Duration::from_secs(seconds);
            now.store(time.unix_timestamp().cast_unsigned(), Ordering::Relaxed);
            facade
                .emulator
                .set_clock_offset((time - real_time()).whole_seconds());

            assert_eq!(attempts_of_3_calls(&facade).await, [1, 1, 1], "{time}");
        }
    }
    let calls = facade.emulator.requests();
    // Ten days, of which 2028-02-29 counts twice: it begins one case and ends another.
    let days = calls
        .iter()
        .map(|call| call.timestamp.unwrap().div_euclid(86_400));
    assert_eq!(days.collect::<std::collections::BTreeSet<_>>().len(), 9);
}

/// Sends three calls and returns the number of upstream requests for each.
async fn attempts_of_3_calls(facade: &Facade) -> [usize; 3] {
    let mut client = facade.client();
    let mut attempts = [0; 3];
    for attempts in &mut attempts {
        let before = facade.emulator.requests().len();
        client.get_group_info(group("aaa")).await.unwrap();
        *attempts = facade.emulator.requests().len() - before;
    }
    attempts
}

fn real_time() -> UtcDateTime {
    Clock::system().now()
}
