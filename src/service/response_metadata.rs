//! Metadata of responses and errors: the origin and age of the upstream response.

use tonic::metadata::{MetadataMap, MetadataValue};

use crate::context::{Context, Provenance};

/// Metadata key of Tencent's RequestId, on responses and on errors.
pub const X_TC_REQUEST_ID: &str = "x-tc-request-id";

/// Metadata keys of the origin of a response, and of its age in whole seconds.
const X_IAI_CACHE: &str = "x-iai-cache";
const AGE: &str = "age";

/// Adds the origin and age of a response or error that came from upstream or from the cache.
pub(super) fn add_provenance(context: &Context, metadata: &mut MetadataMap) {
    if let Some(Provenance { origin, age }) = context.provenance() {
        metadata.insert(X_IAI_CACHE, MetadataValue::from_static(origin.name()));
        metadata.insert(AGE, age.as_secs().into());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::context::{Deadline, Identity, Origin};

    #[tokio::test]
    async fn an_age_is_sent_in_whole_seconds() {
        let now = tokio::time::Instant::now();
        let deadline = Deadline::new(now, None, Duration::from_secs(1));
        let context = Context::new(deadline, false, Identity::Address([127, 0, 0, 1].into()));
        let mut metadata = MetadataMap::new();

        add_provenance(&context, &mut metadata);
        assert!(metadata.is_empty());

        let age = Duration::from_millis(61_999);
        context.set_provenance(Provenance {
            origin: Origin::Stale,
            age,
        });
        add_provenance(&context, &mut metadata);
        assert_eq!(metadata.get(X_IAI_CACHE).unwrap(), "stale");
        assert_eq!(metadata.get(AGE).unwrap(), "61");
    }
}
