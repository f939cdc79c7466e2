//! Metrics of the server that are read at the time of a scrape: calls in progress, connections, readiness,
//! credentials, the log.

use std::{fmt, sync::Arc};

use super::{
    calls::Calls,
    connection_metrics::ConnectionMetrics,
    connection_slots::ConnectionSlots,
    expiry::{Expiry, Kind},
    readiness::Readiness,
};
use crate::{
    metrics::{Collector, DescriptorEncoder, Labels, ProcessMetrics, Registry, Values},
    telemetry::LogControl,
    upstream::Client,
};

/// The labels of the build. A build names its commit in the environment variable `IAI_FACADE_REVISION`.
const BUILD: Labels<3> = [
    (
        "revision",
        match option_env!("IAI_FACADE_REVISION") {
            Some(revision) => revision,
            None => "",
        },
    ),
    ("rustc", env!("IAI_FACADE_RUSTC")),
    ("version", env!("CARGO_PKG_VERSION")),
];

/// What the server reads at the time of a scrape.
#[derive(Debug)]
pub(super) struct ServerCollector {
    pub(super) calls: Arc<Calls>,
    pub(super) slots: ConnectionSlots,
    pub(super) connections: ConnectionMetrics,
    pub(super) readiness: Readiness,
    pub(super) client: Client,
    pub(super) log_control: Option<LogControl>,
    pub(super) expiry: Expiry,
}

impl ServerCollector {
    /// Registers the metrics of the server, and all others that do not count calls.
    pub(super) fn register(self, registry: &mut Registry) {
        self.client.register_metrics(registry);
        registry.register_collector(Box::new(self));
        ProcessMetrics::register(registry);
    }
}

impl Collector for ServerCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut values = Values::new(encoder);
        self.encode_load(&mut values)?;
        self.encode_expiry(&mut values)?;
        values.gauges(
            "iai_facade_ready",
            "Whether a condition of readiness is met",
            self.readiness
                .conditions()
                .by_name()
                .map(|(name, is_met)| ([("condition", name)], f64::from(u8::from(is_met)))),
        )?;
        let dropped = self.log_control.as_ref().map(LogControl::dropped_lines);
        values.counter(
            "iai_facade_log_lines_dropped",
            "Lines of the log that were not written because standard error was not read",
            dropped.unwrap_or_default(),
        )?;
        values.gauges(
            "iai_facade_build_info",
            "The version of the running program, the commit if the build named it, and the compiler; \
             always 1",
            [(BUILD, 1.0)],
        )
    }
}

impl ServerCollector {
    fn encode_load(&self, values: &mut Values<'_>) -> fmt::Result {
        let (in_progress, limit) = self.calls.in_progress();
        values.gauge(
            "iai_facade_calls_in_progress",
            "Calls in progress",
            None,
            in_progress as f64,
        )?;
        values.gauge(
            "iai_facade_calls_limit",
            "Maximum number of calls in progress",
            None,
            limit as f64,
        )?;
        let (written, lost) = self.calls.audit_lines();
        values.counters(
            "iai_facade_audit_lines",
            "Lines of the audit log, by whether they were written",
            [("written", written), ("lost", lost)]
                .map(|(outcome, lines)| ([("outcome", outcome)], lines)),
        )?;
        let connections = self.slots.count();
        values.gauge(
            "iai_facade_connections",
            "Open connections to the gRPC port",
            None,
            connections.open as f64,
        )?;
        values.gauge(
            "iai_facade_connections_limit",
            "Maximum number of connections to the gRPC port",
            None,
            connections.limit as f64,
        )?;
        values.counter(
            "iai_facade_connections_accepted",
            "Connections to the gRPC port that were accepted",
            connections.accepted,
        )?;
        let by_reason = |(reason, count)| ([("reason", reason)], count);
        values.counters(
            "iai_facade_connections_rejected",
            "Connections to the gRPC port that ended during the handshake",
            self.connections.rejected().map(by_reason),
        )?;
        values.counters(
            "iai_facade_connections_closed",
            "Connections to the gRPC port that were closed after the handshake",
            self.connections.closed().map(by_reason),
        )
    }

    fn encode_expiry(&self, values: &mut Values<'_>) -> fmt::Result {
        let counters = self.client.credentials().counters();
        values.counters(
            "iai_facade_credential_refreshes",
            "Refreshes of the credential that replaced it or failed",
            [("replaced", counters.replaced), ("failed", counters.failed)]
                .map(|(outcome, refreshes)| ([("outcome", outcome)], refreshes)),
        )?;
        values.gauges(
            "iai_facade_credential_info",
            "The selected credential provider, as the log names it; always 1",
            self.client
                .credentials()
                .provider()
                .map(|provider| ([("provider", provider)], 1.0)),
        )?;
        let expiring = self.expiry.read();
        let of = |kind| expiring.iter().find(|it| it.kind == kind);
        let expiry = |kind| of(kind).map(|it| ([], it.expires_at.unix_timestamp() as f64));
        let lifetime = |kind| of(kind).map(|it| ([], it.lifetime.as_secs_f64()));
        values.gauges(
            "iai_facade_credential_expiry_timestamp_seconds",
            "Time at which the credential expires, since the Unix epoch; none if it is permanent",
            expiry(Kind::Credential),
        )?;
        values.gauges(
            "iai_facade_credential_lifetime_seconds",
            "Time from the receipt of the credential to its expiry; none if it is permanent",
            lifetime(Kind::Credential),
        )?;
        values.gauges(
            "iai_facade_tls_certificate_expiry_timestamp_seconds",
            "Time at which the server certificate expires, since the Unix epoch; none without TLS",
            expiry(Kind::ServerCertificate),
        )?;
        values.gauges(
            "iai_facade_tls_certificate_lifetime_seconds",
            "Validity period of the server certificate; none without TLS",
            lifetime(Kind::ServerCertificate),
        )?;
        values.gauges(
            "iai_facade_tls_client_ca_expiry_timestamp_seconds",
            "Time at which the first client CA expires, since the Unix epoch; none without client \
             certificates",
            expiry(Kind::ClientCa),
        )?;
        values.gauges(
            "iai_facade_tls_client_ca_lifetime_seconds",
            "Validity period of the client CA that expires first; none without client certificates",
            lifetime(Kind::ClientCa),
        )
    }
}
