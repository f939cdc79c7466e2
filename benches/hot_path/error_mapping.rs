//! What an error costs, from a failure to the head of the response that tells of it.
//!
//! The baseline is the same way for a status of a code and a message, without details.

use std::hint::black_box;

use http::Response;
use iai_facade::{service::Failure, upstream::Error};

use crate::data::{CONTEXT, INVALID, REFUSAL};

/// Upstream has no such group: NOT_FOUND, and says so in every detail that fits.
#[divan::bench]
#[inline(never)]
fn refusal() -> Response<()> {
    let failure = Failure::Upstream(Error::Refused(REFUSAL.clone()));
    failure.into_status(black_box(&CONTEXT)).into_http()
}

/// The service itself objects to three fields: INVALID_ARGUMENT.
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

    use crate::data::REFUSAL;

    #[divan::bench]
    #[inline(never)]
    fn refusal() -> Response<()> {
        Status::not_found(black_box(REFUSAL.message.as_str())).into_http()
    }
}
