//! Query parameters of control requests.

use std::{borrow::Cow, collections::BTreeMap, ops::RangeInclusive};

use super::reply::Rejection;

/// The parameters of a query, by name.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Parses a query with the parameters `names`.
    ///
    /// # Errors
    ///
    /// Fails if a parameter is unknown, occurs twice, or is not UTF-8.
    pub(super) fn parse(query: Option<&str>, names: &[&str]) -> Result<Self, Rejection> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !names.contains(&name.as_ref()) {
                let allowed = match names {
                    [] => Cow::Borrowed("this operation has none"),
                    names => Cow::Owned(format!("allowed: {}", names.join(", "))),
                };
                return Err(Rejection::invalid_query(format!(
                    "unknown query parameter `{name}`; {allowed}"
                )));
            }
            if value.contains(char::REPLACEMENT_CHARACTER) {
                let message = format!("the query parameter `{name}` must be UTF-8");
                return Err(Rejection::invalid_query(message));
            }
            let name = name.into_owned();
            if values.contains_key(&name) {
                let message = format!("the query parameter `{name}` occurs twice");
                return Err(Rejection::invalid_query(message));
            }
            values.insert(name, value.into_owned());
        }
        Ok(Self(values))
    }

    /// Returns a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns an integer parameter.
    ///
    /// # Errors
    ///
    /// Fails if it is not an integer within `bounds`.
    pub(super) fn number(
        &self,
        name: &str,
        bounds: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Rejection> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.filter(|_| is_digits).map(Some).ok_or_else(|| {
            let (min, max) = bounds.into_inner();
            Rejection::invalid_query(format!(
                "the query parameter `{name}` must be an integer from {min} to {max}"
            ))
        })
    }

    /// Returns the parameter `limit`: the number of entries of a page, 100 by default.
    ///
    /// # Errors
    ///
    /// Fails if it is not from 1 to 1,000.
    pub(super) fn limit(&self) -> Result<usize, Rejection> {
        Ok(self.number("limit", 1..=1_000)?.unwrap_or(100))
    }
}
