//! Bearer tokens: creates token files and requests with a token.

use std::fs;

use iai_facade::proto::GetGroupInfoRequest;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tonic::{Request, metadata::AsciiMetadataKey};

use crate::harness::group;

/// Returns a token file with the digests of these tokens.
pub(crate) fn tokens(named: &[(&str, &str)]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let lines = named
        .iter()
        .map(|(name, token)| format!("{name} {}\n", digest(token)));
    fs::write(&file, lines.collect::<String>()).unwrap();
    file
}

/// Returns a `GetGroupInfo` request with a bearer token.
pub(crate) fn with_token(token: &str) -> Request<GetGroupInfoRequest> {
    with_headers(&[("authorization", &format!("Bearer {token}"))])
}

/// Returns a `GetGroupInfo` request with these headers.
pub(crate) fn with_headers(headers: &[(&str, &str)]) -> Request<GetGroupInfoRequest> {
    let mut request = Request::new(group("aaa"));
    for (name, value) in headers {
        let name: AsciiMetadataKey = name.parse().unwrap();
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// Returns the digest of a token in the format of the token file.
pub(crate) fn digest(token: &str) -> String {
    base16ct::lower::encode_string(&Sha256::digest(token))
}
