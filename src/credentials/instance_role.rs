//! Instance role provider: the credential of the role of a CVM instance, from the instance metadata
//! service.

use std::{sync::OnceLock, time::Duration};

use super::{
    credential::Credential,
    exchange::{self, ExchangeError, HttpResponse},
    provider::{CredentialProvider, Loading, ProvidedCredential, ProviderError},
    provider_setup::ProviderSetup,
};
use crate::{
    clock::{BootTime, Clock},
    config::{self, Endpoint},
    json::{self, Object},
};
use http::StatusCode;
use reqwest::Url;
use serde::Deserialize;

/// The path that returns the name of the role; followed by the name, it returns the credential.
const PATH: &str = "latest/meta-data/cam/security-credentials/";

// Short timeouts: the metadata service is on the same host, or absent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum length of a role name.
const MAX_ROLE: usize = 128;

/// Returns the provider.
pub(super) fn provider(setup: &ProviderSetup<'_>) -> Box<dyn CredentialProvider> {
    // Never through a proxy, which would reach the metadata service of its own host.
    let upstream = config::Upstream {
        proxies: config::Proxies::default(),
        ..setup.upstream.clone()
    };
    Box::new(InstanceRole {
        http: OnceLock::new(),
        endpoint: setup.settings.metadata_endpoint.clone(),
        upstream,
        clock: setup.clock.clone(),
        is_only: setup.settings.source.is_some(),
    })
}

/// A client of the instance metadata service.
struct InstanceRole {
    http: OnceLock<reqwest::Client>,
    endpoint: Endpoint,
    upstream: config::Upstream,
    clock: Clock,
    /// Whether this is the only configured provider, so that it must exist.
    is_only: bool,
}

impl CredentialProvider for InstanceRole {
    fn name(&self) -> &'static str {
        "the instance role"
    }

    fn is_local(&self) -> bool {
        false
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(self.request())
    }
}

impl InstanceRole {
    /// Requests the name of the role, which may have changed, and then its credential.
    async fn request(&self) -> Result<ProvidedCredential, ProviderError> {
        let mut url = self.endpoint.url().clone();
        url.set_path(PATH);
        let response = match self.read(url.clone()).await {
            Ok(response) => response,
            Err(failed) if failed.is_connect => {
                return Err(self.absent(format!("no metadata service: {}", failed.reason)));
            }
            Err(failed) => return Err(ProviderError::Transient(failed.reason)),
        };
        let role = match response.status {
            StatusCode::NOT_FOUND => {
                return Err(self.absent("no role is bound to the instance".to_owned()));
            }
            StatusCode::OK => role(&response.body).map_err(ProviderError::Transient)?,
            status => return Err(unexpected(status)),
        };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&role);
        }

        let requested_at = self.clock.boot_time();
        let response = self.read(url).await;
        let response = response.map_err(|failed| ProviderError::Transient(failed.reason))?;
        if response.status != StatusCode::OK {
            return Err(unexpected(response.status));
        }
        self.open(&response, requested_at)
            .map_err(ProviderError::Transient)
    }

    async fn read(&self, url: Url) -> Result<HttpResponse, ExchangeError> {
        let http = self.http().map_err(|reason| ExchangeError {
            is_connect: false,
            reason,
        })?;
        exchange::send(http.get(url)).await
    }

    fn http(&self) -> Result<&reqwest::Client, String> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = exchange::client(&self.endpoint, &self.upstream)?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(self.http.get_or_init(|| http))
    }

    fn open(
        &self,
        response: &HttpResponse,
        requested_at: BootTime,
    ) -> Result<ProvidedCredential, String> {
        let malformed = |problem: String| format!("undocumented response: {problem}");
        let Object(role): Object<Role> =
            json::parse(&response.body).map_err(|error| malformed(error.to_string()))?;
        if role.code != "Success" {
            return Err("the metadata service returned no credential for the role".to_owned());
        }
        let (Some(id), Some(key), Some(token), Some(expires)) = (
            role.tmp_secret_id,
            role.tmp_secret_key,
            role.token,
            role.expired_time,
        ) else {
            return Err(malformed("a part of the credential is missing".to_owned()));
        };
        let server_now = response
            .date
            .unwrap_or_else(|| self.clock.now())
            .unix_timestamp();
        let expires_at = exchange::expiry(requested_at, expires, server_now)?;
        let credential = Credential::new(id, key, Some(token));
        Ok(ProvidedCredential {
            credential: credential.map_err(|error| malformed(error.to_string()))?,
            expires_at: Some(expires_at),
        })
    }

    /// Returns the error for a missing role or service.
    fn absent(&self, problem: String) -> ProviderError {
        match self.is_only {
            true => ProviderError::Transient(problem),
            false => ProviderError::Absent(problem),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Role {
    code: String,
    tmp_secret_id: Option<String>,
    tmp_secret_key: Option<String>,
    token: Option<String>,
    expired_time: Option<i64>,
}

fn role(body: &[u8]) -> Result<String, String> {
    let name = std::str::from_utf8(body).unwrap_or_default().trim();
    let is_name = (1..=MAX_ROLE).contains(&name.len()) && !name.contains(char::is_control);
    match is_name {
        true => Ok(name.to_owned()),
        false => Err("the metadata service returned an invalid role name".to_owned()),
    }
}

fn unexpected(status: StatusCode) -> ProviderError {
    ProviderError::Transient(format!(
        "the metadata service returned HTTP {}",
        status.as_u16()
    ))
}
