//! Connection counter: counts the connections that the HTTP client opens to upstream.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tower::{Layer, Service};

/// A counter of connections. Clones share it. As a layer of the HTTP client's connector, it sees new
/// connections and not the requests on them. It does not see when they close.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    opened: AtomicU64,
    failed: AtomicU64,
}

impl ConnectionCounter {
    /// Returns the number of connections that were opened, and of those that could not be opened.
    pub(super) fn counts(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.0.opened), load(&self.0.failed))
    }
}

impl<S> Layer<S> for ConnectionCounter {
    type Service = CountingConnector<S>;

    fn layer(&self, connector: S) -> Self::Service {
        CountingConnector {
            connector,
            counter: self.clone(),
        }
    }
}

/// A connector whose connections are counted.
#[derive(Clone, Debug)]
pub(super) struct CountingConnector<S> {
    connector: S,
    counter: ConnectionCounter,
}

impl<S, R> Service<R> for CountingConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.connector.call(request);
        let counter = self.counter.clone();
        Box::pin(async move {
            let connected = connecting.await;
            let count = match connected {
                Ok(_) => &counter.0.opened,
                Err(_) => &counter.0.failed,
            };
            count.fetch_add(1, Ordering::Relaxed);
            connected
        })
    }
}
