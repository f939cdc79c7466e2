//! Whether upstream accepts who signs the calls.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    chain::chain,
    context::Context,
    deadline::Deadline,
    identity::Identity,
    operation::{Operation, get_group_info::GetGroupInfo},
    upstream::{Call, Client, Error, Meaning},
};

/// A well-formed question about a group that hardly exists: it reads, and any answer will do.
const PARAMETERS: &[u8] = br#"{"GroupId":"iai-facade-verification"}"#;

/// Makes one signed call, of which any answer is good but one that does not accept who signed.
///
/// # Errors
///
/// Fails with what upstream answered, or why it did not, in a sentence for operators.
pub(crate) async fn verify(client: &Client, timeout: Duration) -> Result<(), String> {
    let call = Call {
        action: GetGroupInfo::ACTION,
        parameters: Bytes::from_static(PARAMETERS),
        meaning: |_| Meaning::Nothing,
    };
    let deadline = Deadline::new(Instant::now(), None, timeout);
    let myself = Identity::Address(Ipv4Addr::LOCALHOST.into());
    let context = Arc::new(Context::new(deadline, false, myself).uncached());
    match tokio::time::timeout(timeout, client.call(&call, &context)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Error::Refused(refusal))) if !refusal.code.starts_with("AuthFailure") => Ok(()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err("upstream did not answer in time".to_owned()),
    }
}
