//! Loss of spans: counts them, and logs the first loss and the end of it.

use crate::trace::SpanCounters;

/// What has been lost, and whether it has been logged.
#[derive(Debug)]
pub(super) struct Loss {
    endpoint: String,
    counters: SpanCounters,
    /// The spans that had been dropped at the last export.
    dropped: u64,
    /// The spans that had been lost before the loss that is going on.
    before: Option<u64>,
}

impl Loss {
    pub(super) fn new(endpoint: String, counters: SpanCounters) -> Self {
        Self {
            endpoint,
            counters,
            dropped: 0,
            before: None,
        }
    }

    /// Counts an export of `spans`, which failed with `error`, and logs a line if spans begin to be lost or
    /// no longer are.
    pub(super) fn report(&mut self, spans: u64, error: Option<String>) {
        let lost_before = self.lost();
        match error {
            None => self.counters.exported.inc_by(spans),
            Some(_) => self.counters.failed.inc_by(spans),
        };
        let dropped = self.counters.dropped.get();
        let has_dropped = dropped > self.dropped;
        let newly_dropped = dropped - self.dropped;
        self.dropped = dropped;
        let error = error.or_else(|| has_dropped.then(|| "the queue is full".to_owned()));
        let endpoint = &*self.endpoint;
        match (error, self.before) {
            (Some(error), None) => {
                self.before = Some(lost_before.saturating_sub(newly_dropped));
                tracing::warn!(
                    endpoint,
                    error.message = error,
                    "spans cannot be exported, dropping them"
                );
            }
            (None, Some(before)) => {
                self.before = None;
                let spans = self.lost() - before;
                tracing::info!(endpoint, count = spans, "spans are exported again");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn lost(&self) -> u64 {
        self.counters.failed.get() + self.counters.dropped.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_counted_from_its_beginning_to_its_end() {
        let counters = SpanCounters::default();
        let mut loss = Loss::new("http://collector".to_owned(), counters.clone());
        let failed = || Some("refused".to_owned());

        loss.report(5, None);
        assert_eq!(loss.before, None);
        loss.report(2, failed());
        loss.report(3, failed());
        assert_eq!(loss.before, Some(0));
        loss.report(1, None);
        assert_eq!(loss.before, None);
        counters.dropped.inc_by(7);
        loss.report(4, None);
        assert_eq!(loss.before, Some(5));
        loss.report(4, None);
        assert_eq!(loss.before, None);

        let counts = [&counters.exported, &counters.failed, &counters.dropped];
        assert_eq!(counts.map(|counter| counter.get()), [14, 5, 7]);
    }
}
