//! Error chains: formats an error together with its causes, and walks through the causes.

use std::{error::Error, io, iter};

/// Returns the messages of an error and of its causes on one line, separated by `: `. Omits a cause with
/// the same message as the error before it, which some libraries return for an error that they wrap.
pub fn error_chain(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    let mut messages: Vec<_> = causes.map(ToString::to_string).collect();
    messages.dedup();
    messages.join(": ")
}

/// Returns an error, its cause, the cause of its cause, and so on. Looks into I/O errors: an
/// [`io::Error`] returns the source of the error it wraps as its own, and so skips that error.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Link {
        message: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn a_cause_with_the_message_of_its_error_is_omitted() {
        let chain = ["refused", "refused", "cannot connect"];
        let error = chain.into_iter().fold(None, |source, message| {
            Some(Box::new(Link { message, source }))
        });

        assert_eq!(error_chain(&*error.unwrap()), "cannot connect: refused");
    }
}
