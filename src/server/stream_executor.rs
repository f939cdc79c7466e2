//! Stream executor: runs each HTTP/2 stream as a task, and resets a stream whose response stalls, without
//! affecting the other streams of its connection.
//!
//! hyper holds a response message while the client's flow-control window is full, and polls the body for
//! the next message once h2 has accepted this one. Meanwhile only the executor, which polls the stream,
//! can end it: dropping the future resets the stream.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

/// Maximum time for which a response message may wait for the client's flow-control window.
const MAX_STALL: Duration = Duration::from_secs(10);

thread_local! {
    /// The last progress of the current stream's body during this poll.
    static PROGRESS: Cell<Option<Progress>> = const { Cell::new(None) };
}

/// Progress of a response body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// It was polled for a message: h2 has accepted the previous ones.
    Polled,
    /// It returned a message.
    Returned,
}

/// Records the progress of the stream that is currently polled.
pub(super) fn record(progress: Progress) {
    PROGRESS.set(Some(progress));
}

/// An executor that runs each stream as a task, which ends when its response stalls.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(StallTimeout {
            stream,
            stall: None,
        });
    }
}

pin_project! {
    /// A stream that ends when its response stalls.
    ///
    /// Not an `async` block, whose future would contain the stream twice: captured and pinned.
    struct StallTimeout<F> {
        #[pin]
        stream: F,
        stall: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for StallTimeout<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        PROGRESS.set(None);
        if this.stream.poll(task).is_ready() {
            return Poll::Ready(());
        }
        match PROGRESS.get() {
            None => {}
            Some(Progress::Polled) => *this.stall = None,
            Some(Progress::Returned) => *this.stall = Some(Box::pin(sleep(MAX_STALL))),
        }
        match this.stall {
            None => Poll::Pending,
            Some(stall) => stall.as_mut().poll(task),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, time::Instant};

    use super::*;

    /// Runs a stream whose body makes this progress, one step per second, and then none. Returns the number
    /// of seconds after which the stream was ended.
    async fn lifetime(progress: &'static [Progress]) -> u64 {
        let (sender, ended) = oneshot::channel::<()>();
        let start = Instant::now();
        StreamExecutor.execute(async move {
            let _sender = sender;
            for progress in progress {
                sleep(Duration::from_secs(1)).await;
                record(*progress);
            }
            sleep(Duration::from_secs(100)).await;
        });
        ended.await.unwrap_err();
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_its_last_message_stalls() {
        use Progress::{Polled, Returned};

        assert_eq!(lifetime(&[Polled, Returned]).await, 2 + 10);
        // Each message restarts the timeout.
        assert_eq!(lifetime(&[Returned; 30]).await, 30 + 10);
        // A stream that waits for the service has no timeout.
        assert_eq!(lifetime(&[Returned, Polled]).await, 2 + 100);
        assert_eq!(lifetime(&[]).await, 100);
    }
}
