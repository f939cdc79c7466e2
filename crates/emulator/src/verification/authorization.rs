//! Parser of the `Authorization` header.

use crate::envelope::ApiError;

/// `TC3-HMAC-SHA256 Credential=ID/DATE/SERVICE/tc3_request, SignedHeaders=A;B, Signature=HEX`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub(super) secret_id: &'a str,
    pub(super) date: &'a str,
    pub(super) service: &'a str,
    /// Names as given, separated by `;`.
    pub(super) signed_headers: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Parses the value of the header.
    ///
    /// # Errors
    ///
    /// Fails with `AuthFailure.InvalidAuthorization` if the value has another form, or if the signed
    /// headers lack `content-type` or `host` or are not in lower case.
    pub(super) fn parse(value: &'a str) -> Result<Self, ApiError> {
        let authorization = Self::split(value).filter(|authorization| {
            let names = authorization.signed_headers;
            let signs = |required| names.split(';').any(|name| name == required);
            signs("content-type") && signs("host") && names == names.to_lowercase()
        });
        authorization.ok_or_else(|| {
            ApiError::new(
                "AuthFailure.InvalidAuthorization",
                "The Authorization header does not have the form of TC3-HMAC-SHA256.",
            )
        })
    }

    fn split(value: &'a str) -> Option<Self> {
        let mut parts = value
            .strip_prefix("TC3-HMAC-SHA256 ")?
            .split(',')
            .map(str::trim);
        let credential = parts.next()?.strip_prefix("Credential=")?;
        let signed_headers = parts.next()?.strip_prefix("SignedHeaders=")?;
        let signature = parts.next()?.strip_prefix("Signature=")?;
        let mut scope = credential.strip_suffix("/tc3_request")?.split('/');
        let authorization = Self {
            secret_id: scope.next()?,
            date: scope.next()?,
            service: scope.next()?,
            signed_headers,
            signature,
        };
        (parts.next().is_none() && scope.next().is_none()).then_some(authorization)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_form_is_parsed() {
        let value = "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/iai/tc3_request, \
                     SignedHeaders=content-type;host, Signature=72e4";
        let expected = Authorization {
            secret_id: "AKID",
            date: "2019-02-25",
            service: "iai",
            signed_headers: "content-type;host",
            signature: "72e4",
        };
        assert_eq!(Authorization::parse(value), Ok(expected));
    }

    #[test]
    fn other_forms_are_rejected() {
        let cases = [
            "",
            "SKIP",
            "Bearer abc",
            "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/iai/tc3_request",
            "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/iai, SignedHeaders=content-type;host, Signature=72e4",
            "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/iai/x/tc3_request, SignedHeaders=content-type;host, Signature=72e4",
            "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/iai/tc3_request, SignedHeaders=host, Signature=72e4",
            "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/iai/tc3_request, SignedHeaders=content-type;host;X-TC-Action, Signature=72e4",
            "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/iai/tc3_request, SignedHeaders=content-type;host, Signature=72e4, Extra=1",
        ];
        for value in cases {
            let error = Authorization::parse(value).unwrap_err();
            assert_eq!(error.code, "AuthFailure.InvalidAuthorization", "{value}");
        }
    }
}
