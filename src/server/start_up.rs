//! What has to come about before the service should be called.

use std::{future::ready, time::Duration};

use tokio::task::JoinSet;

use super::readiness::Readiness;
use crate::{service::verification, upstream::Client};

/// The pauses between calls that upstream does not accept: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Tells `readiness` that there is a credential, and, if it waits for that, that upstream accepts
/// it, as soon as it does.
pub(super) async fn latch(client: Client, readiness: Readiness, max_call_time: Duration) {
    client.credentials().obtained().await;
    readiness.set_credential_obtained();

    let mut pause = FIRST_PAUSE;
    while readiness.awaits_verification() {
        match verification::verify(&client, max_call_time).await {
            Ok(()) => {
                tracing::info!("upstream accepts the credential");
                readiness.set_verified();
            }
            Err(reason) => {
                tracing::warn!(reason, "upstream has not accepted the credential");
                readiness.set_unverified(reason);
                tokio::time::sleep(pause.mul_f64(1.0 - 0.5 * fastrand::f64())).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// Begins with `latches`, and returns what goes on with them until it is dropped. Where nothing has
/// to be waited for, nobody sees the service unready.
pub(super) async fn begin(latches: impl Future<Output = ()> + Send + 'static) -> JoinSet<()> {
    let mut latches = Box::pin(latches);
    let mut task = JoinSet::new();
    tokio::select! {
        biased;
        () = &mut latches => {}
        () = ready(()) => {
            task.spawn(latches);
        }
    }
    task
}
