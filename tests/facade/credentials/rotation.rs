//! Credentials that are replaced while calls go on without a pause: not one call may notice.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use iai_facade::{
    clock::Clock,
    credentials::{Credentials, Surroundings},
    emulator::{Account, Action, Emulator, Fault, FaultKind},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::SECRETS;
use crate::{
    harness::{Facade, error_info, group, settings, start_emulator},
    loud_log::LoudLog,
};

const CALLERS: usize = 4;
const ROLE: &str = "qcs::cam::uin/1:roleName/iai";

#[tokio::test]
async fn mounted_secrets_are_rotated_under_load_and_no_call_fails() {
    let log = LoudLog::listen(SECRETS);
    let emulator = start_emulator().await;
    let mount = TempDir::new().unwrap();
    let file = |name: &str| mount.path().join(name).to_str().unwrap().to_owned();
    swap(mount.path(), 0);
    for name in ["id", "key"] {
        symlink(format!("..data/{name}"), mount.path().join(name)).unwrap();
    }
    emulator.replace_account(account(0));
    let (id, key) = (file("id"), file("key"));
    let flags = ["--secret-id-file", &id, "--secret-key-file", &key];
    let (facade, credentials) = start(emulator, &flags, &[]).await;
    let load = Load::start(&facade);

    for round in 1..=10 {
        // The new key is good before it is mounted, and the old one no longer soon after. In every
        // other round that is before the service can have seen the new one.
        facade.emulator.accept_account(account(round));
        let before = credentials.statistics().replaced;
        swap(mount.path(), round);
        if round % 2 == 0 {
            credentials.until(|now| now.replaced > before).await;
        }
        facade.emulator.replace_account(account(round));
        credentials.until(|now| now.replaced > before).await;
        calls(&facade, 20).await;
    }

    let (calls, failed) = load.stop().await;
    assert!(
        failed.is_empty(),
        "{} of {calls}: {}",
        failed.len(),
        failed[0]
    );
    assert_eq!(credentials.statistics().replaced, 11);
    log.assert_is_harmless();
}

#[tokio::test]
async fn a_role_is_renewed_5_times_under_load_and_no_call_fails() {
    let log = LoudLog::listen(SECRETS);
    let emulator = start_emulator().await;
    emulator.issue_for(lifetime(6));
    let (facade, _) = start(emulator, &["--role-arn", ROLE], &default_account()).await;
    let load = Load::start(&facade);

    let issued = facade.emulator.issued(6).await;

    let (calls, failed) = load.stop().await;
    assert!(
        failed.is_empty(),
        "{} of {calls}: {}",
        failed.len(),
        failed[0]
    );
    assert!(issued.len() >= 6);
    log.assert_is_harmless();
}

#[tokio::test]
async fn sts_is_down_for_half_a_lifetime_under_load_and_no_call_fails() {
    let log = LoudLog::listen(SECRETS);
    let lifetime = lifetime(12);
    let emulator = start_emulator().await;
    emulator.issue_for(lifetime);
    // The first request is answered.
    let up = Fault::from(FaultKind::Delay(Duration::ZERO));
    let down = Fault::from(FaultKind::status(http::StatusCode::SERVICE_UNAVAILABLE));
    emulator.script(up.on(Action::AssumeRole));
    emulator.script(down.on(Action::AssumeRole).times(u32::MAX));
    let (facade, credentials) = start(emulator, &["--role-arn", ROLE], &default_account()).await;
    let load = Load::start(&facade);

    // From the first renewal, at a third, until there is less left than a sixth.
    credentials.until(|now| now.failed > 0).await;
    let at_first = credentials.statistics().expires_in.unwrap();
    let almost_over = at_first.saturating_sub(lifetime / 2);
    credentials
        .until(|now| now.expires_in.unwrap() <= almost_over)
        .await;
    assert_eq!(credentials.statistics().replaced, 1);
    facade.emulator.clear_script();
    credentials.until(|now| now.replaced == 2).await;
    calls(&facade, 20).await;

    let (calls, failed) = load.stop().await;
    assert!(
        failed.is_empty(),
        "{} of {calls}: {}",
        failed.len(),
        failed[0]
    );
    log.assert_is_harmless();
}

