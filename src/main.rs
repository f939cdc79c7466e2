//! The `iai-facade` program: starts the runtime, and runs the command of its arguments.

use std::{io, num::NonZero, process::ExitCode, thread};

use iai_facade::{cli, config};
use mimalloc::MiMalloc;
use tokio::runtime::{self, Runtime};

/// mimalloc, because calls allocate on one thread and free on another: glibc's allocator then contends
/// for locks and fragments, and took nearly twice the processor time under the same load. Without huge
/// pages, with which the idle process would hold 10 MB more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let threads = config::variable(config::WORKER_THREADS_VARIABLE);
    let threads = match config::worker_threads(threads.as_deref()) {
        Ok(threads) => threads,
        Err(problem) => return cli::usage_error(&problem),
    };
    let runtime = match runtime(threads) {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::print_error(&format!(
                "iai-facade: cannot start the Tokio runtime: {error}"
            ));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run());
    // A DNS lookup in progress cannot be cancelled, and waiting for it has no bound.
    runtime.shutdown_background();
    code
}

/// Starts the Tokio runtime, by default with one worker thread per processor. Always sets the number:
/// otherwise Tokio reads `TOKIO_WORKER_THREADS` itself, and panics over an invalid value.
fn runtime(threads: Option<usize>) -> io::Result<Runtime> {
    let processors = || thread::available_parallelism().map_or(1, NonZero::get);
    runtime::Builder::new_multi_thread()
        .worker_threads(threads.unwrap_or_else(processors))
        .enable_all()
        .build()
}
