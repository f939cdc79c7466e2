//! Blocking reads of credential files, off the threads that serve calls.

use tokio::task;

use super::provider::ProviderError;

/// Runs a function that reads files on a blocking thread. If the future is dropped, the function still
/// runs to its end; the time of a read is bounded.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    let outcome = task::spawn_blocking(read).await;
    outcome.unwrap_or_else(|error| Err(ProviderError::Invalid(error.to_string())))
}
