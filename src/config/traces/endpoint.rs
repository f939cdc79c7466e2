//! The endpoint of the collector and its protocol.

use http::Uri;

use super::{super::Invalid, values::switch, variables::Variables};

/// A protocol of OTLP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, with messages of protobuf.
    Http,
}

impl Protocol {
    /// The value of `OTEL_EXPORTER_OTLP_PROTOCOL`.
    fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        }
    }

    /// The port that collectors listen on by default.
    fn port(self) -> u16 {
        match self {
            Self::Grpc => 4317,
            Self::Http => 4318,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Grpc => Self::Http,
            Self::Http => Self::Grpc,
        }
    }
}

/// Returns the protocol and the URL of the collector. Without a protocol, that of the port counts, or else the
/// default of the specification.
pub(super) fn endpoint(variables: &mut Variables<'_>) -> Result<(Protocol, String), Invalid> {
    let given = variables.otlp_value("ENDPOINT");
    let port = given.as_ref().and_then(|(_, text)| port(text));
    let default = match port {
        Some(4317) => Protocol::Grpc,
        _ => Protocol::Http,
    };
    let protocol = variables.otlp("PROTOCOL", default.name(), protocol);
    let is_insecure = variables.otlp("INSECURE", "false", switch);
    let (protocol, is_insecure) = (protocol?, is_insecure?);
    let Some((name, text)) = given else {
        let url = format!("http://localhost:{}", protocol.port());
        return Ok((protocol, with_path(protocol, url, false)));
    };
    let is_whole = name.contains("_TRACES_");
    let url = url(&text, protocol, is_insecure).map(|url| with_path(protocol, url, is_whole));
    match url {
        Ok(url) => Ok((protocol, url)),
        Err(problem) => variables.reject_otlp("ENDPOINT", problem),
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    let mut known = [Protocol::Grpc, Protocol::Http].into_iter();
    known
        .find(|it| it.name() == text)
        .ok_or_else(|| format!("`{text}` is not supported: only grpc and http/protobuf are"))
}

fn port(text: &str) -> Option<u16> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}

/// Returns the URL of an endpoint, which may have no scheme, without a slash at its end.
fn url(text: &str, protocol: Protocol, is_insecure: bool) -> Result<String, String> {
    let text = match text.contains("://") {
        true => text.to_owned(),
        false if is_insecure => format!("http://{text}"),
        false => format!("https://{text}"),
    };
    let problem = "is not a URL such as http://collector:4318 or https://collector:4317";
    let uri: Uri = text.parse().map_err(|_| problem.to_owned())?;
    let authority = uri.authority().filter(|it| !it.host().is_empty());
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let (Some(authority), true, None) = (authority, is_http, uri.query()) else {
        return Err(problem.to_owned());
    };
    if authority.as_str().contains('@') {
        return Err(
            "has credentials, which are no part of it: set OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
        );
    }
    let other = protocol.other();
    if authority.port_u16() == Some(other.port()) {
        return Err(format!(
            "has port {}, that of {}, but the protocol is {}: set OTEL_EXPORTER_OTLP_PROTOCOL={} or port {}",
            other.port(),
            other.name(),
            protocol.name(),
            other.name(),
            protocol.port(),
        ));
    }
    if protocol == Protocol::Grpc && !matches!(uri.path(), "" | "/") {
        return Err(format!("has the path {}, but gRPC has none", uri.path()));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Appends the path of traces, unless the URL is that of traces already.
fn with_path(protocol: Protocol, url: String, is_whole: bool) -> String {
    match protocol {
        Protocol::Http if !is_whole => format!("{url}/v1/traces"),
        Protocol::Http | Protocol::Grpc => url,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{super::super::Problems, *};

    fn checked(variables: &[(&str, &str)]) -> Result<(Protocol, String), Problems> {
        let set: HashMap<_, _> = variables.iter().copied().collect();
        let variable = |name: &str| {
            let name = name.strip_prefix("OTEL_EXPORTER_OTLP_").unwrap();
            set.get(name).map(|value| (*value).to_owned())
        };
        let mut problems = Problems::default();
        let found = endpoint(&mut Variables::new(&variable, &mut problems));
        problems.into_result(found)
    }

    #[test]
    fn the_protocol_follows_from_the_port_and_the_scheme_from_insecure() {
        let (grpc, http) = (Protocol::Grpc, Protocol::Http);
        for (variables, protocol, url) in [
            (&[][..], http, "http://localhost:4318/v1/traces"),
            (&[("PROTOCOL", "grpc")], grpc, "http://localhost:4317"),
            (&[("ENDPOINT", "http://c:4317")], grpc, "http://c:4317"),
            (&[("ENDPOINT", "http://c:4317/")], grpc, "http://c:4317"),
            (
                &[("ENDPOINT", "https://c/base/")],
                http,
                "https://c/base/v1/traces",
            ),
            (
                &[("TRACES_ENDPOINT", "https://c/own")],
                http,
                "https://c/own",
            ),
            (&[("ENDPOINT", "c:4317")], grpc, "https://c:4317"),
            (
                &[("ENDPOINT", "c:4317"), ("INSECURE", "true")],
                grpc,
                "http://c:4317",
            ),
            (
                &[
                    ("ENDPOINT", "[::1]:9"),
                    ("PROTOCOL", "grpc"),
                    ("TRACES_INSECURE", "true"),
                ],
                grpc,
                "http://[::1]:9",
            ),
        ] {
            assert_eq!(checked(variables), Ok((protocol, url.to_owned())));
        }
    }

    #[test]
    fn an_endpoint_that_cannot_work_is_rejected() {
        for (variables, problem) in [
            (
                &[("ENDPOINT", "http://c:4318"), ("PROTOCOL", "grpc")][..],
                "has port 4318, that of http/protobuf, but the protocol is grpc",
            ),
            (
                &[("ENDPOINT", "http://c:4317"), ("PROTOCOL", "http/protobuf")],
                "has port 4317, that of grpc, but the protocol is http/protobuf",
            ),
            (&[("ENDPOINT", "http://c:4317/v1")], "has the path /v1"),
            (&[("ENDPOINT", "ftp://c")], "is not a URL"),
            (&[("ENDPOINT", "http://")], "is not a URL"),
            (&[("ENDPOINT", "http://c?x=1")], "is not a URL"),
            (
                &[("ENDPOINT", "http://user:secret@c:4318")],
                "has credentials",
            ),
            (&[("PROTOCOL", "http/json")], "`http/json` is not supported"),
            (&[("INSECURE", "1")], "`1` is neither true nor false"),
        ] {
            let problems = checked(variables).unwrap_err().to_string();
            assert!(problems.contains(problem), "{problems}");
            assert!(!problems.contains("secret"), "{problems}");
        }
    }
}
