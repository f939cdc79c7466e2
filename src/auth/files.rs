//! Files of caller authentication: reads the server certificate, the authorities of client certificates
//! and the bearer tokens, and watches them for changes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::bearer_tokens::BearerTokens;
use crate::{
    config::{CallerFiles, Invalid, Problems},
    files::{bounded_file::FileKind, file_watcher::FileWatcher},
    tls::{
        pem,
        server::{self, ServerTls},
    },
};

/// The contents of the files of caller authentication.
#[derive(Debug)]
pub struct AuthFiles {
    /// TLS of the gRPC port; `None` for plain text.
    pub tls: Option<Arc<FileWatcher<ServerTls>>>,
    /// Whether callers must present a certificate.
    pub wants_certificate: bool,
    /// The accepted bearer tokens; `None` if callers need no token.
    pub tokens: Option<Arc<FileWatcher<BearerTokens>>>,
}

impl AuthFiles {
    /// Reads the files that are set.
    ///
    /// # Errors
    ///
    /// Fails with the errors of all files.
    pub fn read(files: &CallerFiles) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let tls = tls(files, &mut problems);
        let tokens = files.tokens.as_deref().map(tokens).transpose();
        let tokens = problems.take("tokens-file", tokens);

        let (Ok(tls), Ok(tokens)) = (tls, tokens) else {
            return Err(problems);
        };
        Ok(Self {
            wants_certificate: tls.is_some() && files.tls_client_ca.is_some(),
            tls,
            tokens,
        })
    }
}

/// Reads the server certificate, its key, and the authorities of client certificates. Each file is
/// checked by itself first, so that an error names its flag.
fn tls(
    files: &CallerFiles,
    problems: &mut Problems,
) -> Result<Option<Arc<FileWatcher<ServerTls>>>, Invalid> {
    let CallerFiles {
        tls_cert,
        tls_key,
        tls_client_ca,
        tokens: _,
    } = files;
    let certificates = |path: &PathBuf| pem::read_certificates(path).map(drop);
    let key = |path: &PathBuf| pem::read_key(path).map(drop);
    let checked = [
        problems.take("tls-cert", tls_cert.as_ref().map_or(Ok(()), certificates)),
        problems.take("tls-key", tls_key.as_ref().map_or(Ok(()), key)),
        problems.take(
            "tls-client-ca",
            tls_client_ca.as_ref().map_or(Ok(()), certificates),
        ),
    ];
    if checked.contains(&Err(Invalid)) {
        return Err(Invalid);
    }
    let (Some(cert), Some(key)) = (tls_cert, tls_key) else {
        return Ok(None);
    };
    let pair = [
        (cert.clone(), FileKind::Certificates),
        (key.clone(), FileKind::Key),
    ];
    let authorities = tls_client_ca.clone().map(|ca| (ca, FileKind::Certificates));
    let watched = FileWatcher::read(pair.into_iter().chain(authorities).collect(), |contents| {
        let authorities = contents.get(2).map(Vec::as_slice);
        server::server_config(&contents[0], &contents[1], authorities)
    });
    problems.take("tls-cert", watched.map(|tls| Some(Arc::new(tls))))
}

fn tokens(file: &Path) -> Result<Arc<FileWatcher<BearerTokens>>, String> {
    let name = file.display().to_string();
    let files = vec![(file.to_owned(), FileKind::Tokens)];
    let tokens = FileWatcher::read(files, move |contents| {
        BearerTokens::parse(&contents[0]).map_err(|mistakes| format!("{name}: {mistakes}"))
    });
    tokens.map(Arc::new)
}
