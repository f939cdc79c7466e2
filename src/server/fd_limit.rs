//! File descriptor limit: raises the soft limit, and derives the number of connections from it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::connection_slots::{MAX_LEAVING, SPARE};
use crate::config;

/// Descriptors for other purposes than client and upstream connections: log, listeners, timers,
/// credential files, the admin port, and the connections on both ports that are being closed to free
/// their slots.
const OTHERS: usize = 320 + 2 * (MAX_LEAVING + SPARE);

/// Raises the soft limit of file descriptors to the hard limit, and returns `bounds` with the number of
/// connections that it allows.
///
/// Descriptors for upstream connections are reserved, since a client connection is useless without
/// them. The soft limit, 1024 on many machines, exists for programs that use `select`.
pub fn raise(bounds: config::Connections, calls: &config::Calls) -> config::Connections {
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

    let available = available(allowed, calls.max_concurrent);
    let max_connections = available.min(bounds.max_connections);
    if max_connections < bounds.max_connections {
        tracing::warn!(
            descriptors = allowed,
            max_connections,
            "--max-connections exceeds the file descriptor limit, using fewer connections",
        );
    }
    config::Connections {
        max_connections,
        ..bounds
    }
}

/// Returns how many of `descriptors` are available for client connections: at least half of them.
fn available(descriptors: usize, calls: usize) -> usize {
    let reserved = calls.saturating_add(OTHERS).min(descriptors / 2);
    descriptors - reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_reserved_for_upstream_connections() {
        let cases = [
            (usize::MAX, 1_024, usize::MAX - 1_424),
            (20_000, 1_024, 18_576),
            (1_024, 1_024, 512),
            (1_024, 16, 608),
            (256, 1_000_000, 128),
        ];

        for (descriptors, calls, expected) in cases {
            assert_eq!(available(descriptors, calls), expected, "{descriptors}");
        }
    }
}
