//! Environment provider: reads `TENCENTCLOUD_SECRET_ID` and related variables, under the names of the
//! vendor's SDKs, tools and runtimes.

use std::sync::Arc;

use super::{
    credential::Credential,
    provider::{CredentialProvider, Loading, ProviderError},
    provider_context::ProviderContext,
    provider_setup::ProviderSetup,
};

/// Returns the provider.
pub(super) fn provider(setup: &ProviderSetup<'_>) -> Box<dyn CredentialProvider> {
    Box::new(Environment(Arc::clone(&setup.context)))
}

struct Environment(Arc<ProviderContext>);

impl CredentialProvider for Environment {
    fn name(&self) -> &'static str {
        "the environment"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(async { Ok(read(&self.0)?.into()) })
    }
}

/// The variable names of one program: those of the pair, and those of the token in order of precedence.
struct Names {
    secret_id: &'static str,
    secret_key: &'static str,
    tokens: &'static [&'static str],
}

/// The names of the SDKs and of the command line; the second token name is that of Terraform.
const TOOLS: Names = Names {
    secret_id: "TENCENTCLOUD_SECRET_ID",
    secret_key: "TENCENTCLOUD_SECRET_KEY",
    tokens: &["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"],
};

/// The names set by the runtimes of cloud functions (SCF) and CloudBase.
const RUNTIME: Names = Names {
    secret_id: "TENCENTCLOUD_SECRETID",
    secret_key: "TENCENTCLOUD_SECRETKEY",
    tokens: &["TENCENTCLOUD_SESSIONTOKEN"],
};

/// Reads a credential from the variables. An empty variable counts as unset.
///
/// Id and key must be of the same set of names, since those of two sets may belong to two accounts.
/// [`TOOLS`] takes precedence over [`RUNTIME`]. A token of the other set is used only if that set has
/// no pair.
pub(super) fn read(context: &ProviderContext) -> Result<Credential, ProviderError> {
    let variable = |name| context.secret(name).map_err(ProviderError::Invalid);
    let lacking = |name| {
        ProviderError::Invalid(format!(
            "{name} is not set, but the other half of the pair is"
        ))
    };
    let pair = |names: &Names| Ok((variable(names.secret_id)?, variable(names.secret_key)?));

    let (names, other) = match (pair(&TOOLS)?, pair(&RUNTIME)?) {
        ((None, None), (None, None)) => {
            return Err(ProviderError::Absent(format!(
                "{} and {} are not set, nor {} and {}",
                TOOLS.secret_id, TOOLS.secret_key, RUNTIME.secret_id, RUNTIME.secret_key,
            )));
        }
        ((None, None), _) => (RUNTIME, Some(TOOLS)),
        (_, (None, None)) => (TOOLS, Some(RUNTIME)),
        _ => (TOOLS, None),
    };
    let (Some(secret_id), Some(secret_key)) = pair(&names)? else {
        let is_id_missing = variable(names.secret_id)?.is_none();
        return Err(lacking(match is_id_missing {
            true => names.secret_id,
            false => names.secret_key,
        }));
    };
    let others = other.map_or(&[][..], |other| other.tokens);
    let mut token = None;
    for name in names.tokens.iter().chain(others) {
        token = token.or(variable(name)?);
    }
    Credential::new(secret_id, secret_key, token)
        .map_err(|error| ProviderError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET_ID: &str = TOOLS.secret_id;
    const SECRET_KEY: &str = TOOLS.secret_key;
    const TOKEN: &str = TOOLS.tokens[0];

    fn load(variables: &[(&str, &str)]) -> Result<Credential, ProviderError> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        read(&ProviderContext::new(move |name| {
            let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
            Some(value.clone())
        }))
    }

    #[test]
    fn a_pair_is_a_credential_and_an_empty_token_is_unset() {
        let credential = load(&[(SECRET_ID, "id"), (SECRET_KEY, "key"), (TOKEN, "")]).unwrap();

        assert_eq!(credential.secret_id(), "id");
        assert_eq!(credential.secret_key(), "key");
        assert_eq!(credential.token(), None);
    }

    #[test]
    fn half_a_pair_is_invalid() {
        for pair in [
            [(SECRET_ID, "id"), (SECRET_KEY, "")],
            [(SECRET_ID, ""), (SECRET_KEY, "key")],
        ] {
            assert!(
                matches!(load(&pair), Err(ProviderError::Invalid(_))),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn no_pair_is_absent() {
        assert!(matches!(
            load(&[(TOKEN, "token")]),
            Err(ProviderError::Absent(_))
        ));
    }

    #[test]
    fn each_set_of_names_is_read_and_two_sets_never_mix() {
        let tools = [
            ("TENCENTCLOUD_SECRET_ID", "a"),
            ("TENCENTCLOUD_SECRET_KEY", "b"),
        ];
        let runtime = [
            ("TENCENTCLOUD_SECRETID", "c"),
            ("TENCENTCLOUD_SECRETKEY", "d"),
        ];
        let [token, security, session] = [
            ("TENCENTCLOUD_TOKEN", "t"),
            ("TENCENTCLOUD_SECURITY_TOKEN", "u"),
            ("TENCENTCLOUD_SESSIONTOKEN", "v"),
        ];
        let both = [tools, runtime].concat();
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Variables<'_>, Variables<'_>, &str, Option<&str>); 11] = [
            (&tools, &[], "a", None),
            (&tools, &[token, security, session], "a", Some("t")),
            (&tools, &[security, session], "a", Some("u")),
            (&tools, &[session], "a", Some("v")),
            (&runtime, &[], "c", None),
            (&runtime, &[token, security, session], "c", Some("v")),
            (&runtime, &[token, security], "c", Some("t")),
            (&runtime, &[security], "c", Some("u")),
            (&both, &[token, session], "a", Some("t")),
            (&both, &[security, session], "a", Some("u")),
            // The token belongs to the other pair.
            (&both, &[session], "a", None),
        ];
        for (pair, tokens, id, token) in cases {
            let variables = [pair, tokens].concat();
            let credential = load(&variables).unwrap();
            assert_eq!(credential.secret_id(), id, "{variables:?}");
            assert_eq!(credential.token(), token, "{variables:?}");
        }
        for halves in [[tools[0], runtime[1]], [runtime[0], tools[1]]] {
            let outcome = load(&halves);
            assert!(
                matches!(outcome, Err(ProviderError::Invalid(_))),
                "{halves:?}"
            );
        }
        for empty in [["", ""], ["", "b"]] {
            let emptied = [(tools[0].0, empty[0]), (tools[1].0, empty[1])];
            let outcome = load(&[&emptied[..], &runtime].concat());
            assert_eq!(outcome.is_ok(), empty == ["", ""], "{emptied:?}");
        }
    }
}
