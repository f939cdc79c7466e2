//! The role of a TKE service account, whose projected token is exchanged at STS.

use std::path::Path;

use http::HeaderValue;

use super::{
    NotOffered, Obtained, Surroundings, local_file,
    sts::{Sts, WebIdentity},
};

pub(super) const NAME: &str = "TKE web identity";

// Set in pods by TKE; the vendor's SDKs read these and no others.
const REGION: &str = "TKE_REGION";
const PROVIDER_ID: &str = "TKE_PROVIDER_ID";
const TOKEN_FILE: &str = "TKE_WEB_IDENTITY_TOKEN_FILE";
const ROLE_ARN: &str = "TKE_ROLE_ARN";

/// Reads the token anew, since it is replaced before it expires, and exchanges it.
pub(super) async fn ask(surroundings: &Surroundings, sts: &Sts) -> Result<Obtained, NotOffered> {
    let names = [REGION, PROVIDER_ID, TOKEN_FILE, ROLE_ARN];
    let values = names.map(|name| surroundings.variable(name));
    let missing: Vec<_> = names
        .iter()
        .zip(&values)
        .filter_map(|(name, value)| value.is_none().then_some(*name))
        .collect();
    let [
        Some(region),
        Some(provider_id),
        Some(token_file),
        Some(role_arn),
    ] = values
    else {
        let are_all_missing = missing.len() == names.len();
        let problem = format!("not set: {}", missing.join(", "));
        return Err(match are_all_missing {
            true => NotOffered::Nothing(problem),
            false => NotOffered::Broken(format!("{problem}, and the others are")),
        });
    };
    let region = HeaderValue::from_str(&region)
        .map_err(|_| NotOffered::Broken(format!("{REGION} cannot be a region")))?;
    let token = token(&token_file)
        .map_err(|problem| NotOffered::Broken(format!("{TOKEN_FILE}, {token_file}: {problem}")))?;
    sts.assume_role_with_web_identity(WebIdentity {
        region,
        provider_id: &provider_id,
        token: &token,
        role_arn: &role_arn,
    })
    .await
}

fn token(path: &str) -> Result<String, String> {
    let text = local_file::read(Path::new(path)).map_err(|error| error.to_string())?;
    let token = text.trim_end();
    if token.is_empty() {
        return Err("empty".to_owned());
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds a blank or another character that is not visible ASCII".to_owned());
    }
    Ok(token.to_owned())
}
