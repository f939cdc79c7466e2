//! The operations of the API, from the client to the emulator and back.

mod emulator;
mod emulator_tls;
mod get_group_info;
mod get_person_group_info;
mod reflection;
mod upstream_requests;
