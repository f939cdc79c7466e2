//! Files named by settings and environment variables: reads them in bounded time and size, waits until
//! they have settled, parses the secrets in them, and reads them again when they change.

pub mod bounded_file;
pub mod file_watcher;
pub mod reload_requests;
pub mod secret_text;
pub mod settled_files;
