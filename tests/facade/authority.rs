//! A certificate authority, and files with what it issues.

use std::{fs, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use tempfile::TempDir;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring};

/// An authority whose certificates are in a folder of its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, in files.
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Issued {
    /// Returns how the key would look in a text: the lines of its file, and its secret number as the
    /// bytes would be printed.
    pub(crate) fn key_forms(&self) -> Vec<String> {
        let key = fs::read_to_string(&self.key).unwrap();
        let lines: Vec<_> = key.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = BASE64_STANDARD.decode(lines.concat()).unwrap();
        // An octet string of 32 bytes (RFC 5915, section 3).
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
    /// Makes an authority.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
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

    /// Returns the file with its own certificate.
    pub(crate) fn path(&self) -> String {
        text(&self.folder.path().join("ca.pem"))
    }

    /// Returns its own certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for a server at `localhost`.
    pub(crate) fn server(&self) -> Issued {
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a certificate for a client with these names, of which those with a scheme are URIs.
    pub(crate) fn client(&self, names: &[&str]) -> Issued {
        self.issue(client(names), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Issues a certificate for a client that was good once.
    pub(crate) fn expired_client(&self, names: &[&str]) -> Issued {
        let mut params = client(names);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Returns a certificate for a client that the client has issued itself.
    pub(crate) fn self_signed_client(&self, names: &[&str]) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = client(names).self_signed(&key).unwrap();
        self.write(&certificate.pem(), &key)
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

    /// Returns how a client connects that believes this authority, and speaks these versions.
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
