//! How many files and connections the system lets the process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config;

/// Descriptors that are neither a caller's connection nor one to upstream: log, listeners, timers,
/// files of credentials, the admin port.
const OTHERS: usize = 320;

/// Asks for all the descriptors that there are, and returns `bounds` with as many connections as
/// they allow.
///
/// Upstream keeps some: a connection to a caller is worth nothing if there is none to make its calls
/// on. The lower limit, 1024 on many machines, is there for programs that use `select`.
pub fn make_room(bounds: config::Connections, calls: &config::Calls) -> config::Connections {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, all) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    let allowed = allowed.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));

    let max_connections = room(allowed, calls.max_concurrent).min(bounds.max_connections);
    if max_connections < bounds.max_connections {
        tracing::warn!(
            descriptors = allowed,
            max_connections,
            "--max-connections is more than the descriptors of this process allow",
        );
    }
    config::Connections {
        max_connections,
        ..bounds
    }
}

/// Returns how many of `descriptors` callers may have: at least half of them.
fn room(descriptors: usize, calls: usize) -> usize {
    let kept = calls.saturating_add(OTHERS).min(descriptors / 2);
    descriptors - kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_leave_upstream_the_descriptors_of_its_calls() {
        let cases = [
            (usize::MAX, 1_024, usize::MAX - 1_344),
            (20_000, 1_024, 18_656),
            (1_024, 1_024, 512),
            (1_024, 16, 688),
            (256, 1_000_000, 128),
        ];

        for (descriptors, calls, expected) in cases {
            assert_eq!(room(descriptors, calls), expected, "{descriptors}");
        }
    }
}
