//! Credential scenario: its set-up, events and expected outcome, read from a file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use iai_emulator::{Account, Emulator, Fault};
use iai_facade::{
    clock::Clock,
    credentials::{Credentials, ProviderContext, Unavailable},
};
use serde::Deserialize;
use tempfile::TempDir;
use tonic_types::StatusExt;

use super::SECRETS;
use crate::harness::{DeadUpstream, Facade, group, http, settings, start_emulator};

/// The contents of a scenario file. `{here}` stands for the directory of the scenario, or a copy of
/// it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The expected behaviour, in a sentence.
    #[serde(rename = "description")]
    _description: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    emulator: EmulatorState,
    /// Seconds by which the clock of the service is ahead of upstream.
    #[serde(default)]
    clock_offset: i64,
    /// Whether the metadata service refuses connections.
    #[serde(default)]
    is_metadata_absent: bool,
    /// Parts of the error with which the start fails.
    error: Option<Vec<String>>,
    #[serde(default)]
    steps: Vec<Step>,
}

/// The state of the emulator, or a change of it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmulatorState {
    account: Option<Account>,
    web_identity: Option<String>,
    instance_role: Option<String>,
    /// In seconds.
    lifetime: Option<u64>,
    faults: Option<Vec<Fault>>,
}

/// An event, the condition to wait for, and the expected state after it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    emulator: EmulatorState,
    #[serde(default)]
    write: BTreeMap<String, String>,
    #[serde(default)]
    remove: Vec<String>,
    /// The expected number of credential changes since the start.
    replaced: Option<u64>,
    /// The expected number of failed refreshes since the start.
    failed: Option<u64>,
    /// Waits until the credential has expired, or until it is valid.
    expired: Option<bool>,
    /// The expected outcome of a call: `OK` or the reason of the error.
    outcome: String,
    /// The role whose credential signs the call.
    role: Option<String>,
    /// The credential line of `/readyz?verbose`, if the service is not ready.
    not_ready: Option<Vec<String>>,
}

pub(super) struct Scenario {
    folder: TempDir,
    file: File,
}

impl Scenario {
    /// Reads a scenario and copies its directory, so that the scenario can change files.
    pub(super) fn read(source: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        copy(source, folder.path());
        let text = fs::read_to_string(source.join("scenario.toml")).unwrap();
        let text = text.replace("{here}", folder.path().to_str().unwrap());
        let file = toml::from_str(&text).unwrap_or_else(|error| panic!("{source:?}: {error}"));
        Self { folder, file }
    }

    pub(super) async fn run(self) {
        let emulator = start_emulator().await;
        self.file.emulator.apply(&emulator);
        let dead_upstream = DeadUpstream::new();
        let endpoint = emulator.endpoint();
        let metadata = match self.file.is_metadata_absent {
            true => format!("http://{}", dead_upstream.address()),
            false => endpoint.clone(),
        };
        let flags = ["--endpoint", &endpoint, "--sts-endpoint", &endpoint];
        let more = [
            "--metadata-endpoint",
            &metadata,
            "--credentials-interval",
            "100ms",
        ];
        let own: Vec<_> = self.file.flags.iter().map(String::as_str).collect();
        let flags = [&flags[..], &more, &own].concat();

        match (self.start(&flags).await, &self.file.error) {
            (Err(unavailable), Some(words)) => self.check_error(&unavailable, words),
            (Err(unavailable), None) => panic!("{unavailable}"),
            (Ok(_), Some(words)) => panic!("started without the error {words:?}"),
            (Ok(credentials), None) => {
                let clock = self.clock();
                let facade = Facade::start_at(clock, credentials.clone(), emulator, &flags).await;
                for step in &self.file.steps {
                    self.run_step(step, &facade, &credentials).await;
                }
            }
        }
    }

    async fn start(&self, flags: &[&str]) -> Result<Credentials, Unavailable> {
        let settings = settings(flags);
        let environment = self.file.environment.clone();
        let context = ProviderContext::new(move |name| environment.get(name).cloned())
            .with_system_profile(self.folder.path().join("etc/tencentcloud/credentials"));
        let clock = self.clock();
        Credentials::start(&settings.credentials, &settings.upstream, context, clock).await
    }

    fn clock(&self) -> Clock {
        let offset = self.file.clock_offset;
        let ahead = Duration::from_secs(offset.unsigned_abs());
        let system = Clock::system();
        Clock::new(move || {
            let now = SystemTime::from(system.now());
            if offset < 0 { now - ahead } else { now + ahead }
        })
    }

    fn check_error(&self, unavailable: &Unavailable, words: &[String]) {
        assert!(!unavailable.is_transient);
        let report = unavailable.to_string();
        for word in words {
            assert!(report.contains(word), "{word} is not in: {report}");
        }
        assert_is_harmless(&report);
    }

    async fn run_step(&self, step: &Step, facade: &Facade, credentials: &Credentials) {
        step.emulator.apply(&facade.emulator);
        for (path, text) in &step.write {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for path in &step.remove {
            fs::remove_file(self.path(path)).unwrap();
        }
        if let Some(count) = step.replaced {
            credentials.until(|now| now.replaced >= count).await;
        }
        if let Some(count) = step.failed {
            credentials.until(|now| now.failed >= count).await;
        }
        if let Some(expired) = step.expired {
            let is_expected = |rest: Duration| rest.is_zero() == expired;
            credentials
                .until(|now| now.expires_in.is_some_and(is_expected))
                .await;
        }

        let before = facade.emulator.requests().len();
        let response = facade.client().get_group_info(group("aaa")).await;
        let outcome = match response {
            Ok(_) => "OK".to_owned(),
            Err(status) => {
                assert_is_harmless(&format!("{status:?}"));
                status.get_details_error_info().unwrap().reason
            }
        };
        assert_eq!(outcome, step.outcome, "{:?}", credentials.failure());
        let calls = facade.emulator.requests();
        let call = calls[before..]
            .iter()
            .rfind(|call| call.action == "GetGroupInfo");
        assert_eq!(call.and_then(|call| call.role.clone()), step.role);

        let (status, page) = http(facade.addresses.admin, "GET", "/readyz?verbose", "").await;
        assert_is_harmless(&page);
        match &step.not_ready {
            None => assert_eq!(status, 200, "{page}"),
            Some(words) => {
                assert_eq!(status, 503, "{page}");
                let line = page
                    .lines()
                    .find(|line| line.starts_with("[-] credential obtained: "));
                let line = line.unwrap_or_else(|| panic!("{page}"));
                assert!(words.iter().all(|word| line.contains(word)), "{line}");
            }
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

impl EmulatorState {
    fn apply(&self, emulator: &Emulator) {
        if let Some(account) = &self.account {
            emulator.replace_account(account.clone());
        }
        if let Some(token) = &self.web_identity {
            emulator.set_web_identity_token(token);
        }
        if let Some(role) = &self.instance_role {
            emulator.set_instance_role(Some(role));
        }
        if let Some(seconds) = self.lifetime {
            emulator.set_credential_lifetime(Duration::from_secs(seconds));
        }
        if let Some(faults) = &self.faults {
            emulator.clear_script();
            faults
                .iter()
                .for_each(|fault| emulator.script(fault.clone()));
        }
    }
}

fn assert_is_harmless(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

fn copy(source: &Path, target: &Path) {
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let target = target.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
