//! Log level directives: a default level, and levels for single targets. They contain no filters on
//! fields, unlike those of `tracing_subscriber::EnvFilter`: such filters are regular expressions, and
//! one short line of them takes gigabytes of memory to compile. Therefore this module has its own
//! parser, and `EnvFilter` is not compiled in.

use std::fmt;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The target of events at WARN and above that are logged at any level, `off` included.
pub const ALWAYS_LOGGED: &str = "iai_facade_always_logged";

/// The target of the HTTP/2 library. It logs at WARN what clients do, as often as they do it.
const HTTP2: &str = "h2";

/// The names of the levels, from the least to the most verbose.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// Log level directives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLevels(Vec<Directive>);

/// A level for all targets, or for those with a prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Directive {
    target: Option<String>,
    level: LevelFilter,
}

impl LogLevels {
    /// Parses directives such as `info,iai_facade=debug`: a list of `level` or `target=level`. The most
    /// specific target takes precedence, and the last of equal ones. Targets without a directive are
    /// not logged. Whitespace around levels, targets and commas is ignored, as is the case of levels.
    ///
    /// The cost is linear in the length of the text.
    ///
    /// # Errors
    ///
    /// Fails with a message that names the invalid directive.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(Directive::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns the filter that enables these events and those of [`ALWAYS_LOGGED`]. At the levels INFO and
    /// WARN, those of the HTTP/2 library need a directive of their own: any client could fill the log.
    pub fn filter(&self) -> Targets {
        let mut defaults = self.0.iter().filter(|directive| directive.target.is_none());
        let default = defaults.next_back().map_or(LevelFilter::OFF, |it| it.level);
        let targets = match default {
            LevelFilter::INFO | LevelFilter::WARN => {
                Targets::new().with_target(HTTP2, LevelFilter::ERROR)
            }
            _ => Targets::new(),
        };
        let targets = self
            .0
            .iter()
            .fold(targets, |targets, directive| match &directive.target {
                Some(target) => targets.with_target(target, directive.level),
                None => targets.with_default(directive.level),
            });
        // WARN, because a more verbose level would raise the global maximum level, and libraries would
        // evaluate the filter for each of their events.
        targets.with_target(ALWAYS_LOGGED, LevelFilter::WARN)
    }
}

impl Default for LogLevels {
    /// Returns level INFO for all targets.
    fn default() -> Self {
        Self(vec![Directive {
            target: None,
            level: LevelFilter::INFO,
        }])
    }
}

impl fmt::Display for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Directive { target, level }) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            if let Some(target) = target {
                write!(f, "{target}=")?;
            }
            write!(f, "{level}")?;
        }
        Ok(())
    }
}

impl Directive {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (target, level) = match text.split_once('=') {
            Some((target, level)) => (Some(target.trim_end()), level.trim_start()),
            None => (None, text),
        };
        let is_target = target.is_none_or(is_target);
        match LEVELS
            .iter()
            .find(|(word, _)| level.eq_ignore_ascii_case(word))
        {
            Some((_, level)) if is_target => Ok(Self {
                target: target.map(str::to_owned),
                level: *level,
            }),
            _ => {
                let hint = match suggestion(level) {
                    Some(word) if is_target => format!("did you mean `{word}`?"),
                    _ => "use a list such as info,iai_facade=debug".to_owned(),
                };
                Err(format!(
                    "`{}` is not a level (off, error, warn, info, debug, trace) or TARGET=LEVEL; \
                     {hint}",
                    text.escape_debug(),
                ))
            }
        }
    }
}

/// Returns the name of a level most similar to a misspelled one, if any is similar.
fn suggestion(level: &str) -> Option<&'static str> {
    let level = level.to_ascii_lowercase();
    let words = LEVELS.iter().map(|(word, _)| *word);
    let similar = words.filter_map(|word| {
        let is_longer = level.starts_with(word);
        let distance = strsim::osa_distance(&level, word);
        (is_longer || (distance <= 2 && distance < word.len() - 1)).then_some((distance, word))
    });
    similar.min().map(|(_, word)| word)
}

/// Returns whether a text is a valid target: usually a Rust module path, such as `h2::frame`.
fn is_target(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_directive_sets_the_level_of_all_targets_or_of_one() {
        let cases = [
            ("info", "info"),
            (" WARN ", "warn"),
            ("off", "off"),
            ("info,iai_facade=debug", "info,iai_facade=debug"),
            ("h2::frame = trace , error", "h2::frame=trace,error"),
            ("a-target=info", "a-target=info"),
        ];

        for (text, expected) in cases {
            assert_eq!(
                LogLevels::parse(text).unwrap().to_string(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn invalid_directives_are_rejected() {
        for text in [
            "",
            " ",
            "info,",
            "=info",
            "iai_facade",
            "iai_facade=",
            "a=b=info",
            "3",
            "[{a=.*a.................}]=off",
            "iai_facade[{id}]=info",
            "[span]=info",
            "a b=info",
            "é=info",
        ] {
            assert!(LogLevels::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelled_level_is_rejected_with_a_suggestion() {
        for (text, meant) in [
            ("warning", "warn"),
            ("inof", "info"),
            ("information", "info"),
            ("iai_facade=debgu", "debug"),
            ("Errors", "error"),
            ("tarce", "trace"),
        ] {
            let problem = LogLevels::parse(text).unwrap_err();
            assert!(
                problem.ends_with(&format!("did you mean `{meant}`?")),
                "{problem}"
            );
        }
        for text in ["verbose", "loud", "4", ""] {
            assert!(!LogLevels::parse(text).unwrap_err().contains("did you mean"));
        }
    }

    #[test]
    fn the_most_specific_target_takes_precedence() {
        let filter = LogLevels::parse("a=off,warn,a::b=debug").unwrap().filter();

        assert!(filter.would_enable("c", &Level::WARN));
        assert!(!filter.would_enable("c", &Level::INFO));
        assert!(!filter.would_enable("a", &Level::ERROR));
        assert!(filter.would_enable("a::b::c", &Level::DEBUG));
    }

    #[test]
    fn the_http2_library_warns_only_if_it_is_named_or_at_debug() {
        for (text, is_enabled) in [
            ("info", false),
            ("warn", false),
            ("debug,info", false),
            ("info,iai_facade=debug", false),
            ("debug", true),
            ("info,debug", true),
            ("info,h2=warn", true),
            ("h2=info,info", true),
            ("info,h2::proto=trace", true),
        ] {
            let filter = LogLevels::parse(text).unwrap().filter();
            let warns = filter.would_enable("h2::proto::ping_pong", &Level::WARN);
            assert_eq!(warns, is_enabled, "{text}");
        }
    }

    #[test]
    fn events_that_are_always_logged_cannot_be_disabled() {
        for text in ["off", "iai_facade=off", &format!("{ALWAYS_LOGGED}=off")] {
            let filter = LogLevels::parse(text).unwrap().filter();
            assert!(filter.would_enable(ALWAYS_LOGGED, &Level::WARN), "{text}");
        }
    }
}
