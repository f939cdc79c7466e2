//! Settings of traces: the standard variables of OpenTelemetry, and nothing else.

mod endpoint;
mod lists;
mod values;
mod variables;

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue};

use self::{
    endpoint::endpoint,
    lists::{headers, resource},
    values::{
        Share, compression, count, exporter_is_otlp, milliseconds, propagators, queue_size, ratio,
        sampler, switch,
    },
    variables::Variables,
};
use super::{Invalid, Problems, parsed};
use crate::{
    files::bounded_file::{self, FileKind},
    tls::pem,
};

pub use self::endpoint::Protocol;

/// The settings of traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Whether the trace context of clients is read.
    pub reads_parent: bool,
    /// How spans are exported; `None` if they are not recorded.
    pub export: Option<TraceExport>,
}

/// The PEM texts of a client certificate and its key.
type Identity = (Vec<u8>, Vec<u8>);

/// How spans are exported.
#[derive(Clone, PartialEq)]
pub struct TraceExport {
    /// The protocol.
    pub protocol: Protocol,
    /// The URL of the collector; for HTTP with the path.
    pub endpoint: String,
    /// The headers of each request, which may be secret.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The maximum time of a request.
    pub timeout: Duration,
    /// Whether requests are compressed by gzip.
    pub is_compressed: bool,
    /// The PEM text of the authorities to trust in place of the system's.
    pub authorities: Option<Vec<u8>>,
    /// The client certificate.
    pub identity: Option<Identity>,
    /// Whether the sampling flag of the client decides, if it sent a trace context.
    pub is_parent_based: bool,
    /// The share of the other calls that is sampled, from 0 to 1.
    pub ratio: f64,
    /// The maximum time between two exports.
    pub delay: Duration,
    /// The maximum time of an export with its retries.
    pub export_timeout: Duration,
    /// The maximum number of spans that wait for their export.
    pub max_queue: usize,
    /// The maximum number of spans of an export.
    pub max_batch: usize,
    /// The maximum number of attributes of a span.
    pub max_attributes: usize,
    /// The maximum number of links of a span.
    pub max_links: usize,
    /// The attributes of the resource.
    pub resource: Vec<(String, String)>,
}

