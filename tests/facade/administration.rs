//! Running the service: command line, variables, files, admin port, health, logs and shutdown.

mod access_log;
mod admin_port;
mod audit_log;
mod call_command;
mod command_line;
mod debug_log;
mod emulate_command;
mod expiry;
mod fault_visibility;
mod files;
mod health;
mod log_output;
mod metric_bounds;
mod metrics;
mod otel_variables;
mod probe;
mod shutdown;
mod state_changes;
mod status_page;
mod traces;
mod variables;
