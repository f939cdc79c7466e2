//! Request headers: access to the API's common parameters, which are sent as headers.

use http::request::Parts;

use super::envelope::ApiError;

/// Returns the value of a header, or `None` if it is absent or not visible ASCII.
pub(super) fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

/// Returns a copy of at most the first [`MAX_LENGTH`] bytes of a text, for storage beyond the request.
pub(super) fn truncated(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_LENGTH)].to_owned()
}

/// Returns the value of a required header.
///
/// # Errors
///
/// Fails with `MissingParameter` and the name of the common parameter that the header carries.
pub(super) fn required<'a>(
    head: &'a Parts,
    name: &str,
    parameter: &str,
) -> Result<&'a str, ApiError> {
    header(head, name).ok_or_else(|| ApiError::missing(parameter))
}

/// Maximum stored length of a header value or path, in bytes.
const MAX_LENGTH: usize = 1 << 10;
