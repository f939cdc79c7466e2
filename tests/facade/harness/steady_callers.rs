//! Continuous load: callers that send calls while a test rotates certificates or tokens.

use std::net::SocketAddr;

use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use tokio::{sync::watch, task::JoinSet};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use crate::harness::{
    authority::{Authority, Issued},
    bearer_tokens::with_token,
    tls_client::tls,
};

/// Callers that send calls without a pause until one fails. Half of them reuse a connection, the
/// others open one for each call.
pub(crate) struct Load {
    callers: JoinSet<Result<(), Code>>,
    progress: Vec<watch::Receiver<u64>>,
    token: watch::Sender<&'static str>,
    is_ended: watch::Sender<bool>,
}

impl Load {
    const CALLERS: usize = 6;

    pub(crate) fn start(
        address: SocketAddr,
        authority: &Authority,
        shown: &Issued,
        first: &'static str,
    ) -> Self {
        let (token, tokens) = watch::channel(first);
        let (is_ended, end) = watch::channel(false);
        let mut load = Self {
            callers: JoinSet::new(),
            progress: Vec::new(),
            token,
            is_ended,
        };
        for number in 0..Self::CALLERS {
            let new = connector(address, authority, shown);
            let (counted, progress) = watch::channel(0);
            let (tokens, end) = (tokens.clone(), end.clone());
            load.progress.push(progress);
            load.callers.spawn(async move {
                let mut channel = new();
                while !*end.borrow() {
                    if number % 2 == 0 {
                        channel = new();
                    }
                    let token = *tokens.borrow();
                    call(channel.clone(), token).await?;
                    counted.send_modify(|calls| *calls += 1);
                }
                Ok(())
            });
        }
        load
    }

    /// Waits until every caller has completed another call.
    pub(crate) async fn goes_on(&self) {
        for progress in &self.progress {
            let mut progress = progress.clone();
            let enough = *progress.borrow() + 2;
            let went_on = progress.wait_for(|calls| *calls >= enough).await;
            went_on.expect("no call fails");
        }
    }

    /// Makes all callers send another token from their next call on.
    pub(crate) fn use_token(&self, token: &'static str) {
        self.token.send_replace(token);
    }

    /// Stops the load and checks that no call failed.
    pub(crate) async fn end(self) {
        self.is_ended.send_replace(true);
        let callers = self.callers.join_all().await;
        assert_eq!(callers, [Ok(()); Self::CALLERS]);
    }
}

/// Returns a function that opens connections.
fn connector(
    address: SocketAddr,
    authority: &Authority,
    shown: &Issued,
) -> impl Fn() -> Channel + Send + use<> {
    let tls = tls(authority, Some(shown));
    move || {
        let endpoint = Endpoint::try_from(format!("https://{address}")).unwrap();
        endpoint.tls_config(tls.clone()).unwrap().connect_lazy()
    }
}

/// Sends one call with a token.
pub(crate) async fn call(channel: Channel, token: &str) -> Result<(), Code> {
    let mut client = FaceRecognitionServiceClient::new(channel);
    let response = client.get_group_info(with_token(token)).await;
    response.map(drop).map_err(|status| {
        assert!(!format!("{status:?}").contains(token));
        status.code()
    })
}
