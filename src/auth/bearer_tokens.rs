//! Bearer tokens of callers: parses the tokens file and looks up the name of a token. The file and
//! this module hold only SHA-256 digests of the tokens.

use std::{collections::HashMap, fmt, sync::Arc};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::files::secret_text;

/// The longest name of a token, in bytes.
const MAX_NAME: usize = 128;

/// The digest of the empty token, which a script produces from an unset variable.
const EMPTY_DIGEST: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The accepted bearer tokens: names with SHA-256 digests.
///
/// A name may have several tokens, so that one can be rotated without downtime. `Debug` shows neither
/// names nor digests.
pub struct BearerTokens(Vec<Token>);

struct Token {
    name: Arc<str>,
    digest: [u8; 32],
}

impl BearerTokens {
    /// Parses lines of the form `NAME SHA256-HEX`. Blank lines and lines that begin with `#` are ignored.
    ///
    /// # Errors
    ///
    /// Fails with all errors and their line numbers. The message repeats no part of the file: a token
    /// that was pasted in place of its digest must not appear in a log.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = secret_text::decode(text).map_err(|error| error.to_string())?;
        let mut tokens = Vec::new();
        let mut errors = Vec::new();
        let mut lines = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = token(line).and_then(|token| match lines.insert(token.digest, number) {
                Some(earlier) => Err(format!("same digest as line {earlier}")),
                None => Ok(token),
            });
            match token {
                Ok(token) => tokens.push(token),
                Err(error) => errors.push(format!("line {number}: {error}")),
            }
        }
        if tokens.is_empty() && errors.is_empty() {
            errors.push("contains no tokens".to_owned());
        }
        if errors.is_empty() {
            Ok(Self(tokens))
        } else {
            Err(errors.join("; "))
        }
    }

    /// Returns the name of a token, or `None` if it is not accepted.
    ///
    /// Compares in constant time: the duration does not depend on how much of a digest matches.
    pub fn name_of(&self, token: &[u8]) -> Option<Arc<str>> {
        let digest = Sha256::digest(token);
        let mut name = None;
        for token in &self.0 {
            if bool::from(token.digest.ct_eq(&digest)) {
                name = Some(&token.name);
            }
        }
        name.cloned()
    }
}

impl fmt::Debug for BearerTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerTokens(..)")
    }
}

fn token(line: &str) -> Result<Token, String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(hexadecimal), None) = (words.next(), words.next(), words.next()) else {
        return Err("not of the form NAME SHA256-HEX".to_owned());
    };
    if name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the name must be 1 to {MAX_NAME} visible ASCII characters"
        ));
    }
    let mut digest = [0; 32];
    match base16ct::mixed::decode(hexadecimal, &mut digest) {
        Ok(decoded) if decoded.len() == 32 => {}
        _ => return Err("the digest must be 64 hexadecimal digits".to_owned()),
    }
    if digest == EMPTY_DIGEST {
        return Err("the digest is that of an empty token".to_owned());
    }
    let name = Arc::from(name);
    Ok(Token { name, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(token: &str) -> String {
        base16ct::lower::encode_string(&Sha256::digest(token))
    }

    #[test]
    fn a_token_is_found_by_its_digest_and_a_name_may_have_several() {
        let (old, new, other) = (digest("old"), digest("new").to_uppercase(), digest("x"));
        let text = format!(
            "\u{feff}# rotation\n\n orders  {old} \r\norders\t{new}\n  # and\nbilling {other}"
        );
        let tokens = BearerTokens::parse(text.as_bytes()).unwrap();

        for (token, name) in [
            ("old", Some("orders")),
            ("new", Some("orders")),
            ("x", Some("billing")),
            ("X", None),
            ("", None),
            (&old, None),
        ] {
            assert_eq!(tokens.name_of(token.as_bytes()).as_deref(), name, "{token}");
        }
        assert_eq!(format!("{tokens:?}"), "BearerTokens(..)");
    }

    #[test]
    fn errors_name_their_lines_and_repeat_no_content() {
        let good = digest("good");
        let text = format!(
            "good {good}\ncorrect-horse\nshort abc\nlong {good}00\nword {good} more\n\
             n\u{e4}me {}\nagain {good}\nempty {}\nnohex {}",
            digest("a"),
            digest(""),
            "zz".repeat(32),
        );

        let errors = BearerTokens::parse(text.as_bytes()).unwrap_err();

        for line in 2..=9 {
            assert!(errors.contains(&format!("line {line}: ")), "{errors}");
        }
        assert_eq!(errors.split("; ").count(), 8, "{errors}");
        assert!(errors.contains("line 7: same digest as line 1"), "{errors}");
        for secret in [&good[..8], "correct-horse", "abc", "zz"] {
            assert!(!errors.contains(secret), "{secret} is in {errors}");
        }
    }

    #[test]
    fn a_file_without_tokens_is_an_error() {
        for text in [&b""[..], b"# no tokens yet\n\n", b"\xff\xfe"] {
            assert!(BearerTokens::parse(text).is_err());
        }
    }
}
