//! The names in a certificate.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Returns the subject alternative names of a certificate, URIs before DNS names, which are made
/// lower case. None is returned that could not stand in a line of the log.
///
/// The subject itself is not read: it is free text, and long out of use as a name.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let uris = certificate.valid_uri_names().map(str::to_owned);
    let dns_names = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    let names = uris.chain(dns_names);
    names
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn uris_come_before_dns_names_and_nothing_else_comes() {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::DnsName("Orders.Example".try_into().unwrap()),
            SanType::Rfc822Name("orders@example.org".try_into().unwrap()),
            SanType::URI("spiffe://example.org/Orders".try_into().unwrap()),
            SanType::URI("spiffe://a b\nc".try_into().unwrap()),
        ];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();

        let expected = ["spiffe://example.org/Orders", "orders.example"];
        assert_eq!(of(certificate.der()), expected);
        assert!(of(&CertificateDer::from(&b"no certificate"[..])).is_empty());
    }
}
