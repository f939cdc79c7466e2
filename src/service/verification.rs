//! Startup verification: checks with one signed request that upstream accepts the credential.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    context::{Context, Deadline, Identity},
    error_chain::error_chain,
    operation::{Operation, get_group_info::GetGroupInfo},
    upstream::{ApiRequest, Cacheable, Client, Decoded, Error},
};

/// A valid, read-only request for a group that is unlikely to exist: any response but an authentication
/// failure proves the credential.
const PARAMETERS: &[u8] = br#"{"GroupId":"iai-facade-verification"}"#;

/// The content of the response does not matter.
const UNDECODED: Decoded<()> = Decoded {
    message: (),
    cacheable: Cacheable::No,
};

/// Sends one signed request; succeeds unless upstream rejects its signature or cannot be reached.
///
/// # Errors
///
/// Fails with the response of upstream, or the reason why there was none, for the operator.
pub(crate) async fn verify(client: &Client, timeout: Duration) -> Result<(), String> {
    let request = ApiRequest {
        action: GetGroupInfo::ACTION,
        parameters: Bytes::from_static(PARAMETERS),
        id: |_| None,
    };
    let deadline = Deadline::new(Instant::now(), None, timeout);
    let myself = Identity::Address(Ipv4Addr::LOCALHOST.into());
    let context = Arc::new(Context::new(deadline, false, myself).uncached());
    match tokio::time::timeout(timeout, client.call(request, |_, _| UNDECODED, &context)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Error::Api(error))) if !error.code.starts_with("AuthFailure") => Ok(()),
        Ok(Err(error)) => Err(error_chain(&error)),
        Err(_) => Err("upstream did not respond in time".to_owned()),
    }
}