/// Returns how long temporary credentials last: so many seconds, or what `.ci/long` wants.
fn lifetime(seconds: u64) -> Duration {
    let wanted = std::env::var("IAI_FACADE_TEST_LIFETIME").ok();
    Duration::from_secs(wanted.map_or(seconds, |wanted| wanted.parse().unwrap()))
}

#[tokio::test]
async fn a_temporary_credential_is_refused_by_upstream_once_it_has_expired() {
    let log = LoudLog::listen(SECRETS);
    let emulator = start_emulator().await;
    let (facade, _) = start(emulator, &["--role-arn", ROLE], &default_account()).await;
    calls(&facade, 1).await;

    facade.emulator.offset_clock(7_300);
    let refused = facade
        .client()
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();

    assert_eq!(error_info(&refused).reason, "AUTH_FAILURE_TOKEN_FAILURE");
    let refused = format!("{refused:?}");
    assert!(!SECRETS.iter().any(|secret| refused.contains(secret)));
    // One that was obtained just now is no reason to call STS again.
    assert_eq!(facade.emulator.issued(1).await.len(), 1);
    log.assert_is_harmless();
}

/// Starts the service with credentials of its own.
async fn start(
    emulator: Emulator,
    flags: &[&str],
    variables: &[(&'static str, String)],
) -> (Facade, Credentials) {
    let endpoint = emulator.endpoint();
    let ours = ["--endpoint", &endpoint, "--sts-endpoint", &endpoint];
    let interval = ["--credentials-interval", "100ms"];
    let flags = [&ours[..], &interval, flags].concat();
    let settings = settings(&flags);
    let variables = variables.to_vec();
    let surroundings = Surroundings::new(move |name| {
        let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
        Some(value.clone())
    });
    let clock = Clock::system();
    let start = Credentials::start(
        &settings.credentials,
        &settings.upstream,
        surroundings,
        clock.clone(),
    );
    let credentials = start.await.unwrap();
    let facade = Facade::start_at(clock, credentials.clone(), emulator, &flags).await;
    (facade, credentials)
}

fn default_account() -> [(&'static str, String); 2] {
    let account = Account::default();
    [
        ("TENCENTCLOUD_SECRET_ID", account.secret_id().to_owned()),
        ("TENCENTCLOUD_SECRET_KEY", account.secret_key().to_owned()),
    ]
}

fn account(round: usize) -> Account {
    Account::new(format!("AKIDround{round}"), format!("key-of-round-{round}"))
}

/// Puts a pair of files into the place of another, all at once, as kubelet does it.
fn swap(mount: &Path, round: usize) {
    let account = account(round);
    let folder = mount.join(format!("..2026_{round}"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("id"), account.secret_id()).unwrap();
    fs::write(folder.join("key"), account.secret_key()).unwrap();
    symlink(&folder, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if let Some(before) = round.checked_sub(1) {
        fs::remove_dir_all(mount.join(format!("..2026_{before}"))).unwrap();
    }
}

/// Makes so many calls, one after the other.
async fn calls(facade: &Facade, count: usize) {
    let mut client = facade.client();
    for _ in 0..count {
        client.get_group_info(group("aaa")).await.unwrap();
    }
}

/// Callers that call without a pause.
struct Load {
    callers: JoinSet<(usize, Vec<String>)>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    fn start(facade: &Facade) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let mut client = facade.client();
            let is_over = Arc::clone(&is_over);
            callers.spawn(async move {
                let (mut count, mut failed) = (0, Vec::new());
                while !is_over.load(Ordering::Relaxed) {
                    count += 1;
                    if let Err(status) = client.get_group_info(group("aaa")).await {
                        failed.push(format!("{}: {}", status.code(), status.message()));
                    }
                }
                (count, failed)
            });
        }
        Self { callers, is_over }
    }

    /// Ends the load, and returns how many calls were made, and what became of those that failed.
    async fn stop(self) -> (usize, Vec<String>) {
        self.is_over.store(true, Ordering::Relaxed);
        let callers = self.callers.join_all().await.into_iter();
        let (counts, failed): (Vec<_>, Vec<_>) = callers.unzip();
        (counts.into_iter().sum(), failed.concat())
    }
}
