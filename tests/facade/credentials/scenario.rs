//! One scenario: what there is, what happens, and what must come of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use iai_facade::{
    clock::Clock,
    credentials::{Credentials, Surroundings, Unavailable},
    emulator::{Account, Emulator, Fault},
};
use serde::Deserialize;
use tempfile::TempDir;
use tonic_types::StatusExt;

use super::SECRETS;
use crate::harness::{Facade, Nobody, group, http, settings, start_emulator};

/// A scenario as its file has it. `{here}` in it is the folder of the scenario, or a copy of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the scenario is about, in a sentence.
    #[serde(rename = "says")]
    _says: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    emulator: World,
    /// Seconds that the machine's clock is ahead of everybody else's.
    #[serde(default)]
    clock_offset: i64,
    /// Whether nobody is where the metadata service should be.
    #[serde(default)]
    is_metadata_absent: bool,
    /// What the start is refused with: words of the report.
    refused: Option<Vec<String>>,
    #[serde(default)]
    steps: Vec<Step>,
}

/// What the emulator is like, or becomes.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    account: Option<Account>,
    web_identity: Option<String>,
    instance_role: Option<String>,
    /// In seconds.
    lifetime: Option<u64>,
    faults: Option<Vec<Fault>>,
}

/// Something that happens, then something to wait for, and then what must be so.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    emulator: World,
    #[serde(default)]
    write: BTreeMap<String, String>,
    #[serde(default)]
    remove: Vec<String>,
    /// How often the credential must have been replaced since the start.
    replaced: Option<u64>,
    /// How often sources must have failed since the start.
    failed: Option<u64>,
    /// Whether the credential must have expired first, or must be one that has not.
    expired: Option<bool>,
    /// `OK`, or the reason of the error with which a call ends.
    answer: String,
    /// The role that the call is signed for.
    role: Option<String>,
    /// What `/readyz?verbose` says of the credential, if the service is not ready.
    unready: Option<Vec<String>>,
}

pub(super) struct Scenario {
    folder: TempDir,
    file: File,
}

impl Scenario {
    /// Reads a scenario, and copies its folder, so that it can change what is in it.
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
        let nobody = Nobody::new();
        let endpoint = emulator.endpoint();
        let metadata = match self.file.is_metadata_absent {
            true => format!("http://{}", nobody.address()),
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

        match (self.start(&flags).await, &self.file.refused) {
            (Err(unavailable), Some(words)) => self.check_refusal(&unavailable, words),
            (Err(unavailable), None) => panic!("{unavailable}"),
            (Ok(_), Some(words)) => panic!("it started, and not with {words:?}"),
            (Ok(credentials), None) => {
                let clock = self.clock();
                let facade = Facade::start_at(clock, credentials.clone(), emulator, &flags).await;
                for step in &self.file.steps {
                    self.go(step, &facade, &credentials).await;
                }
            }
        }
    }

    async fn start(&self, flags: &[&str]) -> Result<Credentials, Unavailable> {
        let settings = settings(flags);
        let environment = self.file.environment.clone();
        let surroundings = Surroundings::new(move |name| environment.get(name).cloned())
            .with_system_profile(self.folder.path().join("etc/tencentcloud/credentials"));
        let clock = self.clock();
        Credentials::start(
            &settings.credentials,
            &settings.upstream,
            surroundings,
            clock,
        )
        .await
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

    fn check_refusal(&self, unavailable: &Unavailable, words: &[String]) {
        assert!(!unavailable.is_passing);
        let report = unavailable.to_string();
        for word in words {
            assert!(report.contains(word), "{word} is not in: {report}");
        }
        assert_is_harmless(&report);
    }

    async fn go(&self, step: &Step, facade: &Facade, credentials: &Credentials) {
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
            let is_so = |rest: Duration| rest.is_zero() == expired;
            credentials
                .until(|now| now.expires_in.is_some_and(is_so))
                .await;
        }

        let before = facade.emulator.calls().len();
        let answer = facade.client().get_group_info(group("aaa")).await;
        let outcome = match answer {
            Ok(_) => "OK".to_owned(),
            Err(status) => {
                assert_is_harmless(&format!("{status:?}"));
                status.get_details_error_info().unwrap().reason
            }
        };
        assert_eq!(outcome, step.answer, "{:?}", credentials.failure());
        let calls = facade.emulator.calls();
        let call = calls[before..]
            .iter()
            .rfind(|call| call.action == "GetGroupInfo");
        assert_eq!(call.and_then(|call| call.role.clone()), step.role);

        let (status, page) = http(facade.addresses.admin, "GET", "/readyz?verbose", "").await;
        assert_is_harmless(&page);
        match &step.unready {
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

impl World {
    fn apply(&self, emulator: &Emulator) {
        if let Some(account) = &self.account {
            emulator.replace_account(account.clone());
        }
        if let Some(token) = &self.web_identity {
            emulator.replace_web_identity(token);
        }
        if let Some(role) = &self.instance_role {
            emulator.set_instance_role(Some(role));
        }
        if let Some(seconds) = self.lifetime {
            emulator.issue_for(Duration::from_secs(seconds));
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
