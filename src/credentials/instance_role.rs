//! The role of a CVM instance, as the metadata service of the instance hands it out.

use std::{sync::OnceLock, time::Duration};

use http::StatusCode;
use reqwest::Url;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Credential, NotOffered, Obtained,
    exchange::{self, Answer, Unanswered},
};
use crate::{
    clock::Clock,
    config::{self, Endpoint},
    json::{self, Object},
};

pub(super) const NAME: &str = "the instance role";

/// Names the role, and followed by the name gives its credential.
const PATH: &str = "latest/meta-data/cam/security-credentials/";

/// The service is on the machine, or it is not there at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest name that a role can have.
const MAX_ROLE: usize = 128;

/// The metadata service.
#[derive(Debug)]
pub(super) struct Metadata {
    http: OnceLock<reqwest::Client>,
    endpoint: Endpoint,
    settings: config::Upstream,
    clock: Clock,
    /// Whether no other source is asked: then it must be there.
    is_only: bool,
}

impl Metadata {
    pub(super) fn new(
        endpoint: Endpoint,
        settings: config::Upstream,
        clock: Clock,
        is_only: bool,
    ) -> Self {
        // No proxy is on the machine: it would ask the metadata service of its own.
        let settings = config::Upstream {
            use_proxy: false,
            ..settings
        };
        Self {
            http: OnceLock::new(),
            endpoint,
            settings,
            clock,
            is_only,
        }
    }

    /// Asks for the name of the role, which may have changed, and then for its credential.
    pub(super) async fn ask(&self) -> Result<Obtained, NotOffered> {
        let mut url = self.endpoint.url().clone();
        url.set_path(PATH);
        let answer = match self.read(url.clone()).await {
            Ok(answer) => answer,
            Err(unanswered) if unanswered.is_unconnected => {
                return Err(self.absent(format!("no metadata service: {}", unanswered.reason)));
            }
            Err(unanswered) => return Err(NotOffered::Failed(unanswered.reason)),
        };
        let role = match answer.status {
            StatusCode::NOT_FOUND => {
                return Err(self.absent("no role is bound to the instance".to_owned()));
            }
            StatusCode::OK => role(&answer.body).map_err(NotOffered::Failed)?,
            status => return Err(unexpected(status)),
        };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&role);
        }

        let asked_at = Instant::now();
        let answer = self.read(url).await;
        let answer = answer.map_err(|unanswered| NotOffered::Failed(unanswered.reason))?;
        if answer.status != StatusCode::OK {
            return Err(unexpected(answer.status));
        }
        self.open(&answer, asked_at).map_err(NotOffered::Failed)
    }

    async fn read(&self, url: Url) -> Result<Answer, Unanswered> {
        let http = self.http().map_err(|reason| Unanswered {
            is_unconnected: false,
            reason,
        })?;
        exchange::send(http.get(url)).await
    }

    fn http(&self) -> Result<&reqwest::Client, String> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = exchange::client(&self.endpoint, &self.settings)?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(self.http.get_or_init(|| http))
    }

    fn open(&self, answer: &Answer, asked_at: Instant) -> Result<Obtained, String> {
        let malformed = |problem: String| format!("another answer than documented: {problem}");
        let Object(role): Object<Role> =
            json::parse(&answer.body).map_err(|error| malformed(error.to_string()))?;
        if role.code != "Success" {
            return Err("the metadata service could not give a credential for the role".to_owned());
        }
        let (Some(id), Some(key), Some(token), Some(expires)) = (
            role.tmp_secret_id,
            role.tmp_secret_key,
            role.token,
            role.expired_time,
        ) else {
            return Err(malformed("a part of the credential is missing".to_owned()));
        };
        let theirs = answer
            .date
            .unwrap_or_else(|| self.clock.now())
            .unix_timestamp();
        let expires_at = exchange::expiry(asked_at, expires, theirs)?;
        let credential = Credential::new(id, key, Some(token));
        Ok(Obtained {
            credential: credential.map_err(|error| malformed(error.to_string()))?,
            expires_at: Some(expires_at),
        })
    }

    /// Returns what it means that there is no role here.
    fn absent(&self, problem: String) -> NotOffered {
        match self.is_only {
            true => NotOffered::Failed(problem),
            false => NotOffered::Nothing(problem),
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
        false => Err("the metadata service names no role".to_owned()),
    }
}

fn unexpected(status: StatusCode) -> NotOffered {
    NotOffered::Failed(format!(
        "the metadata service answered HTTP {}",
        status.as_u16()
    ))
}
