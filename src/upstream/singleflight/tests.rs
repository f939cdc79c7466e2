//! Panics and cancellation of shared requests.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::*;
use crate::{
    context::{Deadline, Identity},
    credentials::Credential,
    upstream::ApiRequest,
};

fn key() -> Key {
    let credential = Credential::new("id".to_owned(), "key".to_owned(), None).unwrap();
    let request = ApiRequest {
        action: "Act",
        parameters: "{}".into(),
        id: |_| None,
    };
    Key::new(&credential, &request)
}

fn context() -> Context {
    let deadline = Deadline::new(Instant::now(), None, Duration::from_secs(3_600));
    Context::new(deadline, false, Identity::Address([127, 0, 0, 1].into()))
}

async fn panicking() -> Result<ApiResponse, Error> {
    panic!("a bug")
}

#[tokio::test]
async fn a_panicking_request_fails_its_waiters_and_a_later_call_starts_anew() {
    let singleflight = Singleflight::default();
    let waiters = [(); 3].map(|()| {
        let (waiter, unstarted) = singleflight.join(&key(), context());
        if let Some(unstarted) = unstarted {
            unstarted.start(panicking());
        }
        waiter
    });
    assert_eq!(singleflight.count(), (1, 3));

    for waiter in waiters {
        let outcome = timeout(Duration::from_secs(60), waiter.outcome()).await;
        assert!(matches!(
            outcome,
            Ok(Outcome::Completed(Err(Error::Malformed { .. })))
        ));
    }

    assert_eq!(singleflight.count(), (0, 0));
    assert!(singleflight.join(&key(), context()).1.is_some());
}

#[tokio::test]
async fn dropping_singleflight_cancels_requests_in_flight() {
    let singleflight = Singleflight::default();
    let (held, mut dropped) = oneshot::channel::<()>();
    let unstarted = singleflight.join_in_background(&key(), context());
    unstarted.unwrap().start(async move {
        let _held = held;
        std::future::pending().await
    });
    tokio::task::yield_now().await;
    assert!(dropped.try_recv().is_err());

    drop(singleflight);

    let ended = timeout(Duration::from_secs(60), dropped).await;
    assert!(ended.unwrap().is_err());
}
