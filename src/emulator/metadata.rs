//! The metadata service of an instance: the name of its role, and the role's credential.

use serde::Serialize;

use super::issued::{Issued, Temporary};

/// Below this path are the pages of the metadata service.
pub(super) const ROOT: &str = "/latest/meta-data/";

/// The page with the name of the role; followed by the name, that with its credential.
const ROLE: &str = "/latest/meta-data/cam/security-credentials/";

/// How long a credential lasts, in seconds, unless that is set.
const LIFETIME: u64 = 7_200;

/// Returns the page at `path` of an instance that has `role`, and nothing if there is none.
pub(super) fn page(
    path: &str,
    role: Option<&str>,
    issued: &mut Issued,
    now: i64,
) -> Option<String> {
    let (name, role) = (path.strip_prefix(ROLE)?, role?);
    match name {
        "" => Some(role.to_owned()),
        name if name == role => Some(credential(&current(role, issued, now))),
        _ => None,
    }
}

/// Returns the same credential until half of its time is over, and then another.
fn current(role: &str, issued: &mut Issued, now: i64) -> Temporary {
    let last = issued.last_of(role);
    match last.filter(|last| now < last.renewed_at) {
        Some(last) => last.clone(),
        None => issued.issue(role, LIFETIME, now),
    }
}

fn credential(temporary: &Temporary) -> String {
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
    fn a_credential_is_handed_out_until_half_of_its_time_is_over() {
        let mut issued = Issued::default();
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
    fn there_are_no_pages_but_those_of_the_role() {
        let mut issued = Issued::default();
        let mut at = |path: &str, role: Option<&str>| page(path, role, &mut issued, 0);

        assert_eq!(at(ROLE, Some("reader")).as_deref(), Some("reader"));
        assert_eq!(at(ROLE, None), None);
        assert_eq!(at(&format!("{ROLE}writer"), Some("reader")), None);
        assert_eq!(at("/latest/meta-data/instance-id", Some("reader")), None);
    }
}
