//! Reads a request's body, never more than its bound.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::envelope::Refusal;

/// Reads the body of a request, if the API takes such requests at all.
///
/// A GET has none: whatever follows its headers is left unread.
///
/// # Errors
///
/// `UnsupportedProtocol` for methods other than GET and POST, `InvalidParameter` for another path
/// than `/`, `RequestSizeLimitExceeded` beyond 10 MB, or 32 KB in the query of a GET.
pub(super) async fn read<B>(head: &Parts, body: B) -> Result<Bytes, Unread>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if head.uri.path() != "/" {
        return Err(Refusal::new("InvalidParameter", "The request path must be `/`.").into());
    }
    match head.method {
        Method::GET if head.uri.query().map_or(0, str::len) > MAX_QUERY => Err(too_large()),
        Method::GET => Ok(Bytes::new()),
        Method::POST if body.size_hint().lower() > MAX_BODY as u64 => Err(too_large()),
        Method::POST => collect(body).await,
        _ => Err(Refusal::new(
            "UnsupportedProtocol",
            "The HTTP method is not supported; use GET or POST.",
        )
        .into()),
    }
}

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Unread {
    /// The client stopped sending.
    Lost,
    /// It was not worth reading.
    Refused(Refusal),
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn collect<B>(body: B) -> Result<Bytes, Unread>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    match timeout(READ_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) | Err(_) => Err(Unread::Lost),
    }
}

fn too_large() -> Unread {
    Refusal::new(
        "RequestSizeLimitExceeded",
        "The request exceeds the size limit.",
    )
    .into()
}

const MAX_BODY: usize = 10 * 1024 * 1024;
const MAX_QUERY: usize = 32 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        let body = Full::new(Bytes::from(vec![b'x'; MAX_BODY]));
        assert_eq!(
            read(&head("POST", "/"), body).await.unwrap().len(),
            MAX_BODY
        );
    }

    #[tokio::test]
    async fn requests_the_api_does_not_take_are_refused() {
        let long = format!("/?{}", "x".repeat(MAX_QUERY + 1));
        let cases = [
            ("POST", "/", MAX_BODY + 1, "RequestSizeLimitExceeded"),
            ("GET", long.as_str(), 0, "RequestSizeLimitExceeded"),
            ("POST", "/v3", 0, "InvalidParameter"),
            ("PUT", "/", 0, "UnsupportedProtocol"),
        ];
        for (method, target, size, code) in cases {
            let body = Full::new(Bytes::from(vec![b'x'; size]));
            match read(&head(method, target), body).await {
                Err(Unread::Refused(refusal)) => assert_eq!(refusal.code, code),
                other => panic!("{method}: {other:?}"),
            }
        }
    }

    fn head(method: &str, target: &str) -> Parts {
        Request::builder()
            .method(method)
            .uri(target)
            .body(())
            .unwrap()
            .into_parts()
            .0
    }
}
