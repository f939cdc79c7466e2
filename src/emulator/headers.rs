//! Reads a request's headers, in which the API carries its common parameters.

use http::request::Parts;

use super::envelope::Refusal;

/// Returns a header's value; `None` if it is absent or not printable ASCII.
pub(super) fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

/// Returns the value of a header that must be there.
///
/// # Errors
///
/// `MissingParameter`, naming the common parameter that the header carries.
pub(super) fn required<'a>(
    head: &'a Parts,
    name: &str,
    parameter: &str,
) -> Result<&'a str, Refusal> {
    header(head, name).ok_or_else(|| Refusal::missing(parameter))
}
