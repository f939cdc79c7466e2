//! TLS: configuration of clients and of the gRPC port, PEM files, and what is wrong with a certificate.
//! Opens no connection.

pub mod certificate;
pub mod client;
pub mod pem;
pub mod server;
