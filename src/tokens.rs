//! The tokens that may call, of which only digests are kept.

use std::{collections::HashMap, fmt, sync::Arc};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The longest name of a token, in bytes.
const MAX_NAME: usize = 128;

/// The digest of an empty token, which is what a variable that is not set leaves behind.
const OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Names, and the SHA-256 digests of the tokens that are known by them.
///
/// A name may stand for several tokens, so that one can be replaced by another without a pause.
/// `Debug` shows none of it.
pub struct Tokens(Vec<Token>);

struct Token {
    name: Arc<str>,
    digest: [u8; 32],
}

impl Tokens {
    /// Reads lines of the form `NAME SHA256-HEX`, of which those that are blank or begin with `#` do
    /// not count.
    ///
    /// # Errors
    ///
    /// Fails with all mistakes by their lines, and without repeating any: a token that was pasted
    /// where its digest belongs must not end in a log.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
        let mut tokens = Vec::new();
        let mut mistakes = Vec::new();
        let mut lines = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = token(line).and_then(|token| match lines.insert(token.digest, number) {
                Some(earlier) => Err(format!("the digest is that of line {earlier}")),
                None => Ok(token),
            });
            match token {
                Ok(token) => tokens.push(token),
                Err(mistake) => mistakes.push(format!("line {number}: {mistake}")),
            }
        }
        if tokens.is_empty() && mistakes.is_empty() {
            mistakes.push("there is no token in it".to_owned());
        }
        if mistakes.is_empty() {
            Ok(Self(tokens))
        } else {
            Err(mistakes.join("; "))
        }
    }

    /// Returns the name of a token, if it is one of these.
    ///
    /// How long that takes does not depend on how much of a digest is right.
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

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

fn token(line: &str) -> Result<Token, String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(hexadecimal), None) = (words.next(), words.next(), words.next()) else {
        return Err("it is not of the form NAME SHA256-HEX".to_owned());
    };
    if name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the name is not of up to {MAX_NAME} visible ASCII characters"
        ));
    }
    let mut digest = [0; 32];
    match base16ct::mixed::decode(hexadecimal, &mut digest) {
        Ok(decoded) if decoded.len() == 32 => {}
        _ => return Err("the digest is not of 64 hexadecimal digits".to_owned()),
    }
    if digest == OF_NOTHING {
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
    fn a_token_is_known_by_its_digest_and_a_name_may_have_several() {
        let (old, new, other) = (digest("old"), digest("new").to_uppercase(), digest("x"));
        let text =
            format!("# rotation\n\n orders  {old} \r\norders\t{new}\n  # and\nbilling {other}");
        let tokens = Tokens::parse(text.as_bytes()).unwrap();

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
        assert_eq!(format!("{tokens:?}"), "Tokens(..)");
    }

    #[test]
    fn every_mistake_is_told_by_its_line_and_none_is_repeated() {
        let good = digest("good");
        let text = format!(
            "good {good}\ncorrect-horse\nshort abc\nlong {good}00\nword {good} more\n\
             n\u{e4}me {}\nagain {good}\nempty {}\nnohex {}",
            digest("a"),
            digest(""),
            "zz".repeat(32),
        );

        let mistakes = Tokens::parse(text.as_bytes()).unwrap_err();

        for line in 2..=9 {
            assert!(mistakes.contains(&format!("line {line}: ")), "{mistakes}");
        }
        assert_eq!(mistakes.split("; ").count(), 8, "{mistakes}");
        assert!(
            mistakes.contains("line 7: the digest is that of line 1"),
            "{mistakes}"
        );
        for secret in [&good[..8], "correct-horse", "abc", "zz"] {
            assert!(!mistakes.contains(secret), "{secret} is in {mistakes}");
        }
    }

    #[test]
    fn a_file_without_a_token_is_a_mistake() {
        for text in [&b""[..], b"# nobody yet\n\n", b"\xff\xfe"] {
            assert!(Tokens::parse(text).is_err());
        }
    }
}
