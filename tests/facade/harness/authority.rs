//! Certificate authority: issues certificates and writes them to files.

use std::{fs, ops::Range, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring};

/// A certificate authority with a temporary directory for its files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// The files of a certificate and its key.
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Issued {
    /// Returns the forms in which the key could appear in a text: the lines of its file, and the bytes of
    /// its private number in hexadecimal and as a list.
    pub(crate) fn key_forms(&self) -> Vec<String> {
        let key = fs::read_to_string(&self.key).unwrap();
        let lines: Vec<_> = key.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = BASE64_STANDARD.decode(lines.concat()).unwrap();
        // The private number is an octet string of 32 bytes (RFC 5915, section 3).
        let start = bytes.windows(2).position(|head| head == [4, 32]).unwrap() + 2;
        let number = &bytes[start..start + 32];
        let list = format!("{number:?}");
        let printed = [
            base16ct::lower::encode_string(number),
            list.trim_matches(['[', ']']).to_owned(),
        ];
        lines
            .into_iter()
            .map(str::to_owned)
            .chain(printed)
            .collect()
    }
}

impl Authority {
    /// Creates an authority with a new key.
    pub(crate) fn new() -> Self {
        Self::of(CertificateParams::default())
    }

    /// Creates an authority with a new key, which is valid in this period.
    pub(crate) fn valid_in(period: Range<OffsetDateTime>) -> Self {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (period.start, period.end);
        Self::of(params)
    }

    fn of(mut params: CertificateParams) -> Self {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// Returns the path of the authority's certificate.
    pub(crate) fn path(&self) -> String {
        text(&self.folder.path().join("ca.pem"))
    }

    /// Returns the authority's certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a server certificate for `localhost`.
    pub(crate) fn server(&self) -> Issued {
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a client certificate with these subject alternative names; names with a scheme are URIs.
    pub(crate) fn client(&self, names: &[&str]) -> Issued {
        self.issue(client(names), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Issues a client certificate that expired in 2020.
    pub(crate) fn expired_client(&self, names: &[&str]) -> Issued {
        let mut params = client(names);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Creates a self-signed client certificate.
    pub(crate) fn self_signed_client(&self, names: &[&str]) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = client(names).self_signed(&key).unwrap();
        self.write(&certificate.pem(), &key)
    }

    /// Creates a self-signed CA certificate, as `openssl req -x509` does.
    pub(crate) fn self_signed_authority(&self) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        self.write(&certificate.pem(), &key)
    }

    /// Issues a server certificate for `localhost` that is valid in these years.
    pub(crate) fn server_in(&self, years: Range<i32>) -> Issued {
        let [start, end] = [years.start, years.end].map(|year| date_time_ymd(year, 1, 1));
        self.server_valid_in(start..end)
    }

    /// Issues a server certificate for `localhost` that is valid in this period.
    pub(crate) fn server_valid_in(&self, period: Range<OffsetDateTime>) -> Issued {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (period.start, period.end);
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn issue(&self, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> Issued {
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&certificate.pem(), &key)
    }

    fn write(&self, certificate: &str, key: &KeyPair) -> Issued {
        let folder = tempfile::tempdir_in(&self.folder).unwrap().keep();
        let [cert, key_file] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
        fs::write(&cert, certificate).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        Issued {
            cert: text(&cert),
            key: text(&key_file),
        }
    }

    /// Returns the TLS configuration of a client that trusts this authority and offers these versions.
    pub(crate) fn connector(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

fn client(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = |name: &&str| match name.contains("://") {
        true => SanType::URI((*name).try_into().unwrap()),
        false => SanType::DnsName((*name).try_into().unwrap()),
    };
    params.subject_alt_names = names.iter().map(name).collect();
    params
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
