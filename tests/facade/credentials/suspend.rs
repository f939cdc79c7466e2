//! Suspend: with an injected clock, the suspended time counts for cache entries and credentials.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::StatusCode;
use iai_emulator::{Account, Action, Emulator, Fault, FaultKind};
use iai_facade::{
    clock::Clock,
    credentials::{Credentials, ProviderContext},
};
use tokio::time::Instant;

use crate::harness::{
    Facade, cache, credentials, error_info, group,
    raw_upstream::{RawUpstream, read_request, respond},
    settings, start_emulator,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const ROLE: &str = "qcs::cam::uin/1:roleName/iai";

/// Seconds that the machine has been suspended since the start of the test.
#[derive(Clone, Default)]
struct Suspended(Arc<AtomicU64>);

impl Suspended {
    /// Suspends and resumes the machine: the time passes for upstream, for the wall clock and for
    /// the time since boot, but not for timers.
    fn suspend(&self, emulator: &Emulator, duration: Duration) {
        self.0.fetch_add(duration.as_secs(), Ordering::Relaxed);
        emulator.set_clock_offset(self.total().as_secs().cast_signed());
    }

    fn total(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn clock(&self) -> Clock {
        let (system, start) = (Clock::system(), Instant::now());
        let (by_wall, by_boot) = (self.clone(), self.clone());
        Clock::new(move || SystemTime::from(system.now()) + by_wall.total())
            .with_time_since_boot(move || start.elapsed() + by_boot.total())
    }
}

#[tokio::test]
async fn cache_ttls_include_the_time_of_a_suspend() {
    for (suspended, origin) in [
        (59 * MINUTE, "hit"),
        (61 * MINUTE, "stale"),
        (121 * MINUTE, "miss"),
    ] {
        let machine = Suspended::default();
        let flags = ["--cache-ttl", "1h", "--cache-stale-while-revalidate", "1h"];
        let facade = start(&machine, &flags).await;
        let mut client = facade.client();
        client.get_group_info(group("aaa")).await.unwrap();

        machine.suspend(&facade.emulator, suspended);

        let response = client.get_group_info(group("aaa")).await.unwrap();
        let (found, age) = cache(response.metadata());
        assert_eq!(found, origin);
        let expected = if origin == "miss" {
            0
        } else {
            suspended.as_secs()
        };
        assert!((expected..expected + 60).contains(&age), "{age} s");
    }
}

#[tokio::test]
async fn the_stale_if_error_window_includes_the_time_of_a_suspend() {
    let machine = Suspended::default();
    let flags = ["--cache-ttl", "1h", "--cache-stale-if-error", "1h"];
    let plain = ["--max-attempts", "1", "--circuit", "off"];
    let facade = start(&machine, &[&flags[..], &plain].concat()).await;
    let mut client = facade.client();
    client.get_group_info(group("aaa")).await.unwrap();
    let down = Fault::from(FaultKind::status(StatusCode::SERVICE_UNAVAILABLE));
    facade.emulator.script(down.times(2));

    machine.suspend(&facade.emulator, 90 * MINUTE);
    let response = client.get_group_info(group("aaa")).await.unwrap();
    assert_eq!(cache(response.metadata()).0, "stale");
    machine.suspend(&facade.emulator, HOUR);
    let failed = client.get_group_info(group("aaa")).await.unwrap_err();
    assert_eq!(cache(failed.metadata()).0, "miss");
}

#[tokio::test]
async fn a_credential_that_expired_during_a_suspend_is_refreshed_first() {
    for is_instance_role in [false, true] {
        let machine = Suspended::default();
        let emulator = start_emulator().await;
        let (facade, credentials) = start_temporary(&machine, emulator, is_instance_role).await;
        facade.client().get_group_info(group("aaa")).await.unwrap();
        let before = credentials.current().await.unwrap();

        machine.suspend(&facade.emulator, 3 * HOUR);
        facade.client().get_group_info(group("aaa")).await.unwrap();

        let after = credentials.current().await.unwrap();
        assert!(*before != *after);
        // No call was signed with the expired credential, which upstream would have rejected.
        assert_eq!(calls(&facade.emulator), 2);
        assert_eq!(credentials.counters().replaced, 2);
        assert!(credentials.counters().expires_in > Some(HOUR));
    }
}

#[tokio::test]
async fn the_first_call_after_a_suspend_retries_a_failed_credential_source() {
    let machine = Suspended::default();
    let emulator = start_emulator().await;
    let (facade, credentials) = start_temporary(&machine, emulator, false).await;
    let before = credentials.current().await.unwrap();
    let down = Fault::from(FaultKind::status(StatusCode::SERVICE_UNAVAILABLE));
    facade
        .emulator
        .script(down.on(Action::AssumeRole).times(u32::MAX));
    // Old enough that a rejection triggers a request to STS.
    machine.suspend(&facade.emulator, MINUTE);
    assert!(!credentials.renew(&before).await);
    assert!(credentials.failure().is_some());

    facade.emulator.clear_script();
    machine.suspend(&facade.emulator, 3 * HOUR);

    // Immediately, before the refresh task can have woken.
    let after = credentials.current().await.unwrap();
    assert!(*before != *after);
    facade.client().get_group_info(group("aaa")).await.unwrap();
    assert_eq!(calls(&facade.emulator), 1);
}

#[tokio::test]
async fn a_credential_that_expired_during_a_suspend_signs_no_call() {
    let machine = Suspended::default();
    let emulator = start_emulator().await;
    let (facade, _) = start_temporary(&machine, emulator, false).await;
    let down = Fault::from(FaultKind::status(StatusCode::SERVICE_UNAVAILABLE));
    facade
        .emulator
        .script(down.on(Action::AssumeRole).times(u32::MAX));

    machine.suspend(&facade.emulator, 3 * HOUR);

    let failed = facade
        .client()
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();
    assert_eq!(error_info(&failed).reason, "CREDENTIALS_UNAVAILABLE");
    assert_eq!(calls(&facade.emulator), 0);
}

#[tokio::test]
async fn connections_from_before_a_suspend_are_not_used_again() {
    let machine = Suspended::default();
    // Each connection has one response, and is found dead by the next request.
    let upstream = RawUpstream::start(async |stream| {
        let mut stream = respond(stream, response()).await;
        read_request(&mut stream).await;
    });
    let upstream = upstream.await;
    let endpoint = upstream.endpoint();
    let flags = ["--endpoint", &endpoint, "--max-attempts", "1"];
    let emulator = start_emulator().await;
    let facade = Facade::start_at(machine.clock(), credentials(), emulator, &flags).await;
    let mut client = facade.client();
    client.get_group_info(group("aaa")).await.unwrap();

    machine.suspend(&facade.emulator, MINUTE);

    client.get_group_info(group("aaa")).await.unwrap();
}

/// Returns an HTTP response to `GetGroupInfo`.
fn response() -> String {
    let body = r#"{"Response": {"GroupId": "aaa", "GroupName": "a", "GroupExDescriptions": [], "Tag": "",
        "FaceModelVersion": "3.0", "CreationTimestamp": 1, "RequestId": "r"}}"#;
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Starts the service on `machine` with a permanent credential.
async fn start(machine: &Suspended, flags: &[&str]) -> Facade {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();
    let flags = [&["--endpoint", &endpoint], flags].concat();
    Facade::start_at(machine.clock(), credentials(), emulator, &flags).await
}

/// Starts the service on `machine` with temporary credentials of two hours, from an assumed role or
/// from the instance role.
async fn start_temporary(
    machine: &Suspended,
    emulator: Emulator,
    is_instance_role: bool,
) -> (Facade, Credentials) {
    let endpoint = emulator.endpoint();
    let own = if is_instance_role {
        emulator.set_instance_role(Some("iai"));
        ["--metadata-endpoint", &endpoint]
    } else {
        ["--role-arn", ROLE]
    };
    let ours = ["--endpoint", &endpoint, "--sts-endpoint", &endpoint];
    let flags = [&ours[..], &own].concat();
    let settings = settings(&flags);
    let context = ProviderContext::new(move |name| {
        let account = Account::default();
        match name {
            "TENCENTCLOUD_SECRET_ID" if !is_instance_role => Some(account.secret_id().to_owned()),
            "TENCENTCLOUD_SECRET_KEY" if !is_instance_role => Some(account.secret_key().to_owned()),
            _ => None,
        }
    });
    let clock = machine.clock();
    let start = Credentials::start(
        &settings.credentials,
        &settings.upstream,
        context.with_system_profile("/nonexistent".into()),
        clock.clone(),
    );
    let credentials = start.await.unwrap();
    let facade = Facade::start_at(clock, credentials.clone(), emulator, &flags).await;
    (facade, credentials)
}

/// Returns the number of `GetGroupInfo` requests that upstream received.
fn calls(emulator: &Emulator) -> usize {
    let calls = emulator.requests();
    let of_groups = calls.iter().filter(|call| call.action == "GetGroupInfo");
    of_groups.count()
}
