//! What becomes of a clock that is wrong, and of days that end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use iai_facade::clock::Clock;
use time::{UtcDateTime, macros::utc_datetime};

use crate::harness::{Facade, credentials, group, start_emulator};

#[tokio::test]
async fn a_clock_an_hour_off_costs_one_attempt_once_and_so_does_setting_it_right() {
    for offset in [-3_600, 3_600] {
        let facade = Facade::start().await;
        facade.emulator.offset_clock(offset);

        assert_eq!(attempts_of_3_calls(&facade).await, [2, 1, 1], "{offset}");
        facade.emulator.offset_clock(0);
        assert_eq!(
            attempts_of_3_calls(&facade).await,
            [2, 1, 1],
            "{offset}, set right"
        );
    }
}

#[tokio::test]
async fn a_clock_within_the_tolerance_costs_nothing() {
    let facade = Facade::start().await;

    for offset in [-290, 290] {
        facade.emulator.offset_clock(offset);
        assert_eq!(attempts_of_3_calls(&facade).await, [1, 1, 1], "{offset}");
    }
}

#[tokio::test]
async fn days_months_and_years_may_end_between_two_calls() {
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
                .offset_clock((time - real_time()).whole_seconds());

            assert_eq!(attempts_of_3_calls(&facade).await, [1, 1, 1], "{time}");
        }
    }
    let calls = facade.emulator.calls();
    // The last of February is the end of one and the beginning of another.
    let days = calls
        .iter()
        .map(|call| call.timestamp.unwrap().div_euclid(86_400));
    assert_eq!(days.collect::<std::collections::BTreeSet<_>>().len(), 9);
}

/// Makes three calls, and returns how often upstream was asked for each.
async fn attempts_of_3_calls(facade: &Facade) -> [usize; 3] {
    let mut client = facade.client();
    let mut attempts = [0; 3];
    for attempts in &mut attempts {
        let before = facade.emulator.calls().len();
        client.get_group_info(group("aaa")).await.unwrap();
        *attempts = facade.emulator.calls().len() - before;
    }
    attempts
}

fn real_time() -> UtcDateTime {
    Clock::system().now()
}
