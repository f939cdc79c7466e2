//! `TENCENTCLOUD_SECRET_ID` and its companions, as the vendor's SDKs and command line name them.

use super::{Credential, NotOffered, Surroundings};

pub(super) const NAME: &str = "the environment";

const SECRET_ID: &str = "TENCENTCLOUD_SECRET_ID";
const SECRET_KEY: &str = "TENCENTCLOUD_SECRET_KEY";
const TOKEN: &str = "TENCENTCLOUD_TOKEN";

/// Reads a credential from the variables that are set. An empty one counts as not set.
pub(super) fn read(surroundings: &Surroundings) -> Result<Credential, NotOffered> {
    let variable = |name| surroundings.variable(name);
    let lacking = |name| NotOffered::Broken(format!("{name} is not set, and its companion is"));

    match (variable(SECRET_ID), variable(SECRET_KEY)) {
        (Some(secret_id), Some(secret_key)) => {
            Credential::new(secret_id, secret_key, variable(TOKEN))
                .map_err(|error| NotOffered::Broken(error.to_string()))
        }
        (None, Some(_)) => Err(lacking(SECRET_ID)),
        (Some(_), None) => Err(lacking(SECRET_KEY)),
        (None, None) => Err(NotOffered::Nothing(format!(
            "{SECRET_ID} and {SECRET_KEY} are not set"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(variables: &[(&str, &str)]) -> Result<Credential, NotOffered> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        read(&Surroundings::new(move |name| {
            let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
            Some(value.clone())
        }))
    }

    #[test]
    fn a_pair_is_a_credential_and_an_empty_token_is_none() {
        let credential = answer(&[(SECRET_ID, "id"), (SECRET_KEY, "key"), (TOKEN, "")]).unwrap();

        assert_eq!(credential.secret_id(), "id");
        assert_eq!(credential.secret_key(), "key");
        assert_eq!(credential.token(), None);
    }

    #[test]
    fn half_a_pair_is_broken() {
        for pair in [
            [(SECRET_ID, "id"), (SECRET_KEY, "")],
            [(SECRET_ID, ""), (SECRET_KEY, "key")],
        ] {
            assert!(
                matches!(answer(&pair), Err(NotOffered::Broken(_))),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn no_variable_is_nothing() {
        assert!(matches!(
            answer(&[(TOKEN, "token")]),
            Err(NotOffered::Nothing(_))
        ));
    }
}
