//! Export of spans: takes them from the recorder in batches, and sends them to a collector by OTLP. No call
//! waits for it. A collector that cannot be reached costs spans, and one line in the log.

mod collector;
mod loss;

use std::time::Duration;

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::sync::Arc;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use self::{collector::exporter, loss::Loss};
use crate::{
    clock::Clock,
    config::{TraceExport, Traces},
    trace::{Limits, Recorder, Sampling, Tracer},
};

pub use self::collector::BuildError;

/// The maximum time that the exit of the process waits for the export of the last spans. With it, the exit is
/// delayed by less than 1 s.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(900);

/// The export of spans, in a task of its own. Dropping it ends the export.
#[derive(Debug)]
pub struct SpanExport {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl SpanExport {
    /// Starts the export to the collector of `settings`, and returns it with a tracer that records spans. If
    /// no collector is configured, the tracer records none. `forwards_state` if the trace context is sent
    /// upstream.
    ///
    /// # Errors
    ///
    /// Fails if the client of the collector cannot be built.
    pub fn start(
        settings: Traces,
        forwards_state: bool,
        clock: Clock,
    ) -> Result<(Tracer, Option<Self>), BuildError> {
        let tracer = Tracer::new(settings.reads_parent, forwards_state);
        let Some(export) = settings.export else {
            return Ok((tracer, None));
        };
        let sampling = Sampling {
            is_parent_based: export.is_parent_based,
            ratio: export.ratio,
        };
        let limits = Limits {
            attributes: export.max_attributes,
            links: export.max_links,
            queue: export.max_queue,
            batch: export.max_batch,
        };
        let recorder = Arc::new(Recorder::new(limits, clock, tracer.counters().clone()));
        let worker = Worker {
            exporter: exporter(&export)?,
            loss: Loss::new(export.endpoint.clone(), tracer.counters().clone()),
            recorder: Arc::clone(&recorder),
            export,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(worker.run(stopped));
        Ok((
            tracer.recording(sampling, recorder),
            Some(Self { stop, task }),
        ))
    }

    /// Exports the spans that are left, for at most [`FLUSH_TIMEOUT`].
    pub async fn finish(self) {
        let Self { stop, mut task } = self;
        let _ = stop.send(());
        if timeout(FLUSH_TIMEOUT, &mut task).await.is_err() {
            task.abort();
        }
    }
}

struct Worker {
    exporter: SpanExporter,
    loss: Loss,
    recorder: Arc<Recorder>,
    export: TraceExport,
}

impl Worker {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let is_stopped = tokio::select! {
                () = self.recorder.wait(self.export.delay) => false,
                _ = &mut stopped => true,
            };
            let mut batch = self.recorder.take_batch();
            while !batch.is_empty() {
                let is_whole = batch.len() == self.export.max_batch;
                self.send(batch).await;
                batch = match is_whole || is_stopped {
                    true => self.recorder.take_batch(),
                    false => Vec::new(),
                };
            }
            if is_stopped {
                return;
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len() as u64;
        let end = Instant::now() + self.export.export_timeout;
        let error = match timeout_at(end, self.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("timed out".to_owned()),
        };
        if error.is_some() {
            // A connection whose peer has vanished without a word would be used again.
            if let Ok(renewed) = exporter(&self.export) {
                self.exporter = renewed;
            }
        }
        self.loss.report(spans, error);
    }
}
