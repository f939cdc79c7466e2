//! Says what went wrong, and why, in one line.

use std::{error::Error, iter};

/// Returns what an error says, and what its causes say.
pub fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
