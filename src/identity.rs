//! Who makes a call.

use std::{fmt, net::IpAddr, sync::Arc};

/// The best that is known of who makes a call.
///
/// Two are equal only if they are known in the same way: no name that a caller gives itself is ever
/// that of another's token or certificate. Cheap to clone, and no secret.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Identity {
    /// Nothing but where the connection comes from. Its port says nothing: each connection has
    /// another.
    Address(IpAddr),
    /// A name of the certificate that was shown: a URI such as a SPIFFE id, or a DNS name.
    Certificate(Arc<str>),
    /// What a proxy in front of the service says of its own caller.
    Forwarded(Arc<str>),
    /// The name under which the token that was shown is kept.
    Token(Arc<str>),
}

impl Identity {
    /// Returns the name of the way in which it is known.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Certificate(_) => "certificate",
            Self::Forwarded(_) => "forwarded",
            Self::Token(_) => "token",
        }
    }
}

/// As it appears in the log: the kind and the name.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Address(address) => write!(f, "{kind}:{address}"),
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
    fn a_name_known_in_one_way_is_not_the_same_name_known_in_another() {
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
