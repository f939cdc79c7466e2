//! Routes of the control API: its paths, methods and query parameters.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    call::Call,
    clock, faults,
    groups::Groups,
    isolated_worlds, items,
    persons::Persons,
    program, rate_limit,
    reply::{Rejection, Reply},
    requests, reset,
};

/// An operation: a method of a path.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// The query parameters.
    pub(super) query: &'static [&'static str],
    pub(super) handle: Handle,
}

/// Handles a call.
#[derive(Clone, Copy)]
pub(super) enum Handle {
    /// Returns the reply at once.
    AtOnce(AtOnce),
    /// Waits for requests.
    Wait,
}

type AtOnce = fn(&Call<'_>) -> Result<Reply, Rejection>;

/// A path and its operations.
pub(super) struct Route {
    /// The segments after `/v1/`, or after `/v1/worlds/{secret_id}/`. A segment in braces stands for any text.
    pub(super) path: &'static str,
    pub(super) operations: &'static [Operation],
}

/// Routes of the program.
pub(super) static PROGRAM: &[Route] = &[
    Route::new("health", &[get(program::health)]),
    Route::new("ready", &[get(program::ready)]),
    Route::new("version", &[get(program::version)]),
    Route::new("openapi.json", &[get(program::openapi)]),
];

/// Routes of the isolated worlds.
pub(super) static WORLDS: &[Route] = &[
    Route::new(
        "worlds",
        &[
            get(isolated_worlds::list).with(PAGE),
            post(isolated_worlds::create),
        ],
    ),
    Route::new(
        "worlds/{secret_id}",
        &[get(isolated_worlds::get), delete(isolated_worlds::delete)],
    ),
];

/// Routes of a world: of the main one below `/v1/`, of the others below `/v1/worlds/{secret_id}/`.
pub(super) static WORLD: &[Route] = &[
    Route::new("groups", &[get(items::list::<Groups>).with(PAGE)]),
    Route::new(
        "groups/{group_id}",
        &[
            get(items::get::<Groups>),
            put(items::put::<Groups>),
            patch(items::patch::<Groups>),
            delete(items::delete::<Groups>),
        ],
    ),
    Route::new(
        "persons",
        &[get(items::list::<Persons>).with(&["group_id", "after", "limit"])],
    ),
    Route::new(
        "persons/{person_id}",
        &[
            get(items::get::<Persons>),
            put(items::put::<Persons>),
            patch(items::patch::<Persons>),
            delete(items::delete::<Persons>),
        ],
    ),
    Route::new(
        "faults",
        &[get(faults::list), post(faults::add), delete(faults::clear)],
    ),
    Route::new(
        "faults/{fault_id}",
        &[get(faults::get), put(faults::put), delete(faults::delete)],
    ),
    Route::new(
        "rate-limit",
        &[
            get(rate_limit::get),
            put(rate_limit::put),
            delete(rate_limit::delete),
        ],
    ),
    Route::new(
        "clock",
        &[get(clock::get), put(clock::put), delete(clock::delete)],
    ),
    Route::new(
        "requests",
        &[get(requests::list).with(PAGE), delete(requests::clear)],
    ),
    Route::new("requests/wait", &[WAIT]),
    Route::new("reset", &[post(reset::reset)]),
];

/// Query parameters of a list.
const PAGE: &[&str] = &["after", "limit"];

const WAIT: Operation = Operation {
    method: "GET",
    query: &["count", "timeout_seconds", "after", "limit"],
    handle: Handle::Wait,
};

/// A request's operation, and the id in its path.
pub(super) struct Found<'a> {
    pub(super) operation: &'static Operation,
    /// The `SecretId` of the isolated world in the path; `None` for the main world.
    pub(super) world: Option<&'a str>,
    pub(super) id: Option<&'a str>,
}

