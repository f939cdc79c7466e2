//! Startup: waits for the conditions of readiness that depend on credentials and upstream.

use std::{future::ready, time::Duration};

use tokio::task::JoinSet;

use super::readiness::Readiness;
use crate::{service::verification, upstream::Client};

/// The initial and the maximum backoff between verification requests.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Sets the conditions of `readiness`: that a credential was obtained, and, if required, that upstream
/// accepts it. Returns when they are met.
pub(super) async fn set_conditions(client: Client, readiness: Readiness, max_call_time: Duration) {
    client.credentials().obtained().await;
    readiness.set_credential_obtained();

    let mut pause = FIRST_PAUSE;
    while readiness.awaits_verification() {
        match verification::verify(&client, max_call_time).await {
            Ok(()) => {
                tracing::info!("credential verified by upstream");
                readiness.set_verified();
            }
            Err(reason) => {
                tracing::warn!(error.message = reason, "credential verification failed");
                readiness.set_unverified(reason);
                tokio::time::sleep(pause.mul_f64(1.0 - 0.5 * fastrand::f64())).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// Polls `conditions` once, and spawns it if it is still pending; dropping the returned set aborts it.
/// Conditions that are met immediately are therefore set before the server accepts connections.
pub(super) async fn spawn_pending(
    conditions: impl Future<Output = ()> + Send + 'static,
) -> JoinSet<()> {
    let mut conditions = Box::pin(conditions);
    let mut task = JoinSet::new();
    tokio::select! {
        biased;
        () = &mut conditions => {}
        () = ready(()) => {
            task.spawn(conditions);
        }
    }
    task
}
