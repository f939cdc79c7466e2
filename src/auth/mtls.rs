//! Subject alternative names of client certificates.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::config::SubjectAltName;

/// The maximum length of a name, in bytes: that of a [SPIFFE id]. DNS names have at most 253.
///
/// [SPIFFE id]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#23-maximum-spiffe-id-length
const MAX_NAME: usize = 2_048;

/// Returns the subject alternative names of a certificate: URIs, then DNS names in lower case. Names
/// that are longer than [`MAX_NAME`] or not visible ASCII are omitted, since names are logged.
///
/// The subject itself is ignored: it is free text, and long deprecated as a name.
pub(super) fn subject_alt_names(certificate: &CertificateDer<'_>) -> Vec<SubjectAltName> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let uris = certificate.valid_uri_names().map(str::to_owned);
    let dns_names = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    let names = uris
        .map(SubjectAltName::Uri)
        .chain(dns_names.map(SubjectAltName::Dns));
    let is_usable = |name: &SubjectAltName| {
        let name = name.as_str();
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    names.filter(is_usable).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn uris_precede_dns_names_and_other_names_are_omitted() {
        let longest = "x".repeat(MAX_NAME);
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::DnsName("Orders.Example".try_into().unwrap()),
            SanType::Rfc822Name("orders@example.org".try_into().unwrap()),
            SanType::URI("spiffe://example.org/Orders".try_into().unwrap()),
            SanType::URI("spiffe://a b\nc".try_into().unwrap()),
            SanType::URI(format!("{longest}x").try_into().unwrap()),
            SanType::URI(longest.as_str().try_into().unwrap()),
        ];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();

        let expected = [
            SubjectAltName::Uri("spiffe://example.org/Orders".to_owned()),
            SubjectAltName::Uri(longest),
            SubjectAltName::Dns("orders.example".to_owned()),
        ];
        assert_eq!(subject_alt_names(certificate.der()), expected);
        assert!(subject_alt_names(&CertificateDer::from(&b"no certificate"[..])).is_empty());
    }
}
