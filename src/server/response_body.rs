//! Response body: holds the guards of its call, such as the admission permit, until it is sent, and limits
//! the unsent bytes.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tonic::{Status, body::Body};

use super::{
    access_log::Line,
    activity::InProgress,
    stream_executor::{self, Progress},
    usage::{OpenStream, Unsent, Usage},
};
use crate::{context::Context, service::Failure};

/// The initial flow-control window of a stream, in bytes. A larger message may have to wait for the client
/// ([RFC 9113, section 6.9.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2)).
const INITIAL_WINDOW: usize = 65_535;

/// The guards that a call holds until its response is sent.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Counts the call as in progress on its connection.
    #[expect(dead_code, reason = "held to be dropped")]
    pub(super) in_progress: Option<InProgress>,
    /// The admission permit of the call.
    #[expect(dead_code, reason = "held to be dropped")]
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// Counts the call as an open stream, if it holds no permit.
    pub(super) stream: Option<OpenStream>,
}

/// A response body with its guards.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    guards: Option<Guards>,
    /// The resource usage that its messages count for, and the context of its call. `None` if it has no
    /// messages.
    bounds: Option<(Arc<Usage>, Arc<Context>)>,
    /// Completes, with an error, when the last message is sent. `None` if the next frame need not wait for
    /// that.
    sent: Option<oneshot::Receiver<Infallible>>,
    /// The line of its call in the access log, until its message is on its way. Boxed, since hyper moves
    /// the body several times.
    line: Option<Box<Line>>,
}

impl ResponseBody {
    /// Creates a body without guards.
    pub(super) fn unguarded(body: Body) -> Self {
        Self {
            body,
            guards: None,
            bounds: None,
            sent: None,
            line: None,
        }
    }

    /// Creates the body of a call's response, which holds `guards` until it is sent or dropped.
    pub(super) fn guarded(
        body: Body,
        guards: Guards,
        usage: &Arc<Usage>,
        context: Arc<Context>,
    ) -> Self {
        // An error response consists of headers only, and h2 drops its body at once.
        if http_body::Body::is_end_stream(&body) {
            return Self::unguarded(body);
        }
        Self {
            body,
            guards: Some(guards),
            bounds: Some((Arc::clone(usage), context)),
            sent: None,
            line: None,
        }
    }

    /// Writes `line` with the status of the response, which a bound may still replace.
    pub(super) fn logged(self, line: Line) -> Self {
        Self {
            line: Some(Box::new(line)),
            ..self
        }
    }

    /// Returns the frame of a message, or the trailers of an error if the message exceeds a limit.
    fn message(&mut self, bytes: Bytes) -> Frame<Chunk> {
        let unsent = match &self.bounds {
            None => None,
            Some((usage, context)) => match usage.send(bytes.len()) {
                Some(unsent) => Some(unsent),
                None => {
                    let status = Failure::TooManyUnsentBytes.into_status(context);
                    if let Some(line) = self.line.take() {
                        line.close(Some(&status));
                    }
                    let (mut head, body) = status.into_http().into_parts();
                    head.headers.remove(CONTENT_TYPE);
                    self.body = body;
                    return Frame::trailers(head.headers);
                }
            },
        };
        if let Some(line) = self.line.take() {
            line.close(None);
        }
        // Once hyper has the trailers, h2 owns the rest of the response, and only closing the connection ends
        // it. Trailers therefore wait for a large message, so that a stall resets its stream only.
        let sender = (bytes.len() > INITIAL_WINDOW).then(|| {
            let (sender, sent) = oneshot::channel();
            self.sent = Some(sent);
            sender
        });
        let is_streaming = |guards: &Guards| {
            let stream = guards.stream.as_ref();
            stream.is_some_and(OpenStream::is_streaming)
        };
        // A unary response has one message.
        let guards = self.guards.take_if(|guards| !is_streaming(guards));
        stream_executor::record(Progress::Returned);
        Frame::data(Chunk {
            bytes,
            _unsent: unsent,
            _guards: guards,
            _sender: sender,
        })
    }
}

impl http_body::Body for ResponseBody {
    type Data = Chunk;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, Status>>> {
        if let Some(sent) = &mut self.sent {
            let _ = ready!(Pin::new(sent).poll(task));
            self.sent = None;
        }
        stream_executor::record(Progress::Polled);
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(task)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        let frame = match frame.into_data() {
            Ok(bytes) => self.message(bytes),
            Err(frame) => frame.map_data(Chunk::from),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A message of a response. h2 drops it when it is sent or its stream is reset.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    _unsent: Option<Unsent>,
    _guards: Option<Guards>,
    _sender: Option<oneshot::Sender<Infallible>>,
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            _unsent: None,
            _guards: None,
            _sender: None,
        }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
