//! Loopback guard: restricts those routes of the admin port that show or change state to clients on
//! this machine, and rejects requests that web pages send.
//!
//! A browser on this machine also connects from loopback, for any page. A page from a name that now
//! resolves to 127.0.0.1 (DNS rebinding) can send any method and read any response, but its name is
//! still in `Host` and in `Origin`.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Extension,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Forwards requests from loopback to loopback, and rejects others with 403, or with 400 if they have
/// no `Host`.
///
/// Each request must have the peer's [`SocketAddr`] as an extension.
pub(super) async fn require_loopback(
    Extension(peer): Extension<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match check(peer, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(rejection) => rejection.into_response(),
    }
}

fn check(
    peer: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, &'static str)> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err((
            StatusCode::FORBIDDEN,
            "this page is available from loopback only\n",
        ));
    }
    let Some(host) = single(headers, HOST) else {
        return Err((StatusCode::BAD_REQUEST, "one Host header is required\n"));
    };
    // An absolute request target overrides the Host header (RFC 9112, section 3.2.2).
    let is_target_loopback = uri.authority().is_none_or(is_loopback);
    if !is_target_loopback || !is_loopback_text(host.as_bytes()) {
        let message = "this page is available for the hosts localhost, 127.0.0.1 and [::1] only\n";
        return Err((StatusCode::FORBIDDEN, message));
    }
    if headers.contains_key(ORIGIN) && !single(headers, ORIGIN).is_some_and(is_loopback_origin) {
        let message = "this page is not available to web pages of other origins\n";
        return Err((StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

/// Returns the value of a header that occurs exactly once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns whether an origin is on this machine.
fn is_loopback_origin(origin: &HeaderValue) -> bool {
    let origin = origin.as_bytes();
    let host = [&b"http://"[..], b"https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme));
    host.is_some_and(is_loopback_text)
}

fn is_loopback_text(host: &[u8]) -> bool {
    Authority::try_from(host).is_ok_and(|authority| is_loopback(&authority))
}

/// Returns whether a host, with or without a port, is a loopback address or `localhost`, which external
/// resolvers must not resolve (RFC 6761, section 6.3).
fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_address = address
        .parse()
        .is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    let has_user = authority.as_str().contains('@');
    !has_user && (is_address || host.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:1";

    #[test]
    fn only_loopback_addresses_are_admitted() {
        for peer in [LOOPBACK, "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(status(peer, "/", &[("host", "localhost")]), None, "{peer}");
        }
        for peer in [
            "10.0.0.1:1",
            "[::ffff:10.0.0.1]:1",
            "[fe80::1]:1",
            "0.0.0.0:1",
        ] {
            assert_eq!(
                status(peer, "/", &[("host", "localhost")]),
                Some(403),
                "{peer}"
            );
        }
    }

    #[test]
    fn a_host_is_loopback_by_its_address_or_as_localhost() {
        let hosts = [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1",
            "127.0.0.1:9464",
            "127.255.0.1:80",
            "[::1]",
            "[::1]:9464",
            "[::ffff:127.0.0.1]:1",
        ];
        for host in hosts {
            assert_eq!(status(LOOPBACK, "/", &[("host", host)]), None, "{host}");
        }
        let others = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "evil.example:9464",
            "10.0.0.1",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "0.0.0.0",
            "[::]",
            "127.1",
            "0x7f000001",
            "2130706433",
            "localhost, evil.example",
            "localhost/evil.example",
            "localhost evil.example",
            "é",
        ];
        for host in others {
            assert_eq!(
                status(LOOPBACK, "/", &[("host", host)]),
                Some(403),
                "{host}"
            );
        }
    }

    #[test]
    fn exactly_one_host_header_is_required() {
        assert_eq!(status(LOOPBACK, "/", &[]), Some(400));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(status(LOOPBACK, "/", &twice), Some(400));
    }

    #[test]
    fn the_host_of_an_absolute_target_must_be_loopback() {
        let host = [("host", "localhost")];
        assert_eq!(
            status(LOOPBACK, "http://127.0.0.1:9464/log-level", &host),
            None
        );
        assert_eq!(
            status(LOOPBACK, "http://evil.example/log-level", &host),
            Some(403)
        );
        let evil = [("host", "evil.example")];
        assert_eq!(
            status(LOOPBACK, "http://127.0.0.1:9464/log-level", &evil),
            Some(403)
        );
    }

    #[test]
    fn the_origin_of_a_request_must_be_loopback() {
        let origins = [
            ("http://localhost:3000", None),
            ("https://[::1]", None),
            ("http://evil.example", Some(403)),
            ("http://localhost.evil.example", Some(403)),
            ("null", Some(403)),
            ("", Some(403)),
        ];
        for (origin, expected) in origins {
            let headers = [("host", "localhost"), ("origin", origin)];
            assert_eq!(status(LOOPBACK, "/", &headers), expected, "{origin}");
        }
    }

    /// Returns the status with which a request is rejected.
    fn status(peer: &str, target: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let checked = check(peer.parse().unwrap(), &target.parse().unwrap(), &map);
        checked.err().map(|(status, _)| status.as_u16())
    }
}