/// Returns the decoded segments of a path.
///
/// # Errors
///
/// Fails if a segment is not UTF-8, or has a `%` without two hexadecimal digits, which shows that the
/// client does not encode ids.
pub(super) fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, Rejection> {
    let mut encodings = path.split('%').skip(1);
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    if !encodings.all(|rest| rest.as_bytes().get(..2).is_some_and(is_hex)) {
        return Err(Rejection::invalid_path(
            "a `%` in the path must be followed by two hexadecimal digits; `%25` encodes `%`",
        ));
    }
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    segments
        .map(|segment| percent_decode_str(segment).decode_utf8())
        .collect::<Result<_, _>>()
        .map_err(|_| Rejection::invalid_path("the path must be UTF-8"))
}

/// Returns whether the operations of a path need no token: they tell nothing about a world.
pub(super) fn is_public(segments: &[Cow<'_, str>]) -> bool {
    PROGRAM
        .iter()
        .any(|route| route.matches(below_v1(segments)).is_some())
}

/// Finds the operation of a request. HEAD has the operations of GET.
///
/// # Errors
///
/// Fails if the path does not exist, or has no operation with this method.
pub(super) fn find<'a>(method: &str, segments: &'a [Cow<'_, str>]) -> Result<Found<'a>, Rejection> {
    let (world, segments, routes) = match below_v1(segments) {
        [worlds, secret_id, rest @ ..] if worlds == "worlds" && !rest.is_empty() => {
            (Some(secret_id.as_ref()), rest, &[WORLD][..])
        }
        segments => (None, segments, &[PROGRAM, WORLDS, WORLD][..]),
    };
    let mut routes = routes.iter().copied().flatten();
    let (route, id) = routes
        .find_map(|route| Some((route, route.matches(segments)?)))
        .ok_or_else(|| Rejection::not_found("no such path; /v1/openapi.json has all of them"))?;
    // The HTTP server leaves out the body of a response to HEAD.
    let method = if method == "HEAD" { "GET" } else { method };
    let mut operations = route.operations.iter();
    let operation = operations
        .find(|operation| operation.method == method)
        .ok_or_else(|| Rejection::method_not_allowed(&route.methods()))?;
    Ok(Found {
        operation,
        world,
        id,
    })
}

/// Returns the segments after `v1`; none, which no route matches, if the path begins with another.
fn below_v1<'a, 'b>(segments: &'a [Cow<'b, str>]) -> &'a [Cow<'b, str>] {
    match segments {
        [version, rest @ ..] if version == "v1" => rest,
        _ => &[],
    }
}

impl Route {
    const fn new(path: &'static str, operations: &'static [Operation]) -> Self {
        Self { path, operations }
    }

    /// Returns the id in the path, if any, if the route has this path.
    fn matches<'a>(&self, segments: &'a [Cow<'_, str>]) -> Option<Option<&'a str>> {
        let mut segments = segments.iter();
        let mut id = None;
        for expected in self.path.split('/') {
            let segment = segments.next()?.as_ref();
            if expected.starts_with('{') {
                id = Some(segment).filter(|id| !id.is_empty());
                id?;
            } else if segment != expected {
                return None;
            }
        }
        segments.next().is_none().then_some(id)
    }

    fn methods(&self) -> String {
        let methods = self.operations.iter().map(|it| match it.method {
            "GET" => "GET, HEAD",
            method => method,
        });
        methods.collect::<Vec<_>>().join(", ")
    }
}

impl Operation {
    const fn new(method: &'static str, handle: AtOnce) -> Self {
        Self {
            method,
            query: &[],
            handle: Handle::AtOnce(handle),
        }
    }

    /// Adds query parameters.
    const fn with(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }
}

const fn get(handle: AtOnce) -> Operation {
    Operation::new("GET", handle)
}

const fn put(handle: AtOnce) -> Operation {
    Operation::new("PUT", handle)
}

const fn patch(handle: AtOnce) -> Operation {
    Operation::new("PATCH", handle)
}

const fn post(handle: AtOnce) -> Operation {
    Operation::new("POST", handle)
}

const fn delete(handle: AtOnce) -> Operation {
    Operation::new("DELETE", handle)
}

#[cfg(test)]
mod tests;
