//! Caller identity: token name, certificate name, forwarded identity, user id, or network address.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The part of an IPv6 address that identifies a caller. One host commonly has all addresses of a /64
/// ([RFC 6177](https://www.rfc-editor.org/rfc/rfc6177)).
const IPV6_PREFIX: u128 = !0 << 64;

/// The identity of a caller, by the strongest evidence available.
///
/// Identities of different kinds are never equal: a forwarded name cannot impersonate the name of a
/// token or certificate. Cheap to clone. Not secret.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Identity {
    /// The IPv4 address of the client, or the first 64 bits of its IPv6 address. Without the port, which
    /// differs between connections of one client.
    Address(IpAddr),
    /// A subject alternative name of the client certificate: a URI such as a SPIFFE id, or a DNS name.
    Certificate(Arc<str>),
    /// The identity of the proxy's own client, as forwarded by a proxy in front of the service.
    Forwarded(Arc<str>),
    /// The name of the bearer token.
    Token(Arc<str>),
    /// The user id of the client's process, which the kernel tells of the client of a Unix socket.
    Uid(u32),
}

impl Identity {
    /// Returns the identity of a caller that is known by its address only. An IPv4-mapped IPv6 address
    /// counts as IPv4.
    pub fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                Ipv6Addr::from_bits(address.to_bits() & IPV6_PREFIX).into()
            }
            address @ (IpAddr::V4(_) | IpAddr::V6(_)) => address,
        })
    }

    /// Returns the kind of identity: `address`, `certificate`, `forwarded`, `token` or `uid`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Certificate(_) => "certificate",
            Self::Forwarded(_) => "forwarded",
            Self::Token(_) => "token",
            Self::Uid(_) => "uid",
        }
    }
}

/// Writes the kind and the name, as in the log.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Address(address) => write!(f, "{kind}:{address}"),
            Self::Uid(uid) => write!(f, "{kind}:{uid}"),
            Self::Certificate(name) | Self::Forwarded(name) | Self::Token(name) => {
                write!(f, "{kind}:{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_are_one_caller() {
        for (address, expected) in [
            ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "address:2001:db8:1:2::"),
            ("2001:db8:1:3::1", "address:2001:db8:1:3::"),
            ("::ffff:192.0.2.7", "address:192.0.2.7"),
            ("192.0.2.7", "address:192.0.2.7"),
            ("::1", "address:::1"),
        ] {
            let identity = Identity::of_address(address.parse().unwrap());
            assert_eq!(identity.to_string(), expected);
        }
    }

    #[test]
    fn identities_of_different_kinds_are_never_equal() {
        let name = || Arc::from("orders");
        let all = [
            Identity::Certificate(name()),
            Identity::Forwarded(name()),
            Identity::Token(name()),
        ];

        for (place, one) in all.iter().enumerate() {
            for (other_place, other) in all.iter().enumerate() {
                assert_eq!(one == other, place == other_place);
                assert_eq!(one.to_string() == other.to_string(), place == other_place);
            }
        }
    }
}
