//! Authentication of callers: bearer tokens, TLS and client certificates, and their rotation.

mod bearer_tokens;
mod mutual_tls;
mod rotation;
mod tls_files;
