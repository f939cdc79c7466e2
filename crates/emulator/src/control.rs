//! Control API: lets tests seed, reset, break and inspect a running emulator over HTTP, on an address of
//! its own. `openapi.json` describes it and `routes` lists its operations. A request is authenticated,
//! routed, read, and handled by the file of its resource. Every operation on a world exists twice: for the
//! main world, and below `/v1/worlds/{secret_id}` for an isolated one.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use self::{
    access::Access, body::LargeBodies, call::Call, query::Query, reply::Rejection, routes::Handle,
    token::Token,
};
use super::worlds::Worlds;

mod access;
mod body;
mod call;
mod clock;
mod faults;
mod groups;
mod isolated_worlds;
mod items;
mod persons;
mod program;
mod query;
mod rate_limit;
mod reply;
mod requests;
mod reset;
mod routes;
mod time;
pub(super) mod token;

/// Handles the requests to the control API.
#[derive(Debug)]
pub(super) struct Control {
    worlds: Arc<Worlds>,
    access: Access,
    large_bodies: LargeBodies,
}

impl Control {
    /// Creates the control API of these worlds. With a token, requests must carry it; without
    /// one, requests of web pages are rejected.
    pub(super) fn new(worlds: Arc<Worlds>, token: Option<Token>) -> Self {
        Self {
            worlds,
            access: Access::new(token),
            large_bodies: LargeBodies::default(),
        }
    }

    /// Serves a connection until it closes.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let handler = service_fn(move |request| {
            let control = Arc::clone(&self);
            async move { Ok::<_, Infallible>(control.respond(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), handler);
        if let Err(error) = connection.await {
            tracing::trace!(error.message = %error, "control connection failed");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method().clone();
        let response = match self.handle(request).await {
            Ok(reply) => reply.into_response(),
            Err(rejection) => rejection.into_response(),
        };
        tracing::debug!(%method, status = response.status().as_u16(), "control request");
        response
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<reply::Reply, Rejection> {
        let (head, body) = request.into_parts();
        let segments = routes::segments(head.uri.path())?;
        self.access.check(&head, routes::is_public(&segments))?;
        let route = routes::find(head.method.as_str(), &segments)?;
        let world = match route.world {
            None => Arc::clone(self.worlds.main()),
            Some(secret_id) => {
                let world = self.worlds.isolated(secret_id);
                world.ok_or_else(|| isolated_worlds::absent(secret_id))?
            }
        };
        let query = Query::parse(head.uri.query(), route.operation.query)?;
        let body = body::read(&head, body, &self.large_bodies).await?;
        let call = Call {
            worlds: &self.worlds,
            world: &world,
            id: route.id,
            query,
            body,
        };
        match route.operation.handle {
            Handle::AtOnce(handle) => handle(&call),
            Handle::Wait => requests::wait(&call).await,
        }
    }
}

/// Idle timeout between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum size of the request line and headers together, in bytes. Larger requests receive status 431.
const MAX_HEADER_BYTES: usize = 16 << 10;
