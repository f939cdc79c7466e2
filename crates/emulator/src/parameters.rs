//! Request parameters: parsed from a JSON body or from the query.

use std::borrow::Cow;

use http::{Method, request::Parts};
use serde_json::{Map, Value};

use super::{envelope::ApiError, headers::header};

/// The parameters of a request.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    values: Map<String, Value>,
    source: Source,
}

/// The origin of the parameters: in a query, all values are strings.
#[derive(Clone, Copy, Debug)]
enum Source {
    Body,
    Query,
}

impl Parameters {
    /// Parses the query of a GET, or the JSON body of any other request.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidParameter` if the body is not a JSON object, or not declared as JSON.
    pub(super) fn parse(head: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        if head.method == Method::GET {
            Ok(Self::from_query(head))
        } else {
            Self::from_body(head, body)
        }
    }

    fn from_query(head: &Parts) -> Self {
        let query = head.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let values = pairs.map(|(name, text)| (name.into_owned(), text.into()));
        Self {
            values: values.collect(),
            source: Source::Query,
        }
    }

    fn from_body(head: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        let content_type = header(head, "content-type");
        let media_type = content_type.and_then(|value| value.split(';').next());
        if !media_type.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
            return Err(invalid(
                "The content type of a POST must be `application/json`.",
            ));
        }
        let values = serde_json::from_slice(body)
            .map_err(|error| invalid(format!("The body is not a JSON object: {error}.")))?;
        Ok(Self {
            values,
            source: Source::Body,
        })
    }

    /// Rejects parameters that the action does not define.
    ///
    /// # Errors
    ///
    /// Fails with `UnknownParameter`.
    pub(super) fn allow_only(&self, names: &[&str]) -> Result<(), ApiError> {
        match self
            .values
            .keys()
            .find(|name| !names.contains(&name.as_str()))
        {
            Some(name) => Err(ApiError::new(
                "UnknownParameter",
                format!("The parameter `{name}` is not recognized."),
            )),
            None => Ok(()),
        }
    }

    /// Returns a string parameter; `null` counts as absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                Err(invalid(format!("The parameter `{name}` must be a string.")))
            }
        }
    }

    /// Returns an unsigned integer parameter; `null` counts as absent. A JSON body must contain a number,
    /// a query its digits.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let number = match (self.values.get(name), self.source) {
            (None | Some(Value::Null), _) => return Ok(None),
            (Some(Value::String(digits)), Source::Query) => digits.parse().ok(),
            (Some(value), _) => value.as_u64(),
        };
        number.map(Some).ok_or_else(|| {
            invalid(format!(
                "The parameter `{name}` must be an unsigned integer."
            ))
        })
    }

    /// Returns the parameters as a JSON object.
    pub(super) fn to_json(&self) -> Value {
        Value::Object(self.values.clone())
    }
}

fn invalid(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new("InvalidParameter", message)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_is_form_decoded() {
        let parameters = query("PersonId=-%25%40%23%26_&Offset=3&Note=a+b").unwrap();
        let expected = json!({"PersonId": "-%@#&_", "Offset": "3", "Note": "a b"});
        assert_eq!(parameters.to_json(), expected);
        assert_eq!(parameters.number("Offset"), Ok(Some(3)));
    }

    #[test]
    fn a_number_in_a_body_is_not_a_string() {
        let parameters = body("application/json", r#"{"Offset": "3", "Limit": 4}"#).unwrap();
        assert_eq!(
            parameters.number("Offset").unwrap_err().code,
            "InvalidParameter"
        );
        assert_eq!(parameters.number("Limit"), Ok(Some(4)));
        assert_eq!(
            parameters.text("Limit").unwrap_err().code,
            "InvalidParameter"
        );
    }

    #[test]
    fn negative_and_fractional_numbers_are_rejected() {
        let parameters = body("application/json", r#"{"Offset": -1, "Limit": 1.5}"#).unwrap();
        assert_eq!(
            parameters.number("Offset").unwrap_err().code,
            "InvalidParameter"
        );
        assert_eq!(
            parameters.number("Limit").unwrap_err().code,
            "InvalidParameter"
        );
        let parameters = query("Offset=-1").unwrap();
        assert_eq!(
            parameters.number("Offset").unwrap_err().code,
            "InvalidParameter"
        );
    }

    #[test]
    fn null_counts_as_absent() {
        let parameters = body("application/json", r#"{"GroupId": null}"#).unwrap();
        assert_eq!(parameters.text("GroupId"), Ok(None));
        assert_eq!(parameters.number("GroupId"), Ok(None));
    }

    #[test]
    fn the_media_type_may_have_a_charset() {
        assert!(body("application/json; charset=utf-8", "{}").is_ok());
    }

    #[test]
    fn a_body_that_is_not_a_json_object_is_rejected() {
        let cases = [
            ("application/json", ""),
            ("application/json", "[]"),
            ("application/json", "\u{feff}{}"),
            ("text/plain", "{}"),
        ];
        for (content_type, text) in cases {
            let error = body(content_type, text).unwrap_err();
            assert_eq!(error.code, "InvalidParameter", "{content_type} {text}");
        }
    }

    #[test]
    fn an_undefined_parameter_is_rejected() {
        let parameters = query("GroupId=aaa&Extra=1").unwrap();
        let error = parameters.allow_only(&["GroupId"]).unwrap_err();
        assert_eq!(error.code, "UnknownParameter");
        assert!(error.message.contains("Extra"));
    }

    fn query(query: &str) -> Result<Parameters, ApiError> {
        let request = Request::get(format!("/?{query}")).body(()).unwrap();
        Parameters::parse(&request.into_parts().0, b"")
    }

    fn body(content_type: &str, text: &str) -> Result<Parameters, ApiError> {
        let request = Request::post("/").header("content-type", content_type);
        let head = request.body(()).unwrap().into_parts().0;
        Parameters::parse(&head, text.as_bytes())
    }
}
