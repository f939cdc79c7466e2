//! HTTP proxy settings from the environment, parsed once at start, so that an invalid variable is a
//! configuration error and not a silent bypass of the proxy. The variables and their precedence are
//! those of curl and of the Go and Python SDKs: `HTTPS_PROXY` for https, `HTTP_PROXY` for http,
//! `ALL_PROXY` for a scheme without its own variable, and `NO_PROXY` for exceptions; upper case takes
//! precedence over lower case. An empty variable counts as unset.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use reqwest::Url;

use super::{Endpoint, Invalid, Problems};

/// The proxies by the scheme of the requested URL.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// An HTTP proxy. Neither `Debug` nor `Display` shows its user and password.
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    url: Url,
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Exception {
    host: Host,
    /// The only port that the entry applies to.
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Host {
    Any,
    /// A domain with its subdomains, in lower case.
    Domain(String),
    Network(IpNet),
}

impl Proxies {
    /// Parses the variables, and adds an error to `problems` for each invalid one.
    pub(super) fn read(
        variable: impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Result<Self, Invalid> {
        let first = |name: &'static str| {
            let lower = name.to_ascii_lowercase();
            let names = [name.to_owned(), lower].into_iter();
            let mut set = names.filter_map(|name| {
                let value = variable(&name).filter(|value| !value.is_empty())?;
                Some((name, value))
            });
            set.next()
        };
        let mut read = |set: Option<(String, String)>| match set {
            Some((name, value)) => problems.take_variable(&name, Proxy::parse(&value).map(Some)),
            None => Ok(None),
        };
        let (https, http) = (first("HTTPS_PROXY"), first("HTTP_PROXY"));
        // ALL_PROXY is not used, and not checked, if both schemes have their own variable.
        let is_for_any = https.is_none() || http.is_none();
        let all = read(is_for_any.then(|| first("ALL_PROXY")).flatten());
        let (https, http) = (read(https), read(http));
        let exceptions = match first("NO_PROXY") {
            Some((name, value)) => problems.take_variable(&name, exceptions(&value)),
            None => Ok(Vec::new()),
        };
        let all = all?;
        Ok(Self {
            http: http?.or_else(|| all.clone()),
            https: https?.or(all),
            exceptions: exceptions?,
        })
    }

    /// Returns the proxy for requests to `endpoint`, or `None` for direct connections.
    pub fn proxy_for(&self, endpoint: &Endpoint) -> Option<&Proxy> {
        let proxy = match endpoint.is_encrypted() {
            true => self.https.as_ref()?,
            false => self.http.as_ref()?,
        };
        let url = endpoint.url();
        let host = url.host_str()?.trim_end_matches('.');
        let port = url.port_or_known_default();
        let mut exceptions = self.exceptions.iter();
        match exceptions.any(|exception| exception.matches(host, port)) {
            true => None,
            false => Some(proxy),
        }
    }
}

impl Proxy {
    /// Returns the URL with user and password. Only the HTTP client may have it.
    pub fn secret_url(&self) -> &Url {
        &self.url
    }

    /// Returns whether the connection to the proxy itself is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    fn parse(text: &str) -> Result<Self, String> {
        let invalid = |reason: &str| Err(format!("`{}` {reason}", shown(text)));
        if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
            return invalid("is in quotes; remove them (docker --env-file does not)");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return invalid("contains whitespace or another character that is not visible ASCII");
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if scheme.to_ascii_lowercase().starts_with("socks") {
            return invalid(
                "is a SOCKS proxy; only HTTP proxies (http:// or https://) are supported",
            );
        }
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        // The URL parser accepts too many slashes, and takes a scheme without slashes for a user.
        let has_typo = ["/", "http:", "https:"]
            .iter()
            .any(|it| rest.starts_with(it));
        let url = Url::parse(&format!("{scheme}://{rest}")).ok();
        let url = url.filter(|_| !has_typo).filter(|url| {
            let host = url.host_str().unwrap_or_default();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
            let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            // The HTTP client silently ignores a proxy that its own parser does not accept.
            let is_usable = url.as_str().parse::<http::Uri>().is_ok();
            is_http && !host.is_empty() && host.bytes().all(is_plain) && is_bare && is_usable
        });
        match url {
            Some(url) => Ok(Self { url }),
            None => {
                invalid("is not of the form http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")
            }
        }
    }
}

/// Writes scheme, host and port.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.url.scheme())?;
        match self.url.port_or_known_default() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Returns an invalid URL without the parts that may contain a password: the text before the last `@`,
