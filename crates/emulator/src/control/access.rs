//! Access to the control API: with a token, for requests that carry it; without one, which is possible on
//! loopback only, for all requests but those of web pages.
//!
//! A browser on this machine also connects from loopback, for any page. A page from a name that now resolves
//! to 127.0.0.1 (DNS rebinding) can send any method and read any response, but its name is still in `Host`
//! and in `Origin`.

use std::net::IpAddr;

use http::{
    header::{HOST, ORIGIN},
    request::Parts,
    uri::Authority,
};

use super::{reply::Rejection, token::Token};

/// Who may use the control API.
#[derive(Debug)]
pub(super) struct Access {
    /// The token that requests must carry, if any.
    token: Option<Token>,
}

impl Access {
    /// Creates the access with a token, or without one on loopback.
    pub(super) fn new(token: Option<Token>) -> Self {
        Self { token }
    }

    /// Checks that a request may use an operation. Operations that are `public` need no token.
    ///
    /// # Errors
    ///
    /// Fails if the request has no token or a wrong one, or comes from a web page.
    pub(super) fn check(&self, head: &Parts, is_public: bool) -> Result<(), Rejection> {
        match &self.token {
            Some(_) if is_public => Ok(()),
            Some(token) => token.check(head),
            None if is_from_web_page(head) => Err(Rejection::forbidden()),
            None => Ok(()),
        }
    }
}

/// Returns whether a browser may have sent a request for a page.
fn is_from_web_page(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none());
    let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let is_loopback = host.is_some_and(|host| is_loopback(&host));
    !is_loopback || head.headers.contains_key(ORIGIN)
}

/// Returns whether a host is a loopback address or `localhost`, with or without a port.
fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    let is_address = address.is_ok_and(|address| address.to_canonical().is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn requests_of_web_pages_are_found_by_host_and_origin() {
        for (headers, expected) in [
            (&[("host", "127.0.0.1:9081")][..], false),
            (&[("host", "localhost")], false),
            (&[("host", "[::1]:9081")], false),
            (&[("host", "rebound.example:9081")], true),
            (&[("host", "127.0.0.1.example")], true),
            (&[("host", "10.0.0.1")], true),
            (&[("host", "localhost"), ("host", "localhost")], true),
            (
                &[("host", "localhost"), ("origin", "https://page.example")],
                true,
            ),
            (&[("host", "localhost"), ("origin", "null")], true),
            (&[], true),
        ] {
            let mut request = Request::get("/v1/groups");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let head = request.body(()).unwrap().into_parts().0;
            assert_eq!(is_from_web_page(&head), expected, "{headers:?}");
            let access = Access::new(None).check(&head, false);
            assert_eq!(access.is_err(), expected);
        }
    }
}