/// Without headers and keys.
impl fmt::Debug for TraceExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceExport")
            .field("protocol", &self.protocol)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Traces {
    /// Reads the variables with `variable`, which returns `None` for an empty one.
    pub(super) fn checked(
        variable: impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Result<Self, Invalid> {
        let mut variables = Variables::new(&variable, problems);
        let reads_parent = variables.own("PROPAGATORS", "tracecontext,baggage", propagators);
        let is_disabled = variables.own("SDK_DISABLED", "false", switch);
        let has_endpoint = variables.otlp_value("ENDPOINT").is_some();
        let exporter = if has_endpoint { "otlp" } else { "none" };
        let exports = variables.own("TRACES_EXPORTER", exporter, exporter_is_otlp);
        let export = match (is_disabled?, exports?) {
            (false, true) => Some(TraceExport::checked(&mut variables)?),
            (true, _) | (_, false) => None,
        };
        Ok(Self {
            reads_parent: reads_parent?,
            export,
        })
    }
}

impl TraceExport {
    fn checked(variables: &mut Variables<'_>) -> Result<Self, Invalid> {
        let to = endpoint(variables);
        let headers = variables.otlp("HEADERS", "", headers);
        let timeout = variables.otlp("TIMEOUT", "10000", milliseconds);
        let is_compressed = variables.otlp("COMPRESSION", "none", compression);
        let authorities = variables.otlp("CERTIFICATE", "", certificates);
        let certificate = variables.otlp("CLIENT_CERTIFICATE", "", certificates);
        let key = variables.otlp("CLIENT_KEY", "", key);
        let identity = match (certificate, key) {
            (Ok(certificate), Ok(key)) => identity(variables, certificate, key),
            _ => Err(Invalid),
        };

        let sampler = variables.own("TRACES_SAMPLER", "parentbased_always_on", sampler);
        let share = sampler.map(|(_, share)| share);
        let ratio = match share {
            Ok(Share::Argument) => variables.own("TRACES_SAMPLER_ARG", "1", ratio),
            Ok(Share::All) => Ok(1.0),
            Ok(Share::None) => Ok(0.0),
            Err(Invalid) => Err(Invalid),
        };

        let delay = variables.own("BSP_SCHEDULE_DELAY", "5000", milliseconds);
        let export_timeout = variables.own("BSP_EXPORT_TIMEOUT", "30000", milliseconds);
        let max_queue = variables.own("BSP_MAX_QUEUE_SIZE", "2048", queue_size);
        let max_batch = match max_queue {
            Ok(max_queue) => {
                let default = max_queue.min(512).to_string();
                let within = |text: &str| parsed::number(text, 1..=max_queue);
                variables.own("BSP_MAX_EXPORT_BATCH_SIZE", &default, within)
            }
            Err(Invalid) => Err(Invalid),
        };
        let max_attributes = variables.own("SPAN_ATTRIBUTE_COUNT_LIMIT", "128", count);
        let max_links = variables.own("SPAN_LINK_COUNT_LIMIT", "128", count);
        // Spans of this service have no events.
        let max_events = variables.own("SPAN_EVENT_COUNT_LIMIT", "128", count);

        let resource_attributes = variables.own("RESOURCE_ATTRIBUTES", "", resource);
        let name = variables.value("OTEL_SERVICE_NAME");
        max_events?;
        let (protocol, endpoint) = to?;
        Ok(Self {
            protocol,
            endpoint,
            headers: headers?,
            timeout: timeout?,
            is_compressed: is_compressed?,
            authorities: authorities?,
            identity: identity?,
            is_parent_based: sampler?.0,
            ratio: ratio?,
            delay: delay?,
            export_timeout: export_timeout?,
            max_queue: max_queue?,
            max_batch: max_batch?,
            max_attributes: max_attributes?,
            max_links: max_links?,
            resource: with_service(resource_attributes?, name),
        })
    }
}

/// Returns the attributes with the name and version of the service, unless they have their own. `name` takes
/// precedence.
fn with_service(
    mut attributes: Vec<(String, String)>,
    name: Option<String>,
) -> Vec<(String, String)> {
    if name.is_some() {
        attributes.retain(|(key, _)| key != "service.name");
    }
    let defaults = [
        (
            "service.name",
            name.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()),
        ),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", uuid::Uuid::new_v4().to_string()),
    ];
    for (key, value) in defaults {
        if !attributes.iter().any(|(given, _)| given == key) {
            attributes.push((key.to_owned(), value));
        }
    }
    attributes
}

/// Reads the PEM file `path`; `None` if the path is empty.
fn pem(path: &str, kind: FileKind) -> Result<Option<Vec<u8>>, String> {
    let path = parsed::file(Some(path));
    let read = |path: &std::path::PathBuf| {
        bounded_file::read_once(path, kind).map_err(|error| error.to_string())
    };
    path.as_ref().map(read).transpose()
}

fn certificates(path: &str) -> Result<Option<Vec<u8>>, String> {
    let text = pem(path, FileKind::Certificates)?;
    let checked = text.as_deref().map(pem::parse_certificates).transpose();
    checked.map_err(|problem| format!("{path}: {problem}"))?;
    Ok(text)
}

fn key(path: &str) -> Result<Option<Vec<u8>>, String> {
    let text = pem(path, FileKind::Key)?;
    let checked = text.as_deref().map(pem::parse_key).transpose();
    checked.map_err(|problem| format!("{path}: {problem}"))?;
    Ok(text)
}

/// Returns the client certificate with its key.
fn identity(
    variables: &mut Variables<'_>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
) -> Result<Option<Identity>, Invalid> {
    let problem = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => match pem::check_pair(&certificate, &key) {
            Ok(()) => return Ok(Some((certificate, key))),
            Err(problem) => problem,
        },
        (Some(_), None) => "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is set without it".to_owned(),
        (None, Some(_)) => "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is not set".to_owned(),
    };
    variables.reject_otlp("CLIENT_KEY", problem)
}