/// and the text after the first colon of the host unless it is a port.
fn shown(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    let (user, host) = match rest.rsplit_once('@') {
        Some((_, host)) => ("***@", host),
        None => ("", rest),
    };
    // A scheme contains neither `@` nor a colon.
    let scheme = if scheme.trim_end_matches("://").contains(['@', ':']) {
        "***://"
    } else {
        scheme
    };
    let (host, port) = match host.split_once(':') {
        Some((host, port)) => {
            let digits = port.trim_end_matches(['/', '"', '\'', ' ', '\t', '\r', '\n']);
            let is_port = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let port = if is_port { port } else { "***" };
            (host, format!(":{port}"))
        }
        None => (host, String::new()),
    };
    format!("{scheme}{user}{host}{port}")
        .escape_debug()
        .to_string()
}

/// Parses `NO_PROXY`, whose entries are separated by commas or whitespace.
fn exceptions(text: &str) -> Result<Vec<Exception>, String> {
    let entries = text.split(|it: char| it == ',' || it.is_whitespace());
    let entries = entries.filter(|entry| !entry.is_empty());
    entries.map(Exception::parse).collect()
}

impl Exception {
    fn parse(entry: &str) -> Result<Self, String> {
        let whole = |host| Self { host, port: None };
        if entry == "*" {
            return Ok(whole(Host::Any));
        }
        if let Some(network) = network(entry) {
            return Ok(whole(Host::Network(network)));
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (
                name,
                Some(port.parse().map_err(|_| invalid_exception(entry))?),
            ),
            None => (entry, None),
        };
        let host = match network(name) {
            Some(network) => Host::Network(network),
            None => Host::Domain(domain(name).ok_or_else(|| invalid_exception(entry))?),
        };
        Ok(Self { host, port })
    }

    fn matches(&self, host: &str, port: Option<u16>) -> bool {
        if self.port.is_some() && self.port != port {
            return false;
        }
        let host = host.trim_matches(['[', ']']);
        match (&self.host, host.parse::<IpAddr>()) {
            (Host::Any, _) => true,
            (Host::Network(network), Ok(address)) => network.contains(&address),
            (Host::Domain(domain), Err(_)) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|below| below.is_empty() || below.ends_with('.')),
            (Host::Network(_), Err(_)) | (Host::Domain(_), Ok(_)) => false,
        }
    }
}

/// Parses an address, with or without brackets, or a network in CIDR notation.
fn network(text: &str) -> Option<IpNet> {
    let address = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = address.unwrap_or(text).parse::<IpAddr>();
    address.map(IpNet::from).or_else(|_| text.parse()).ok()
}

/// Parses `domain`, `.domain` or `*.domain`, and returns the domain in lower case.
fn domain(text: &str) -> Option<String> {
    let name = text
        .strip_prefix('*')
        .map_or(Some(text), |rest| rest.starts_with('.').then_some(rest))?;
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_plain);
    // A name of digits and dots only is an incomplete address, such as `10.` or `10.0`.
    let is_number = name
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (name.split('.').all(is_label) && !is_number).then(|| name.to_ascii_lowercase())
}

