//! Metrics of the process and of its runtime, under the [names that all Prometheus clients use], read
//! from `/proc` and from tokio.
//!
//! [names that all Prometheus clients use]: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, registry::Registry, registry::Unit,
};
use tokio::runtime::Handle;

use super::values::Values;

/// Collector of the metrics of this process. On systems without `/proc`, those of the process are missing.
#[derive(Debug)]
pub struct ProcessMetrics;

impl ProcessMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) {
        registry.register_collector(Box::new(Self));
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut values = Values::new(encoder);
        if let Some(process) = Process::read() {
            process.encode(&mut values)?;
        }
        encode_runtime(&mut values)
    }
}

/// What `/proc` tells about this process.
struct Process {
    cpu_seconds: f64,
    threads: f64,
    start_time: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    open_fds: f64,
    max_fds: f64,
}

impl Process {
    /// Returns `None` if any part cannot be read.
    fn read() -> Option<Self> {
        // See proc_pid_stat(5). The second field, the name, may contain spaces, and ends with a
        // parenthesis; the first field after it has the number 3.
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;

        let boot_time = fs::read_to_string("/proc/stat").ok()?;
        let boot_time = boot_time.lines().find_map(|line| {
            let seconds = line.strip_prefix("btime ")?;
            seconds.trim().parse::<f64>().ok()
        })?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let max_fds = limits.lines().find_map(|line| {
            let values = line.strip_prefix("Max open files")?;
            values.split_whitespace().next()?.parse().ok()
        });
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            threads: field(20)?,
            start_time: boot_time + field(22)? / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as f64,
            // Without the descriptor that reads the directory.
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0,
            max_fds: max_fds.unwrap_or(f64::INFINITY),
        })
    }

    fn encode(&self, values: &mut Values<'_>) -> fmt::Result {
        let bytes = Some(&Unit::Bytes);
        values.seconds(
            "process_cpu",
            "Processor time, in user space and in the kernel",
            self.cpu_seconds,
        )?;
        values.gauge(
            "process_resident_memory",
            "Resident memory",
            bytes,
            self.resident_bytes,
        )?;
        values.gauge(
            "process_virtual_memory",
            "Virtual memory",
            bytes,
            self.virtual_bytes,
        )?;
        values.gauge(
            "process_open_fds",
            "Open file descriptors",
            None,
            self.open_fds,
        )?;
        values.gauge(
            "process_max_fds",
            "Maximum number of open file descriptors",
            None,
            self.max_fds,
        )?;
        values.gauge("process_threads", "Threads", None, self.threads)?;
        values.gauge(
            "process_start_time",
            "Time at which the process started, since the Unix epoch",
            Some(&Unit::Seconds),
            self.start_time,
        )
    }
}

fn encode_runtime(values: &mut Values<'_>) -> fmt::Result {
    let Ok(runtime) = Handle::try_current() else {
        return Ok(());
    };
    let metrics = runtime.metrics();
    let workers = metrics.num_workers();
    let busy = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64());
    values.gauge(
        "iai_facade_runtime_workers",
        "Worker threads of the runtime",
        None,
        workers as f64,
    )?;
    values.gauge(
        "iai_facade_runtime_alive_tasks",
        "Tasks of the runtime that have not ended",
        None,
        metrics.num_alive_tasks() as f64,
    )?;
    values.gauge(
        "iai_facade_runtime_global_queue_depth",
        "Tasks in the queue that all worker threads share",
        None,
        metrics.global_queue_depth() as f64,
    )?;
    values.seconds(
        "iai_facade_runtime_busy",
        "Time for which worker threads were busy, added up",
        busy.sum(),
    )
}
