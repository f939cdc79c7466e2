//! Open-loop load generator: callers that make calls at a constant rate, whether or not earlier calls
//! have completed.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use crate::upstream::GROUPS;

/// One caller: a connection from its own address, which identifies it to the service.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The number of the caller, from 0.
    pub(crate) number: usize,
    /// The address of the service.
    pub(crate) service: SocketAddr,
    /// Calls per second.
    pub(crate) rate: f64,
    /// The deadline of each call.
    pub(crate) timeout: Duration,
}

/// The outcome of one call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The caller's number.
    pub(crate) caller: usize,
    /// The start of the call, since the start of the run.
    pub(crate) at: Duration,
    /// The duration of the call.
    pub(crate) took: Duration,
    /// The reason of the error, and its retry delay.
    pub(crate) error: Option<(String, Option<Duration>)>,
}

impl Outcome {
    /// Returns whether the call succeeded.
    pub(crate) fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    /// Returns whether the call failed for this reason.
    pub(crate) fn is(&self, reason: &str) -> bool {
        self.error.as_ref().is_some_and(|(of, _)| of == reason)
    }
}

/// Runs all callers for `duration`, and returns the outcome of each call.
pub(crate) async fn run(callers: Vec<Caller>, duration: Duration) -> Vec<Outcome> {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for caller in callers {
        running.spawn(caller.run(start, duration));
    }
    running.join_all().await.into_iter().flatten().collect()
}

impl Caller {
    async fn run(self, start: Instant, duration: Duration) -> Vec<Outcome> {
        let client = FaceRecognitionServiceClient::new(self.channel());
        let mut calls = JoinSet::new();
        // A random phase, so that the callers do not call in lockstep.
        let period = Duration::from_secs_f64(1.0 / self.rate);
        let mut ticks = interval_at(start + period.mul_f64(fastrand::f64()), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            let tick = ticks.tick().await;
            if tick >= start + duration {
                break;
            }
            let (caller, client) = (self.clone(), client.clone());
            calls.spawn(async move { caller.call(client, start).await });
        }
        calls.join_all().await
    }

    async fn call(
        &self,
        mut client: FaceRecognitionServiceClient<Channel>,
        run_start: Instant,
    ) -> Outcome {
        let group_id = format!("group-{}", fastrand::usize(..GROUPS));
        let mut request = Request::new(GetGroupInfoRequest { group_id });
        request.set_timeout(self.timeout);
        let start = Instant::now();
        let response = client.get_group_info(request).await;
        Outcome {
            caller: self.number,
            at: start - run_start,
            took: start.elapsed(),
            error: response.err().map(|status| reason_and_delay(&status)),
        }
    }

    /// Returns a channel from the caller's own address. The first call opens the connection.
    pub(crate) fn channel(&self) -> Channel {
        let [high, low] = u16::try_from(self.number).unwrap().to_be_bytes();
        let address = IpAddr::from(Ipv4Addr::new(127, 1, high, low));
        Endpoint::try_from(format!("http://{}", self.service))
            .unwrap()
            .local_address(Some(address))
            .connect_lazy()
    }
}

fn reason_and_delay(status: &Status) -> (String, Option<Duration>) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|error| error.reason.clone());
    let delay = details.retry_info().and_then(|retry| retry.retry_delay);
    (reason.unwrap_or_else(|| status.to_string()), delay)
}
