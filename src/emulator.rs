//! A stand-in for the upstream API.
