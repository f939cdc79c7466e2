//! What becomes of a flight that cannot end as it should.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::*;
use crate::{
    credentials::Credential,
    deadline::Deadline,
    identity::Identity,
    upstream::{Call, Meaning},
};

fn key() -> Key {
    let credential = Credential::new("id".to_owned(), "key".to_owned(), None).unwrap();
    let call = Call {
        action: "Act",
        parameters: "{}".into(),
        meaning: |_| Meaning::Answer,
    };
    Key::new(&credential, &call)
}

fn context() -> Context {
    let deadline = Deadline::new(Instant::now(), None, Duration::from_secs(3_600));
    Context::new(deadline, false, Identity::Address([127, 0, 0, 1].into()))
}

async fn panicking(_: Arc<Context>) -> Result<Reply, Error> {
    panic!("a fault of ours")
}

#[tokio::test]
async fn a_flight_that_panics_fails_those_who_wait_and_is_followed_by_another() {
    let flights = Flights::default();
    let seats = [(); 3].map(|()| flights.board(&key(), context, panicking));
    assert_eq!(flights.count(), (1, 3));

    for seat in seats {
        let landing = timeout(Duration::from_secs(60), seat.landing()).await;
        assert!(matches!(
            landing,
            Ok(Landing::Answered(Err(Error::Malformed { .. })))
        ));
    }

    assert_eq!(flights.count(), (0, 0));
    assert!(flights.board(&key(), context, panicking).is_first());
}

#[tokio::test]
async fn what_is_in_progress_ends_with_the_flights() {
    let flights = Flights::default();
    let (held, mut dropped) = oneshot::channel::<()>();
    flights.depart(&key(), context, |_| async move {
        let _held = held;
        std::future::pending().await
    });
    tokio::task::yield_now().await;
    assert!(dropped.try_recv().is_err());

    drop(flights);

    let ended = timeout(Duration::from_secs(60), dropped).await;
    assert!(ended.unwrap().is_err());
}
