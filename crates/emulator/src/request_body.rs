//! Request body limit: reads the body of a request up to the API's maximum size.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{sync::Semaphore, time::timeout};

use super::envelope::ApiError;

/// Reads the body of a request, if the API accepts its method and path.
///
/// A GET has no body: bytes after its headers are not read. A body larger than 64 KiB, or of unknown
/// length, waits for a permit of `large_bodies`.
///
/// # Errors
///
/// Fails with `UnsupportedProtocol` for methods other than GET and POST, `InvalidParameter` for paths
/// other than `/`, and `RequestSizeLimitExceeded` if a body exceeds 10 MiB or the query of a GET
/// 32 KiB. Fails with [`BodyError::Disconnected`] if the body does not arrive within 60 seconds.
pub(super) async fn read<B>(
    head: &Parts,
    body: B,
    large_bodies: &Semaphore,
) -> Result<Bytes, BodyError>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if head.uri.path() != "/" {
        return Err(ApiError::new("InvalidParameter", "The request path must be `/`.").into());
    }
    match head.method {
        Method::GET if head.uri.query().map_or(0, str::len) > MAX_QUERY => Err(too_large()),
        Method::GET => Ok(Bytes::new()),
        Method::POST if body.size_hint().lower() > MAX_BODY as u64 => Err(too_large()),
        Method::POST => collect(body, large_bodies).await,
        _ => Err(ApiError::new(
            "UnsupportedProtocol",
            "The HTTP method is not supported; use GET or POST.",
        )
        .into()),
    }
}

/// Why a body could not be read.
#[derive(Debug)]
pub(super) enum BodyError {
    /// The client stopped sending.
    Disconnected,
    /// The API rejects the request.
    Api(ApiError),
}

impl From<ApiError> for BodyError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

async fn collect<B>(body: B, large_bodies: &Semaphore) -> Result<Bytes, BodyError>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let is_large = body
        .size_hint()
        .upper()
        .is_none_or(|size| size > SMALL_BODY);
    let read = async {
        let _permit = match is_large {
            true => large_bodies.acquire().await.ok(),
            false => None,
        };
        Limited::new(body, MAX_BODY).collect().await
    };
    match timeout(READ_TIMEOUT, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) | Err(_) => Err(BodyError::Disconnected),
    }
}

fn too_large() -> BodyError {
    ApiError::new(
        "RequestSizeLimitExceeded",
        "The request exceeds the size limit.",
    )
    .into()
}

/// Maximum size of a body that is read without a permit, in bytes.
const SMALL_BODY: u64 = 64 << 10;

const MAX_BODY: usize = 10 * 1024 * 1024;
const MAX_QUERY: usize = 32 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_of_the_maximum_size_is_read() {
        let body = Full::new(Bytes::from(vec![b'x'; MAX_BODY]));
        assert_eq!(
            read(&head("POST", "/"), body, &Semaphore::new(1))
                .await
                .unwrap()
                .len(),
            MAX_BODY
        );
    }

    #[tokio::test]
    async fn requests_that_the_api_does_not_accept_are_rejected() {
        let long = format!("/?{}", "x".repeat(MAX_QUERY + 1));
        let cases = [
            ("POST", "/", MAX_BODY + 1, "RequestSizeLimitExceeded"),
            ("GET", long.as_str(), 0, "RequestSizeLimitExceeded"),
            ("POST", "/v3", 0, "InvalidParameter"),
            ("PUT", "/", 0, "UnsupportedProtocol"),
        ];
        for (method, target, size, code) in cases {
            let body = Full::new(Bytes::from(vec![b'x'; size]));
            match read(&head(method, target), body, &Semaphore::new(1)).await {
                Err(BodyError::Api(error)) => assert_eq!(error.code, code),
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
