//! A request to the API.

use std::fmt;

use bytes::Bytes;

/// A request to the API: an action and its parameters as JSON.
///
/// It holds everything that the response depends on. `Debug` omits the parameters, which contain an
/// id.
#[derive(Clone)]
pub struct ApiRequest {
    /// The name of the action, as upstream spells it.
    pub action: &'static str,
    /// The parameters, as a JSON object.
    pub parameters: Bytes,
    /// Extracts the requested id from the parameters, if they have one. Called only after failures:
    /// most requests never need the id.
    pub id: fn(&[u8]) -> Option<String>,
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest")
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}
