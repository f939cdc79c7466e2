//! The figures of a scenario, with their bounds.

use std::fmt;

/// The figures of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Figure>);

#[derive(Debug)]
struct Figure {
    name: String,
    value: f64,
    bound: Option<Bound>,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn contains(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Report {
    /// Adds a figure with a lower bound.
    pub(crate) fn at_least(&mut self, bound: f64, name: impl Into<String>, value: f64) {
        self.add(name.into(), value, Some(Bound::AtLeast(bound)));
    }

    /// Adds a figure with an upper bound.
    pub(crate) fn at_most(&mut self, bound: f64, name: impl Into<String>, value: f64) {
        self.add(name.into(), value, Some(Bound::AtMost(bound)));
    }

    /// Adds a figure without a bound.
    pub(crate) fn note(&mut self, name: impl Into<String>, value: f64) {
        self.add(name.into(), value, None);
    }

    /// Returns whether every figure is within its bound. NaN is within none.
    pub(crate) fn is_within_bounds(&self) -> bool {
        self.0.iter().all(|figure| {
            figure
                .bound
                .is_none_or(|bound| bound.contains(figure.value))
        })
    }

    fn add(&mut self, name: String, value: f64, bound: Option<Bound>) {
        self.0.push(Figure { name, value, bound });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Figure { name, value, bound } in &self.0 {
            write!(f, "  {name:<56} {value:10.2}")?;
            match bound {
                Some(Bound::AtLeast(least)) => write!(f, "  at least {least}")?,
                Some(Bound::AtMost(most)) => write!(f, "  at most {most}")?,
                None => {}
            }
            let is_exceeded = bound.is_some_and(|bound| !bound.contains(*value));
            writeln!(f, "{}", if is_exceeded { "  EXCEEDED" } else { "" })?;
        }
        Ok(())
    }
}
