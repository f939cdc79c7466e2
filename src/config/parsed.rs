//! Parsers of setting values: addresses, durations, sizes, numbers, booleans and endpoints.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use bytesize::ByteSize;
use http::HeaderValue;
use reqwest::Url;

/// Parses a listening address.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an address and port such as 127.0.0.1:50051"))
}

/// Parses a duration within bounds.
pub(super) fn duration(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration such as 500ms, 10s or 2m"))?;
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = bounds.into_inner();
    let [least, most] = [least, most].map(shown);
    Err(format!("{text} is not from {least} to {most}"))
}

/// Formats a duration as the help does. The library writes a day as `1day`.
fn shown(duration: Duration) -> String {
    let text = humantime::format_duration(duration).to_string();
    text.replace("day", "d")
}

/// Parses a size in bytes within bounds.
pub(super) fn bytes(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let ByteSize(bytes) = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of bytes such as 65536, 64KiB or 4MiB"))?;
    if bounds.contains(&bytes) {
        return Ok(bytes);
    }
    let (least, most) = bounds.into_inner();
    let [least, most] = [least, most].map(|bytes| ByteSize(bytes).display().iec());
    Err(format!("{text} is not from {least} to {most}"))
}

/// Parses a number within bounds.
pub(super) fn number<T>(text: &str, bounds: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + ToString,
{
    let expected = || {
        format!(
            "`{text}` is not a number from {} to {}",
            bounds.start().to_string(),
            bounds.end().to_string()
        )
    };
    let number = text.parse().map_err(|_| expected())?;
    if bounds.contains(&number) {
        Ok(number)
    } else {
        Err(expected())
    }
}

/// Parses a boolean: `true` or `false`, which may also be written as `on` or `off`, or as `1` or `0`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "on" => Ok(true),
        "0" | "false" | "off" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// Returns the path of a file, or `None` if the text is empty.
pub(super) fn file(text: Option<&str>) -> Option<PathBuf> {
    text.filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// Parses a region; `none` stands for no region.
pub(super) fn region(text: &str) -> Result<Option<HeaderValue>, String> {
    match text {
        "" => return Err("is empty; use `none` to send no region".to_owned()),
        "none" => return Ok(None),
        _ => {}
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("`{}` is not visible ASCII", text.escape_debug()));
    }
    HeaderValue::from_str(text)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// An HTTP endpoint: a scheme, a host, and a port if it is not the scheme's default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    url: Url,
    host: String,
}

impl Endpoint {
    /// Returns the URL that requests are sent to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the host in lower case, with the port if it is not the scheme's default: the value of the
    /// `Host` header, which is signed.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the value of the `Host` header.
    #[expect(
        clippy::expect_used,
        reason = "the host of a URL is ASCII without control characters"
    )]
    pub fn host_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.host).expect("a host")
    }

    /// Returns whether the scheme is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "is not of the form https://HOST, with http and a port where needed";
        // The message must not repeat the text, which may contain a password.
        let problem = || format!("the URL {expected}");
        let url: Url = text.parse().map_err(|_| problem())?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let host = match (url.scheme(), url.host_str(), url.port()) {
            ("http" | "https", Some(host), Some(port)) if is_bare => format!("{host}:{port}"),
            ("http" | "https", Some(host), None) if is_bare => host.to_owned(),
            _ => return Err(problem()),
        };
        Ok(Self { url, host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_endpoint_has_only_a_nonstandard_port() {
        let cases = [
            ("https://iai.tencentcloudapi.com", "iai.tencentcloudapi.com"),
            (
                "https://IAI.intl.tencentcloudapi.com/",
                "iai.intl.tencentcloudapi.com",
            ),
            (
                "https://iai.tencentcloudapi.com:443",
                "iai.tencentcloudapi.com",
            ),
            ("http://127.0.0.1:9080", "127.0.0.1:9080"),
            ("http://[::1]:9080", "[::1]:9080"),
        ];

        for (text, host) in cases {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.host(), host);
            assert_eq!(endpoint.is_encrypted(), text.starts_with("https"));
        }
    }

    #[test]
    fn an_endpoint_has_only_scheme_host_and_port() {
        for text in [
            "",
            "iai.tencentcloudapi.com",
            "ftp://iai.tencentcloudapi.com",
            "https://",
            "https://host/path",
            "https://host/?query",
            "https://host/#fragment",
            "https://user:password@host",
            "https://user:password@host:99999",
        ] {
            let problem = text.parse::<Endpoint>().unwrap_err();
            assert!(problem.contains("is not of the form"), "{problem}");
            assert!(!problem.contains("password"), "{problem}");
        }
    }

    #[test]
    fn errors_name_the_bounds() {
        let second = Duration::from_secs(1);
        let hour = Duration::from_secs(3_600);
        let day = Duration::from_secs(86_400);

        assert_eq!(
            duration("500ms", second..=hour).unwrap_err(),
            "500ms is not from 1s to 1h"
        );
        assert_eq!(
            duration("2d", second..=day).unwrap_err(),
            "2d is not from 1s to 1d"
        );
        assert_eq!(
            bytes("4GiB", 1_024..=1_048_576).unwrap_err(),
            "4GiB is not from 1.0 KiB to 1.0 MiB"
        );
        assert_eq!(
            number("2", 0.0..=1.0).unwrap_err(),
            "`2` is not a number from 0 to 1"
        );
        assert_eq!(
            number("NaN", 0.0..=1.0).unwrap_err(),
            "`NaN` is not a number from 0 to 1"
        );
    }
}
