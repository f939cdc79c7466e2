//! Deadlines, retries and their budget, and the clock that signatures depend on.

mod clock_skew;
mod deadlines;
mod retries;
