//! Mapping a failure to a status with details, and encoding it into response headers.
//!
//! The baseline encodes a status with code and message, without details.

use std::hint::black_box;

use http::Response;
use iai_facade::{service::Failure, upstream::Error};

use crate::data::{API_ERROR, CONTEXT, INVALID};

/// Upstream has no such group: NOT_FOUND with all details.
#[divan::bench]
#[inline(never)]
fn api_error() -> Response<()> {
    let failure = Failure::Upstream(Error::Api(API_ERROR.clone()));
    failure.into_status(black_box(&CONTEXT)).into_http()
}

/// Three fields of the request are invalid: INVALID_ARGUMENT.
#[divan::bench]
#[inline(never)]
fn invalid_request() -> Response<()> {
    let failure = Failure::InvalidRequest(INVALID.clone());
    failure.into_status(black_box(&CONTEXT)).into_http()
}

mod baseline {
    use std::hint::black_box;

    use http::Response;
    use tonic::Status;

    use crate::data::API_ERROR;

    #[divan::bench]
    #[inline(never)]
    fn api_error() -> Response<()> {
        Status::not_found(black_box(API_ERROR.message.as_str())).into_http()
    }
}
