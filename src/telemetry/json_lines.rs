//! JSON lines: the format of `tracing-subscriber`, with the name and version of the service in each line, so that the
//! lines of several services can be told apart where they are collected.

use std::fmt::{self, Write};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
        time::UtcTime,
    },
    registry::LookupSpan,
};

use crate::config;

/// The variable by which OpenTelemetry names a service.
const SERVICE_NAME_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// Formats lines as JSON objects.
pub(super) struct JsonLines<F> {
    inner: F,
    /// The begin of each line.
    start: String,
}

/// Returns the formatter of JSON lines.
pub(super) fn json_lines<S, N>() -> JsonLines<impl FormatEvent<S, N>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let name = config::variable(SERVICE_NAME_VARIABLE).filter(|name| !name.is_empty());
    let name = name.as_deref().unwrap_or(env!("CARGO_PKG_NAME"));
    let inner: Format<Json, _> = tracing_subscriber::fmt::format()
        .json()
        .with_timer(UtcTime::rfc_3339())
        .with_target(false)
        .flatten_event(true)
        .with_span_list(false);
    JsonLines {
        inner,
        start: start(name),
    }
}

fn start(name: &str) -> String {
    let name = serde_json::Value::from(name);
    let version = env!("CARGO_PKG_VERSION");
    format!("{{\"service.name\":{name},\"service.version\":\"{version}\",")
}

impl<S, N, F> FormatEvent<S, N> for JsonLines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Started {
            writer: &mut writer,
            start: Some(&self.start),
        };
        self.inner
            .format_event(context, Writer::new(&mut line), event)
    }
}

/// Writes `start` in place of the bracket that opens an object.
struct Started<'a> {
    writer: &'a mut dyn Write,
    start: Option<&'a str>,
}

impl Write for Started<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Some(start) = self.start.take() else {
            return self.writer.write_str(text);
        };
        self.writer.write_str(start)?;
        self.writer
            .write_str(text.strip_prefix('{').unwrap_or(text))
    }
}
