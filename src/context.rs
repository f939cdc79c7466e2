//! What travels with one call beside its request.

mod provenance;

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use http::HeaderValue;
use tracing::Span;

pub use self::provenance::{Origin, Provenance};
use crate::{deadline::Deadline, identity::Identity};

/// Until when a call may last, whose it is, what it asks for, and what has been done for it so far.
///
/// One is made as a call arrives, and every room on its way sees the same one: the log line and the
/// error of a call that ends in the middle still know how far it came.
#[derive(Debug)]
pub struct Context {
    deadline: Deadline,
    is_repetition: bool,
    is_uncached: bool,
    identity: Identity,
    request_id: Option<HeaderValue>,
    attempts: AtomicU32,
    /// The context of the call that this one waits for, and whose attempts are its own as well.
    followed: Mutex<Option<Arc<Self>>>,
    provenance: OnceLock<Provenance>,
    subject: OnceLock<Subject>,
}

impl Context {
    /// Returns the context of a call of `identity` for which nothing has been done yet, and which
    /// repeats an earlier one or not.
    pub fn new(deadline: Deadline, is_repetition: bool, identity: Identity) -> Self {
        Self {
            deadline,
            is_repetition,
            is_uncached: false,
            identity,
            request_id: None,
            attempts: AtomicU32::new(0),
            followed: Mutex::default(),
            provenance: OnceLock::new(),
            subject: OnceLock::new(),
        }
    }

    /// Gives the call the name by which callers and operators know it.
    #[must_use]
    pub fn named(self, request_id: HeaderValue) -> Self {
        Self {
            request_id: Some(request_id),
            ..self
        }
    }

    /// Keeps the call apart from all others: its answer comes from upstream, and is for it alone.
    #[must_use]
    pub fn uncached(self) -> Self {
        Self {
            is_uncached: true,
            ..self
        }
    }

    /// Returns the moment by which the call must be answered.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Tells whether the caller, or a proxy of its, has made this call before.
    pub fn is_repetition(&self) -> bool {
        self.is_repetition
    }

    /// Tells whether the call is kept apart from all others.
    pub fn is_uncached(&self) -> bool {
        self.is_uncached
    }

    /// Returns who makes the call.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the name of the call, if it has one.
    pub fn request_id(&self) -> Option<&HeaderValue> {
        self.request_id.as_ref()
    }

    /// Returns a span, by the name of the call, for what is done for it: a new one each time, since
    /// most calls need none.
    pub fn span(&self) -> Span {
        match self.request_id.as_ref().and_then(|id| id.to_str().ok()) {
            Some(request_id) => tracing::info_span!("call", request_id),
            None => Span::none(),
        }
    }

    /// Returns how often upstream has been asked for this call, or for those it waited for.
    pub fn attempts(&self) -> u32 {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let of_others = followed.as_ref().map_or(0, |other| other.attempts());
        self.attempts.load(Ordering::Relaxed) + of_others
    }

    /// Counts one more attempt upstream.
    pub fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the attempts of `other`, for which this call waits, from now on.
    ///
    /// Those of a call that it waited for before stay counted.
    pub fn follow(&self, other: Arc<Self>) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = followed.replace(other) {
            self.attempts
                .fetch_add(before.attempts(), Ordering::Relaxed);
        }
    }

    /// Returns where the answer comes from, once there is one from upstream or from memory.
    pub fn provenance(&self) -> Option<Provenance> {
        self.provenance.get().copied()
    }

    /// Keeps where the answer comes from. A call has one answer: a second is not kept.
    pub fn set_provenance(&self, provenance: Provenance) {
        let _ = self.provenance.set(provenance);
    }

    /// Tells whether the message of the call has been read.
    pub fn has_subject(&self) -> bool {
        self.subject.get().is_some()
    }

    /// Returns what the call asks for: nothing in particular until its message has been read.
    pub fn subject(&self) -> &Subject {
        static UNKNOWN: Subject = Subject {
            action: "",
            fields: &[],
            id: String::new(),
        };
        self.subject.get().unwrap_or(&UNKNOWN)
    }

    /// Keeps what the call asks for. A call has one subject: a second is not kept.
    pub fn set_subject(&self, subject: Subject) {
        let _ = self.subject.set(subject);
    }
}

/// The one thing that a call asks for, and how its request speaks of it.
///
/// The id may name a person in a library of faces, so `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
pub struct Subject {
    /// The upstream action that is called.
    pub action: &'static str,
    /// The fields of the request, by their names in the protocol; first the one with the id.
    pub fields: &'static [&'static str],
    /// The id, as the caller sent it.
    pub id: String,
}

impl Subject {
    /// Returns `text` without the id in it.
    ///
    /// Upstream's words may repeat the id. One of up to three bytes is taken out only where it
    /// stands between characters that no id can hold: anywhere else it is a part of most words.
    pub fn redact(&self, text: &str) -> String {
        match self.id.len() {
            0 => text.to_owned(),
            1..=3 => self.redact_words(text),
            _ => text.replace(&self.id, "[id]"),
        }
    }

    fn redact_words(&self, text: &str) -> String {
        let is_delimiter =
            |character: char| !character.is_ascii_alphanumeric() && !"-%@#&_".contains(character);
        let redacted =
            text.split_inclusive(is_delimiter)
                .map(|word| match word.strip_prefix(&self.id) {
                    Some(rest) if rest.chars().all(is_delimiter) => format!("[id]{rest}"),
                    _ => word.to_owned(),
                });
        redacted.collect()
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("action", &self.action)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(id: &str) -> Subject {
        Subject {
            action: "GetPersonGroupInfo",
            fields: &["person_id"],
            id: id.to_owned(),
        }
    }

    #[tokio::test]
    async fn the_attempts_of_those_it_waited_for_are_counted() {
        let deadline = Deadline::new(
            tokio::time::Instant::now(),
            None,
            std::time::Duration::from_secs(1),
        );
        let context = || {
            Arc::new(Context::new(
                deadline,
                false,
                Identity::Address([127, 0, 0, 1].into()),
            ))
        };
        let (waiter, first, second) = (context(), context(), context());

        waiter.follow(Arc::clone(&first));
        first.count_attempt();
        assert_eq!(waiter.attempts(), 1);
        waiter.follow(Arc::clone(&second));
        first.count_attempt();
        second.count_attempt();
        second.count_attempt();
        assert_eq!(waiter.attempts(), 3);
    }

    #[test]
    fn a_subject_does_not_print_its_id() {
        assert!(!format!("{:?}", subject("alice")).contains("alice"));
    }

    #[test]
    fn an_id_is_taken_out_of_a_text_and_a_short_one_where_it_stands_by_itself() {
        let cases = [
            ("alice", "no person alice.", "no person [id]."),
            (
                "alice",
                "PersonId=alice&Offset=0, id_alice, malice",
                "PersonId=[id]&Offset=0, id_[id], m[id]",
            ),
            ("", "to be, or not to be", "to be, or not to be"),
            ("a", "a cat and a hat", "[id] cat and [id] hat"),
            ("a#b", "(a#b) a#b#c", "([id]) a#b#c"),
            ("x", "\u{4eba}x\u{5458}", "\u{4eba}[id]\u{5458}"),
        ];

        for (id, text, expected) in cases {
            assert_eq!(subject(id).redact(text), expected);
        }
    }
}
