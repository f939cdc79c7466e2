//! Callers that ask at a steady rate, whatever becomes of what they asked before.

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

/// One caller: a connection from an address of its own, by which it is known.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Which of the callers it is, from 0 on.
    pub(crate) number: usize,
    /// The service that it calls.
    pub(crate) service: SocketAddr,
    /// How often it calls, each second.
    pub(crate) rate: f64,
    /// How long it waits for an answer.
    pub(crate) timeout: Duration,
}

/// What became of one call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The caller's number.
    pub(crate) caller: usize,
    /// When it was made, counted from the beginning.
    pub(crate) at: Duration,
    /// How long the answer took.
    pub(crate) took: Duration,
    /// The reason of the error, and the delay that it asks for.
    pub(crate) error: Option<(String, Option<Duration>)>,
}

impl Outcome {
    /// Tells whether the call succeeded.
    pub(crate) fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    /// Tells whether the call failed for this reason.
    pub(crate) fn is(&self, reason: &str) -> bool {
        self.error.as_ref().is_some_and(|(of, _)| of == reason)
    }
}

/// Lets all of them call for so long, and returns what became of each call.
pub(crate) async fn run(callers: Vec<Caller>, duration: Duration) -> Vec<Outcome> {
    let beginning = Instant::now();
    let mut running = JoinSet::new();
    for caller in callers {
        running.spawn(caller.run(beginning, duration));
    }
    running.join_all().await.into_iter().flatten().collect()
}

impl Caller {
    async fn run(self, beginning: Instant, duration: Duration) -> Vec<Outcome> {
        let client = FaceRecognitionServiceClient::new(self.channel());
        let mut calls = JoinSet::new();
        // Each begins at a moment of its own, so that they do not call all at once.
        let period = Duration::from_secs_f64(1.0 / self.rate);
        let mut ticks = interval_at(beginning + period.mul_f64(fastrand::f64()), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            let tick = ticks.tick().await;
            if tick >= beginning + duration {
                break;
            }
            let (caller, client) = (self.clone(), client.clone());
            calls.spawn(async move { caller.call(client, beginning).await });
        }
        calls.join_all().await
    }

    async fn call(
        &self,
        mut client: FaceRecognitionServiceClient<Channel>,
        beginning: Instant,
    ) -> Outcome {
        let group_id = format!("group-{}", fastrand::usize(..GROUPS));
        let mut request = Request::new(GetGroupInfoRequest { group_id });
        request.set_timeout(self.timeout);
        let start = Instant::now();
        let answer = client.get_group_info(request).await;
        Outcome {
            caller: self.number,
            at: start - beginning,
            took: start.elapsed(),
            error: answer.err().map(|status| described(&status)),
        }
    }

    /// Returns a connection from the caller's own address, which the first call opens.
    pub(crate) fn channel(&self) -> Channel {
        let [high, low] = u16::try_from(self.number).unwrap().to_be_bytes();
        let address = IpAddr::from(Ipv4Addr::new(127, 1, high, low));
        Endpoint::try_from(format!("http://{}", self.service))
            .unwrap()
            .local_address(Some(address))
            .connect_lazy()
    }
}

fn described(status: &Status) -> (String, Option<Duration>) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|error| error.reason.clone());
    let delay = details.retry_info().and_then(|retry| retry.retry_delay);
    (reason.unwrap_or_else(|| status.to_string()), delay)
}