fn invalid_exception(entry: &str) -> String {
    format!(
        "`{}` is not a domain, .domain, *.domain, address, network such as 10.0.0.0/8, or * for all",
        entry.escape_debug()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Proxies, Problems> {
        let mut problems = Problems::default();
        let variable = |name: &str| {
            let set = variables.iter().find(|(set, _)| *set == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        let proxies = Proxies::read(variable, &mut problems);
        problems.into_result(proxies)
    }

    fn proxy_of(variables: &[(&str, &str)], endpoint: &str) -> String {
        let endpoint = endpoint.parse().unwrap();
        let proxies = read(variables).unwrap();
        proxies
            .proxy_for(&endpoint)
            .map_or("none".to_owned(), Proxy::to_string)
    }

    #[test]
    fn the_scheme_selects_the_proxy_and_upper_case_takes_precedence() {
        let [a, b, c] = ["http://a:1", "http://b:2", "http://c:3"];
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Variables<'_>, &str, &str); 10] = [
            (&[], "none", "none"),
            (&[("HTTPS_PROXY", a)], a, "none"),
            (&[("HTTP_PROXY", a)], "none", a),
            (&[("https_proxy", a), ("http_proxy", b)], a, b),
            (&[("HTTPS_PROXY", a), ("https_proxy", b)], a, "none"),
            (&[("HTTPS_PROXY", ""), ("https_proxy", b)], b, "none"),
            (&[("HTTPS_PROXY", a), ("ALL_PROXY", c)], a, c),
            (&[("HTTPS_PROXY", ""), ("all_proxy", c)], c, c),
            (
                &[
                    ("HTTPS_PROXY", a),
                    ("HTTP_PROXY", b),
                    ("ALL_PROXY", "socks5://c"),
                ],
                a,
                b,
            ),
            // The service is not a CGI program, in which HTTP_PROXY may be a request header.
            (&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", a)], "none", a),
        ];
        for (variables, https, http) in cases {
            assert_eq!(proxy_of(variables, "https://host"), https, "{variables:?}");
            assert_eq!(proxy_of(variables, "http://host"), http, "{variables:?}");
        }
    }

    #[test]
    fn an_invalid_proxy_is_rejected_without_showing_its_password() {
        let good = [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://proxy:3128/", "http://proxy:3128"),
            ("HTTP://Proxy:3128", "http://proxy:3128"),
            ("proxy:3128", "http://proxy:3128"),
            ("proxy", "http://proxy:80"),
            ("https://proxy", "https://proxy:443"),
            ("http://user:hunter2@10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("user:hunter%402@proxy:8080", "http://proxy:8080"),
            ("http://[::1]:3128", "http://[::1]:3128"),
        ];
        for (text, expected) in good {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(proxy.to_string(), expected);
            assert!(!format!("{proxy:?}").contains("hunter"));
        }

        for text in [
            "http://user:hunter2@proxy:3128 ",
            " http://user:hunter2@proxy:3128",
            "http://user:hunter2@proxy:3128\r",
            "\"http://user:hunter2@proxy:3128\"",
            "'http://user:hunter2@proxy:3128'",
            "http//user:hunter2@proxy:3128",
            "http:/user:hunter2@proxy:3128",
            "http:user:hunter2@proxy:3128",
            "//user:hunter2@proxy:3128",
            "http:///user:hunter2@proxy:3128/x",
            "http://user:hunter2",
            "user:hunter2",
            "user:hunter2@://proxy",
            "http://user:hun#ter2@proxy:3128",
            "http://user:hun/ter2@proxy:3128",
            "http://user:hunter2@proxy:99999",
            "http://user:hunter2@proxy:3128/path",
            "http://user:hunter2@proxy:3128?query",
            "http://user:hunter2@",
            "http://:3128",
            "http://",
            "://proxy",
            "ftp://user:hunter2@proxy",
            "socks5://user:hunter2@proxy:1080",
            "SOCKS5h://proxy:1080",
            "socks4://proxy",
            "http://pro\"xy:3128",
            "http://user:hunter2@pr\u{f6}xy:3128",
        ] {
            let problem = Proxy::parse(text).unwrap_err();
            for part in ["hunter2", "ter2@", "hun#", "hun/"] {
                assert!(!problem.contains(part), "{text}: {problem}");
            }
        }
    }

    #[test]
    fn an_invalid_variable_is_named_even_if_one_scheme_uses_it() {
        for name in [
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
        ] {
            let problems = read(&[(name, "http//proxy:3128")]).unwrap_err().to_string();
            assert!(
                problems.contains(&format!("{name}: `http//proxy:3128`")),
                "{problems}"
            );
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
        let problems = read(&[("NO_PROXY", "a,10.*")]).unwrap_err().to_string();
        assert!(problems.starts_with("NO_PROXY: `10.*`"), "{problems}");
    }

    #[test]
    fn no_proxy_accepts_domains_addresses_and_networks() {
        let cases = [
            ("example.com", "http://example.com", true),
            ("example.com", "http://a.EXAMPLE.com:8080", true),
            ("EXAMPLE.com.", "http://a.b.example.com", true),
            ("example.com", "http://badexample.com", false),
            ("example.com", "http://example.com.evil", false),
            (".example.com", "http://a.example.com", true),
            (".example.com", "http://example.com", true),
            ("*.example.com", "http://a.example.com", true),
            ("*.example.com", "http://badexample.com", false),
            ("other, example.com", "http://example.com", true),
            ("other example.com", "http://example.com", true),
            ("*", "http://anything", true),
            ("*", "http://10.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.4", false),
            ("10.0.0.0/8", "http://10.1.2.3:99", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("::1", "http://[::1]:80", true),
            ("[::1]", "http://[::1]", true),
            ("fd00::/8", "http://[fd12::1]", true),
            ("fd00::/8", "http://[fe80::1]", false),
            ("example.com:8080", "http://example.com:8080", true),
            ("example.com:8080", "http://example.com", false),
            ("10.1.2.3:443", "https://10.1.2.3", true),
        ];
        for (no_proxy, endpoint, is_excepted) in cases {
            let variables = [("ALL_PROXY", "http://proxy:1"), ("NO_PROXY", no_proxy)];
            let proxy = proxy_of(&variables, endpoint);
            assert_eq!(proxy == "none", is_excepted, "{no_proxy} {endpoint}");
        }
        for entry in [
            "a*",
            "*a.example.com",
            "10.*",
            "10.",
            "10.0.0.0/40",
            "http://a",
            "a..b",
            "\"a\"",
            "a:b",
        ] {
            assert!(exceptions(entry).is_err(), "{entry}");
        }
    }
}
