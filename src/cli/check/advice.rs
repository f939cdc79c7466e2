//! Advice: the likely cause of each fault before a response of the API, and what to do about it.
//! `code_advice` has that of the API's error codes.

/// The likely cause of a failure, and what to do. Sentences with full stops.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Advice {
    pub(super) cause: String,
    pub(super) remedy: String,
}

impl Advice {
    pub(super) fn new(cause: &str, remedy: &str) -> Self {
        Self {
            cause: cause.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

/// A fault before a response of the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// A setting or a file that it names is invalid.
    InvalidSettings,
    /// The server certificate of this service is not valid now.
    InvalidServerCertificate,
    /// The service cannot set up its connections.
    CannotSetUp,
    /// Every source of credentials is absent.
    NoCredential,
    /// A source of credentials is configured and broken.
    BrokenCredential,
    /// STS or the metadata service failed.
    FailedCredential,
    /// The host name has no address.
    UnknownHost,
    /// The DNS server did not respond in time.
    DnsTimeout,
    /// The port refuses connections.
    Refused,
    /// The connection was not established in time.
    ConnectTimeout,
    /// Another failure of the connection, such as a missing route.
    NotConnected,
    /// The proxy demands a user and a password, or rejects them.
    ProxyAuthentication,
    /// The proxy refuses the destination or cannot reach it.
    ProxyRejected,
    /// The proxy does not respond as an HTTP proxy.
    NotAProxy,
    /// The proxy cannot be reached by TLS.
    ProxyTls,
    /// The peer does not speak TLS.
    NotTls,
    /// The certificate was issued by an unknown authority.
    UnknownAuthority,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is of another host.
    WrongName,
    /// The certificate is not trusted for another reason.
    Untrusted,
    /// The TLS handshake failed for another reason.
    TlsFailed,
    /// No complete response was received.
    NoResponse,
    /// The response is none of the API.
    NotTheApi,
    /// A gateway or a proxy responded in place of the API.
    Gateway,
    /// A gateway, a proxy or the API throttled the request.
    Throttled,
    /// The local clock differs so much that signatures are rejected.
    ClockRejected,
    /// The local clock differs, and signatures are still accepted.
    ClockOff,
    /// The response has no time to compare the clock with.
    NoDate,
    /// The group or person of the flag does not exist.
    UnknownId,
}

impl Fault {
    /// Returns the likely cause and what to do.
    pub(super) fn advice(self) -> Advice {
        #[rustfmt::skip]
        let (cause, remedy) = match self {
            Self::InvalidSettings => ("The settings or files named above are invalid; serve does not start with them.", "Correct them. docs/configuration.md has every setting with its bounds."),
            Self::InvalidServerCertificate => ("The server certificate was not renewed, or the clock of this machine is wrong.", "Renew the certificate in --tls-cert; clients reject it."),
            Self::CannotSetUp => ("The machine lacks a resource, such as a free port or file descriptors.", "Free it, and check again."),
            Self::NoCredential => ("No credential is configured for this process.", "Set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or configure another source of docs/credentials.md."),
            Self::BrokenCredential => ("The last source above is configured, but incomplete or unreadable. The service never falls back to another identity.", "Correct that source, or select another one by --credentials."),
            Self::FailedCredential => ("STS or the metadata service cannot be reached, or rejects the request.", "Check the network to it, the role, and whether its trust policy names this identity (docs/credentials.md)."),
            Self::UnknownHost => ("The host name is misspelled, or the DNS server of this machine does not resolve names outside of its network.", "Correct the host in --endpoint, or in the proxy variable if it is the proxy's. Behind a proxy, set HTTPS_PROXY."),
            Self::DnsTimeout => ("The DNS server of this machine does not respond.", "Check /etc/resolv.conf and the network policy for port 53."),
            Self::Refused => ("Nothing listens at this address and port, or a firewall rejects the connection.", "Check host and port of --endpoint, or of the proxy variable if it is the proxy's, and the firewall."),
            Self::ConnectTimeout => ("A firewall drops the packets, or the network has no way out.", "Allow outgoing connections to this address and port, or set HTTPS_PROXY. On a slow network, raise --upstream-connect-timeout."),
            Self::NotConnected => ("The network has no route to this address.", "Check the routes, the address family (IPv4 or IPv6), and whether a proxy is needed (HTTPS_PROXY)."),
            Self::ProxyAuthentication => ("The proxy requires a user and a password, or rejects those of its URL.", "Set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, with special characters percent-encoded."),
            Self::ProxyRejected => ("The proxy does not allow the endpoint, or cannot reach it.", "Let the proxy allow the host and port of --endpoint; or bypass the proxy with NO_PROXY, if there is a direct way."),
            Self::NotAProxy => ("The address of the proxy variable is not that of an HTTP proxy.", "Check host, port and scheme of HTTPS_PROXY. Most proxies are reached by http://, also for TLS endpoints."),
            Self::ProxyTls => ("The proxy variable says https://, and the proxy does not speak TLS or has a certificate that is not trusted.", "Use http:// if the proxy is reached in plain text, or pass its authority in --upstream-ca."),
            Self::NotTls => ("The server speaks plain text, or a firewall responds in its place.", "Correct the port of --endpoint, or use http:// for a test server without TLS."),
            Self::UnknownAuthority => ("A proxy or firewall decrypts TLS with an authority of its own, or the certificate authorities of this machine are missing or outdated.", "Pass the authority of the proxy in --upstream-ca, or update the ca-certificates package. Do not trust an authority that you do not know."),
            Self::Expired => ("The certificate was not renewed, or the clock of this machine is wrong.", "Compare the clock of this machine with the true time; then tell the owner of the server."),
            Self::NotYetValid => ("The clock of this machine is behind, or the certificate was issued for later.", "Compare the clock of this machine with the true time."),
            Self::WrongName => ("--endpoint names another host than the certificate, or another server responds at this address.", "Use the host name of the API in --endpoint, not its address or an alias."),
            Self::Untrusted => ("The certificate does not fulfil the rules for server certificates.", "Replace the certificate; the text above says what is wrong with it."),
            Self::TlsFailed => ("The server ended the handshake, or shares no TLS version with this program (TLS 1.2 and 1.3).", "Check whether a firewall or proxy interrupts TLS connections to this host."),
            Self::NoResponse => ("A firewall or proxy ended the connection, or the server is overloaded or not an HTTP server.", "Check again; if it persists, check host and port of --endpoint, and the path between."),
            Self::NotTheApi => ("Another server than the API responded, such as a captive portal, a proxy or a wrong host.", "Check --endpoint and the proxy variables."),
            Self::Gateway => ("A gateway or proxy cannot reach the API, or the API is down.", "Check again in a minute; behind a proxy, ask its operator."),
            Self::Throttled => ("The quota of the account is used by others, or a gateway limits this address.", "Check again in a second. To share the quota among services, see docs/quota.md."),
            Self::ClockRejected => ("The clock of this machine is wrong by more than the 5 minutes for which signatures are accepted.", "Synchronize the clock (NTP, chrony). Until then, the service corrects its signatures after the first rejected call."),
            Self::ClockOff => ("The clock of this machine drifts.", "Synchronize the clock (NTP, chrony): signatures are rejected from 5 minutes on."),
            Self::NoDate => ("A proxy or gateway removed the header Date.", "Compare the clock of this machine with the true time: the service cannot correct its signatures without it."),
            Self::UnknownId => ("The id is wrong, or it belongs to another account or site than the credential.", "Repeat the check with an id of this account."),
        };
        Advice::new(cause, remedy)
    }
}
