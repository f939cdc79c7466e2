//! What was measured, beside what is promised.

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
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Report {
    /// Adds a figure that must not be smaller.
    pub(crate) fn at_least(&mut self, bound: f64, name: impl Into<String>, value: f64) {
        self.add(name.into(), value, Some(Bound::AtLeast(bound)));
    }

    /// Adds a figure that must not be larger.
    pub(crate) fn at_most(&mut self, bound: f64, name: impl Into<String>, value: f64) {
        self.add(name.into(), value, Some(Bound::AtMost(bound)));
    }

    /// Adds a figure of which nothing is promised.
    pub(crate) fn note(&mut self, name: impl Into<String>, value: f64) {
        self.add(name.into(), value, None);
    }

    /// Tells whether every bound is kept. A figure that is not a number keeps none.
    pub(crate) fn is_kept(&self) -> bool {
        self.0
            .iter()
            .all(|figure| figure.bound.is_none_or(|bound| bound.is_kept(figure.value)))
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
            let is_broken = bound.is_some_and(|bound| !bound.is_kept(*value));
            writeln!(f, "{}", if is_broken { "  BROKEN" } else { "" })?;
        }
        Ok(())
    }
}
