//! Set-up: the settings and files of `serve`, and the credential.

use std::sync::Arc;

use iai_emulator::{Emulator, Fixtures};

use super::{advice::Fault, requested::Requested, step::Finding, tls::TlsClient};
use crate::{
    cli::{
        checked_settings::{CheckedSettings, checked_settings},
        emulated_upstream::emulated_upstream,
    },
    clock::Clock,
    config::{self, CredentialFiles, Problems, ServeArgs, variable},
    credentials::{self, Credential, ProviderContext, Resolution, SourceOutcome},
    error_chain::error_chain,
    files::bounded_file::{self, FileKind},
    http_client,
    tls::{certificate, pem},
};

/// What the next steps need.
pub(super) struct Setup {
    pub(super) settings: config::Serve,
    pub(super) requested: Requested,
    pub(super) tls: TlsClient,
    fixtures: Fixtures,
}

/// A credential, and the emulator that accepts it with `--emulate`.
pub(super) struct Resolved {
    pub(super) credential: Arc<Credential>,
    /// Stops on drop.
    pub(super) _emulator: Option<Emulator>,
}

/// Checks the settings and reads their files. Opens no connection.
pub(super) fn read(
    args: ServeArgs,
    group_id: Option<&str>,
    person_id: Option<&str>,
) -> (Finding, Option<Setup>) {
    let mut problems = Problems::default();
    let requested = problems.merge(Requested::new(group_id, person_id));
    let checked = problems.merge(checked_settings(args));
    let files = checked.as_ref().ok().map(|it| &it.settings.credentials);
    let files = files.and_then(|credentials| credentials.files.as_ref());
    let files = files.map_or(Ok(()), |files| readable(files, &mut problems));
    let tls = checked.as_ref().ok().map(|it| &it.settings.upstream);
    let tls = tls.map(|upstream| http_client::tls_config(&upstream.endpoint, upstream));
    let tls = tls.map(|tls| problems.take("upstream-ca", tls.map_err(|it| error_chain(&it))));
    let (Ok(requested), Ok(checked), Ok(()), Some(Ok(tls))) = (requested, checked, files, tls)
    else {
        let problems = problems.to_string();
        let problems: Vec<_> = problems.lines().map(str::to_owned).collect();
        let summary = match problems.len() {
            1 => "1 mistake".to_owned(),
            number => format!("{number} mistakes"),
        };
        let finding = Finding::failed(summary, Fault::InvalidSettings.advice());
        return (finding.with_details(problems), None);
    };
    let CheckedSettings {
        settings, fixtures, ..
    } = checked;
    let details = in_force(&settings);
    let finding = match invalid_certificate(&settings) {
        Some(reason) => {
            let summary = format!("valid, but of --tls-cert {reason}");
            Finding::warning(summary, Fault::InvalidServerCertificate.advice())
        }
        None => Finding::ok("valid"),
    };
    let setup = Setup {
        settings,
        requested,
        tls: TlsClient::new(tls),
        fixtures,
    };
    (finding.with_details(details), Some(setup))
}

/// Reads the credential files, which `serve` reads after its settings.
fn readable(files: &CredentialFiles, problems: &mut Problems) -> Result<(), config::Invalid> {
    let named = [
        ("secret-id-file", Some(&files.secret_id)),
        ("secret-key-file", Some(&files.secret_key)),
        ("token-file", files.token.as_ref()),
    ];
    let mut outcome = Ok(());
    for (flag, path) in named {
        let Some(path) = path else { continue };
        let read = bounded_file::read(path, FileKind::Credential);
        let read = read.map(drop).map_err(|error| error.to_string());
        outcome = problems.take(flag, read).and(outcome);
    }
    outcome
}

/// Describes the settings that the next steps depend on.
fn in_force(settings: &config::Serve) -> Vec<String> {
    if settings.is_emulated {
        return vec!["endpoint: an emulator in this process (--emulate)".to_owned()];
    }
    let upstream = &settings.upstream;
    let region = upstream.region.as_ref();
    let region = region.and_then(|region| region.to_str().ok());
    let proxy = upstream.proxies.proxy_for(&upstream.endpoint);
    vec![
        format!(
            "endpoint: {}",
            upstream.endpoint.url().as_str().trim_end_matches('/')
        ),
        format!("region: {}", region.unwrap_or("none")),
        format!(
            "proxy: {}",
            proxy.map_or("none".to_owned(), ToString::to_string)
        ),
    ]
}

/// Returns why the server certificate is not valid now, if it is not.
fn invalid_certificate(settings: &config::Serve) -> Option<String> {
    let path = settings.callers.files.tls_cert.as_deref()?;
    let chain = pem::read_certificates(path).ok()?;
    certificate::invalidity(chain.first()?, Clock::system().now())
}

/// Finds the credential, as `serve` does at its start. With `--emulate`, starts the emulator and makes it
/// the upstream.
pub(super) async fn resolve(setup: &mut Setup) -> (Finding, Option<Resolved>) {
    if setup.settings.is_emulated {
        return emulate(setup).await;
    }
    let Resolution {
        sources,
        credential,
    } = credentials::resolve(
        &setup.settings.credentials,
        &setup.settings.upstream,
        ProviderContext::new(variable),
        &Clock::system(),
    )
    .await;
    let mut details: Vec<_> = sources.iter().map(ToString::to_string).collect();
    if let Some(credential) = credential {
        let summary = details.pop().unwrap_or_default();
        let resolved = Resolved {
            credential,
            _emulator: None,
        };
        return (Finding::ok(summary).with_details(details), Some(resolved));
    }
    let fault = match sources.last().map(|source| &source.outcome) {
        Some(SourceOutcome::Invalid(_)) => Fault::BrokenCredential,
        Some(SourceOutcome::Failed(_)) => Fault::FailedCredential,
        Some(SourceOutcome::Absent(_) | SourceOutcome::Found { .. }) | None => Fault::NoCredential,
    };
    let finding = Finding::failed("no credential available", fault.advice());
    (finding.with_details(details), None)
}

async fn emulate(setup: &mut Setup) -> (Finding, Option<Resolved>) {
    let failed = |error: String| (Finding::failed(error, Fault::CannotSetUp.advice()), None);
    let fixtures = setup.fixtures.clone();
    let emulated = emulated_upstream(fixtures, &mut setup.settings.upstream).await;
    let (emulator, credentials) = match emulated {
        Ok(emulated) => emulated,
        Err(error) => return failed(error_chain(&*error)),
    };
    match credentials.current().await {
        Ok(credential) => {
            let resolved = Resolved {
                credential,
                _emulator: Some(emulator),
            };
            let summary = "the emulator: has a credential";
            (Finding::ok(summary), Some(resolved))
        }
        Err(error) => failed(error.to_string()),
    }
}
