//! Authentication of callers: identifies the caller of a call by bearer token, client certificate,
//! forwarded identity or address, and decides whether it is allowed. Knows neither connections nor
//! calls.

mod authenticator;
mod authorization;
mod bearer_tokens;
mod files;
mod forwarded_identity;
mod mtls;

pub use self::{
    authenticator::{Authenticator, Caller, ClientCertificate},
    authorization::bearer_token,
    bearer_tokens::BearerTokens,
    files::AuthFiles,
    forwarded_identity::forwarded_name,
};
