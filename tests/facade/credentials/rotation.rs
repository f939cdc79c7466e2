//! Credential rotation: credentials are replaced under continuous load, and no call may fail.

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

use iai_emulator::{Account, Action, Emulator, Fault, FaultKind};
use iai_facade::{
    clock::Clock,
    credentials::{Credentials, ProviderContext},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::SECRETS;
use crate::harness::{Facade, error_info, group, settings, start_emulator, trace_log::TraceLog};

const CALLERS: usize = 4;
const ROLE: &str = "qcs::cam::uin/1:roleName/iai";

#[tokio::test]
async fn mounted_secrets_rotate_under_load_without_a_failed_call() {
    let log = TraceLog::listen(SECRETS);
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
        // The new key is valid before it is mounted, and the old one becomes invalid soon after. In
        // every other round, that is before the service can have seen the new one.
        facade.emulator.add_account(account(round));
        let before = credentials.counters().replaced;
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
    assert_eq!(credentials.counters().replaced, 11);
    log.assert_is_harmless();
}

#[tokio::test]
async fn a_role_is_refreshed_5_times_under_load_without_a_failed_call() {
    let log = TraceLog::listen(SECRETS);
    let emulator = start_emulator().await;
    emulator.set_credential_lifetime(lifetime(6));
    let (facade, _) = start(emulator, &["--role-arn", ROLE], &default_account()).await;
    let load = Load::start(&facade);

    let issued = facade.emulator.wait_for_credentials(6).await;

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
async fn an_sts_outage_of_half_a_lifetime_fails_no_call() {
    let log = TraceLog::listen(SECRETS);
    let lifetime = lifetime(12);
    let emulator = start_emulator().await;
    emulator.set_credential_lifetime(lifetime);
    // The first request succeeds.
    let up = Fault::from(FaultKind::Delay(Duration::ZERO));
    let down = Fault::from(FaultKind::status(http::StatusCode::SERVICE_UNAVAILABLE));
    emulator.script(up.on(Action::AssumeRole));
    emulator.script(down.on(Action::AssumeRole).times(u32::MAX));
    let (facade, credentials) = start(emulator, &["--role-arn", ROLE], &default_account()).await;
    let load = Load::start(&facade);

    // From the first refresh, after a third of the lifetime, until less than a sixth is left.
    credentials.until(|now| now.failed > 0).await;
    let at_first = credentials.counters().expires_in.unwrap();
    let almost_over = at_first.saturating_sub(lifetime / 2);
    credentials
        .until(|now| now.expires_in.unwrap() <= almost_over)
        .await;
    assert_eq!(credentials.counters().replaced, 1);
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

/// Returns the lifetime of temporary credentials: this many seconds, or the value that
/// `.ci/long.sh` sets.
fn lifetime(seconds: u64) -> Duration {
    let wanted = std::env::var("IAI_FACADE_TEST_LIFETIME").ok();
    Duration::from_secs(wanted.map_or(seconds, |wanted| wanted.parse().unwrap()))
}

#[tokio::test]
async fn the_emulator_rejects_an_expired_temporary_credential() {
    let log = TraceLog::listen(SECRETS);
    let emulator = start_emulator().await;
    let (facade, _) = start(emulator, &["--role-arn", ROLE], &default_account()).await;
    calls(&facade, 1).await;

    facade.emulator.set_clock_offset(7_300);
    let rejected = facade
        .client()
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();

    assert_eq!(error_info(&rejected).reason, "AUTH_FAILURE_TOKEN_FAILURE");
    let rejected = format!("{rejected:?}");
    assert!(!SECRETS.iter().any(|secret| rejected.contains(secret)));
    // A credential that was just obtained does not trigger another request to STS.
    assert_eq!(facade.emulator.wait_for_credentials(1).await.len(), 1);
    log.assert_is_harmless();
}

/// Starts the service with these credentials.
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
    let context = ProviderContext::new(move |name| {
        let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
        Some(value.clone())
    });
    let clock = Clock::system();
    let start = Credentials::start(
        &settings.credentials,
        &settings.upstream,
        context,
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

/// Replaces a pair of files atomically, as the kubelet does.
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

/// Sends this many calls, one after another.
async fn calls(facade: &Facade, count: usize) {
    let mut client = facade.client();
    for _ in 0..count {
        client.get_group_info(group("aaa")).await.unwrap();
    }
}

/// Callers that send calls without a pause.
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

    /// Stops the load and returns the number of calls and the outcome of those that failed.
    async fn stop(self) -> (usize, Vec<String>) {
        self.is_over.store(true, Ordering::Relaxed);
        let callers = self.callers.join_all().await.into_iter();
        let (counts, failed): (Vec<_>, Vec<_>) = callers.unzip();
        (counts.into_iter().sum(), failed.concat())
    }
}
