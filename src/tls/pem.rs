//! PEM files: certificates and private keys, and why a file has no usable one.

use std::path::Path;

use memchr::memmem;
use rustls::{
    InconsistentKeys,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::files::bounded_file::{self, FileKind};

/// The first byte of certificates and keys in DER (X.690, section 8.9.1).
const DER_SEQUENCE: u8 = 0x30;

/// Reads the certificates of a PEM file.
///
/// # Errors
///
/// Fails with a message if the file cannot be read or contains no certificate.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    parse_certificates(&read(path, FileKind::Certificates)?)
        .map_err(|problem| format!("{}: {problem}", path.display()))
}

/// Reads the certificates of a PEM file that is read once, and may therefore be a pipe.
///
/// # Errors
///
/// Fails as [`read_certificates`] does.
pub fn read_certificates_once(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = bounded_file::read_once(path, FileKind::Certificates);
    let pem = pem.map_err(|error| error.to_string())?;
    parse_certificates(&pem).map_err(|problem| format!("{}: {problem}", path.display()))
}

/// Reads the private key of a PEM file.
///
/// # Errors
///
/// Fails with a message if the file cannot be read or contains no usable private key.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    parse_key(&read(path, FileKind::Key)?)
        .map_err(|problem| format!("{}: {problem}", path.display()))
}

fn read(path: &Path, kind: FileKind) -> Result<Vec<u8>, String> {
    bounded_file::read(path, kind).map_err(|error| error.to_string())
}

/// Parses the certificates of a PEM file.
///
/// # Errors
///
/// Fails with a message that describes the content if it has no certificate.
pub fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("not PEM: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("contains no certificate: {}", describe(pem)));
    }
    Ok(certificates)
}

/// Parses the private key of a PEM file.
///
/// # Errors
///
/// Fails with a message that describes the content if it has no usable private key. The message
/// repeats no part of the content.
pub fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // The older format marks an encrypted key by a header, in the same section as a plain key.
    if has(pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(format!("contains no private key: {}", describe(pem)));
    }
    // The cause is left out: it may repeat parts of the file.
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| format!("contains no private key: {}", describe(pem)))
}

/// Checks that a private key belongs to the first certificate, both in PEM.
///
/// # Errors
///
/// Fails with a message if it does not, or if one of them cannot be parsed.
pub fn check_pair(certificates: &[u8], key: &[u8]) -> Result<(), String> {
    let provider = ring::default_provider();
    CertifiedKey::from_der(
        parse_certificates(certificates)?,
        parse_key(key)?,
        &provider,
    )
    .map(drop)
    .map_err(|error| pair_error(&error))
}

/// Returns why a certificate and a private key cannot be used together.
pub(super) fn pair_error(error: &rustls::Error) -> String {
    if *error == rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
        "the private key does not belong to the certificate (KeyMismatch): the certificate file must \
         begin with the certificate of the key, followed by those of its issuers"
            .to_owned()
    } else {
        format!("the certificate and the private key cannot be used: {error}")
    }
}

/// Describes the content of a file without the expected section, and what to do about it.
fn describe(content: &[u8]) -> &'static str {
    if content.trim_ascii().is_empty() {
        "the file is empty"
    } else if has(content, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || has(content, b"Proc-Type: 4,ENCRYPTED")
    {
        "the private key is encrypted, which is not supported; decrypt it with: \
         openssl pkey -in FILE -out key.pem"
    } else if has(content, b"PRIVATE KEY-----") {
        "it has a private key section, which is damaged or belongs in another file"
    } else if has(content, b"-----BEGIN CERTIFICATE-----") {
        "it has a certificate section, which is damaged or belongs in another file"
    } else if has(content, b"-----BEGIN CERTIFICATE REQUEST-----") {
        "it has a certificate request, which a certificate authority must sign first"
    } else if content.starts_with(&[DER_SEQUENCE]) {
        "it is DER, not PEM; convert it with: openssl x509 -inform DER -in FILE -out cert.pem \
         (for a private key: openssl pkey -inform DER -in FILE -out key.pem)"
    } else {
        "it is not PEM"
    }
}

fn has(content: &[u8], text: &[u8]) -> bool {
    memmem::find(content, text).is_some()
}
