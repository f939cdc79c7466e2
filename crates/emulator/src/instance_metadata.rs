//! Instance metadata service: serves the name of the instance's role and a temporary credential of that
//! role. Requests are not signed.

use serde::Serialize;

use super::issued_credentials::{IssuedCredentials, TemporaryCredential};

/// Path prefix of the metadata service.
pub(super) const ROOT: &str = "/latest/meta-data/";

/// Path of the role's name. Followed by the name, it is the path of the role's credential.
const ROLE: &str = "/latest/meta-data/cam/security-credentials/";

/// Default lifetime of a credential, in seconds.
const LIFETIME: u64 = 7_200;

/// Returns the page at `path` of an instance with `role`, or `None` if the page does not exist.
pub(super) fn page(
    path: &str,
    role: Option<&str>,
    issued: &mut IssuedCredentials,
    now: i64,
) -> Option<String> {
    let (name, role) = (path.strip_prefix(ROLE)?, role?);
    match name {
        "" => Some(role.to_owned()),
        name if name == role => Some(to_json(&current(role, issued, now))),
        _ => None,
    }
}

/// Returns the latest credential until half of its lifetime has passed, then issues another.
fn current(role: &str, issued: &mut IssuedCredentials, now: i64) -> TemporaryCredential {
    let last = issued.latest_for(role);
    match last.filter(|last| now < last.renewed_at) {
        Some(last) => last.clone(),
        None => issued.issue(role, LIFETIME, now),
    }
}

fn to_json(temporary: &TemporaryCredential) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Credential<'a> {
        tmp_secret_id: &'a str,
        tmp_secret_key: &'a str,
        expired_time: i64,
        expiration: String,
        token: &'a str,
        code: &'static str,
    }
    let account = &temporary.account;
    let credential = Credential {
        tmp_secret_id: account.secret_id(),
        tmp_secret_key: account.secret_key(),
        expired_time: temporary.expires,
        expiration: temporary.expiration(),
        token: account.token().unwrap_or_default(),
        code: "Success",
    };
    #[expect(
        clippy::expect_used,
        reason = "a plain struct with string keys always has a JSON form"
    )]
    serde_json::to_string(&credential).expect("a credential has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_reissued_after_half_of_its_lifetime() {
        let mut issued = IssuedCredentials::default();
        let path = format!("{ROLE}reader");
        let mut at = |now| page(&path, Some("reader"), &mut issued, now).unwrap();

        let first = at(1_000);
        assert!(
            first.contains(r#""ExpiredTime":8200,"Expiration":"1970-01-01T02:16:40Z""#),
            "{first}"
        );
        assert_eq!(at(4_599), first);
        assert_ne!(at(4_600), first);
    }

    #[test]
    fn only_the_pages_of_the_role_exist() {
        let mut issued = IssuedCredentials::default();
        let mut at = |path: &str, role: Option<&str>| page(path, role, &mut issued, 0);

        assert_eq!(at(ROLE, Some("reader")).as_deref(), Some("reader"));
        assert_eq!(at(ROLE, None), None);
        assert_eq!(at(&format!("{ROLE}writer"), Some("reader")), None);
        assert_eq!(at("/latest/meta-data/instance-id", Some("reader")), None);
    }
}
