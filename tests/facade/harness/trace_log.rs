//! Trace log: collects all log lines of a test and looks for secrets in them.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::fmt::MakeWriter;

/// A second subscriber. With a single one, tracing caches each callsite's interest when it is first
/// reached: if a thread without a subscriber reaches it first, the callsite is disabled for all
/// threads. A second subscriber prevents that.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// Collects all log lines of this thread, which is the only thread of a test on the single-threaded
/// runtime.
pub(crate) struct TraceLog {
    heard: Heard,
    _default: DefaultGuard,
}

#[derive(Clone)]
struct Heard {
    secrets: Arc<[String]>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    traces: usize,
    leaks: Vec<String>,
}

impl TraceLog {
    /// Starts to collect, looking for these secrets.
    pub(crate) fn listen<S: Into<String>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let heard = Heard {
            secrets: secrets.into_iter().map(Into::into).collect(),
            counts: Arc::default(),
        };
        LazyLock::force(&OTHER);
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(Level::TRACE)
            .with_writer(heard.clone())
            .finish();
        Self {
            heard,
            _default: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Fails if a secret was logged, or if no line at TRACE was.
    pub(crate) fn assert_is_harmless(self) {
        let counts = self.heard.counts.lock().unwrap();
        assert_eq!(counts.leaks, [""; 0]);
        assert!(counts.traces > 0, "the log has no TRACE line");
    }
}

impl<'a> MakeWriter<'a> for Heard {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Heard {
    /// Receives one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut counts = self.counts.lock().unwrap();
        counts.traces += usize::from(text.contains(r#""level":"TRACE""#));
        if self.secrets.iter().any(|it| text.contains(it)) {
            counts.leaks.push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_logged_secret_is_detected() {
    let log = TraceLog::listen(["correct-horse"]);

    tracing::trace!(key = ?Some("a-correct-horse"), "on purpose");

    let leaks = &log.heard.counts.lock().unwrap().leaks;
    assert_eq!(leaks.len(), 1);
    assert!(leaks[0].contains("on purpose"));
}
