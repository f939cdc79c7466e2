//! Sampling: decides, once for each call, whether its spans are recorded.

use opentelemetry::trace::{SpanContext, SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};

/// A sampler of the specification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Whether the flag of the client decides, if it sent a trace context.
    pub is_parent_based: bool,
    /// The share of the other calls, from 0 to 1.
    pub ratio: f64,
}

impl Sampling {
    /// Returns whether a call of the trace `trace_id` is sampled.
    pub(super) fn admits(&self, parent: Option<&SpanContext>, trace_id: TraceId) -> bool {
        match parent {
            Some(parent) if self.is_parent_based => parent.is_sampled(),
            _ if self.ratio >= 1.0 => true,
            _ if self.ratio <= 0.0 => false,
            _ => {
                // The decision of the library is the same in every service that the trace passes.
                let sampler = Sampler::TraceIdRatioBased(self.ratio);
                let result = sampler.should_sample(None, trace_id, "", &SpanKind::Server, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceState};

    use super::*;

    #[test]
    fn the_flag_of_the_client_counts_only_if_the_sampler_is_parent_based() {
        let parent = |flags| {
            let ids = (TraceId::from(1_u128), SpanId::from(1_u64));
            SpanContext::new(ids.0, ids.1, flags, true, TraceState::NONE)
        };
        let [sampled, unsampled] = [TraceFlags::SAMPLED, TraceFlags::NOT_SAMPLED].map(parent);
        for ratio in [0.0, 1.0] {
            let based = Sampling {
                is_parent_based: true,
                ratio,
            };
            let free = Sampling {
                is_parent_based: false,
                ratio,
            };
            let id = TraceId::from(1_u128);
            assert!(based.admits(Some(&sampled), id));
            assert!(!based.admits(Some(&unsampled), id));
            assert_eq!(based.admits(None, id), ratio == 1.0);
            for parent in [Some(&sampled), Some(&unsampled), None] {
                assert_eq!(free.admits(parent, id), ratio == 1.0);
            }
        }
    }

    #[test]
    fn a_ratio_admits_its_share_of_the_trace_ids() {
        let quarter = Sampling {
            is_parent_based: false,
            ratio: 0.25,
        };
        let mut random = fastrand::Rng::with_seed(7);
        let ids = (0..10_000).map(|_| TraceId::from(random.u128(1..)));
        let admitted = ids.filter(|id| quarter.admits(None, *id)).count();
        assert!((2_300..2_700).contains(&admitted), "{admitted}");
    }
}
