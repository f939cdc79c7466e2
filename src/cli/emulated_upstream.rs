//! Emulated upstream: the emulator of `--emulate`, in this process.

use std::net::{Ipv4Addr, SocketAddr};

use iai_emulator::{Emulator, Fixtures};

use super::report::Failure;
use crate::{
    config::{self, variable},
    credentials::{self, Credential, Credentials, ProviderContext, Unavailable},
};

/// Starts an emulator, and makes it the upstream. Returns it with the credentials that it accepts. It stops
/// on drop.
///
/// # Errors
///
/// Fails if no port of loopback is available.
pub(super) async fn emulated_upstream(
    fixtures: Fixtures,
    upstream: &mut config::Upstream,
) -> Result<(Emulator, Credentials), Failure> {
    let account = fixtures.account().clone();
    let emulator = Emulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), fixtures).await?;
    tracing::warn!(
        endpoint = emulator.endpoint(),
        "EMULATED: upstream is an emulator in this process, no request is sent to Tencent Cloud",
    );
    if credentials::exist_in_environment(&ProviderContext::new(variable)) {
        tracing::warn!("credential in the environment ignored because of --emulate");
    }
    upstream.endpoint = emulator.endpoint().parse()?;
    upstream.proxies = config::Proxies::default();
    let credentials = Credentials::from_source(move || {
        let parts = [account.secret_id(), account.secret_key()].map(str::to_owned);
        let [secret_id, secret_key] = parts;
        Credential::new(secret_id, secret_key, account.token().map(str::to_owned)).map_err(
            |error| Unavailable {
                report: vec![format!("--fixtures: {error}")],
                is_transient: false,
            },
        )
    })?;
    Ok((emulator, credentials))
}
