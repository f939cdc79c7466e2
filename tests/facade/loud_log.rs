//! The log at its loudest, and what must not be in it.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::fmt::MakeWriter;

/// Beside a single subscriber, a line that a thread without one is the first to write would be taken
/// for one that nobody wants, by all threads and for good. Beside a second one it is not.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// Hears everything that is logged on this thread, which is all that a test does that has one only.
pub(crate) struct LoudLog {
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

impl LoudLog {
    /// Listens for these secrets.
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

    /// Fails if a secret was logged, and if the log was not loud.
    pub(crate) fn assert_is_harmless(self) {
        let counts = self.heard.counts.lock().unwrap();
        assert_eq!(counts.leaks, [""; 0]);
        assert!(counts.traces > 0, "the log is not loud");
    }
}

impl<'a> MakeWriter<'a> for Heard {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Heard {
    /// Takes one line.
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
fn a_secret_that_is_logged_is_heard() {
    let log = LoudLog::listen(["correct-horse"]);

    tracing::trace!(key = ?Some("a-correct-horse"), "on purpose");

    let leaks = &log.heard.counts.lock().unwrap().leaks;
    assert_eq!(leaks.len(), 1);
    assert!(leaks[0].contains("on purpose"));
}
