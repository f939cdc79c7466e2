//! Charts of the period as inline SVG, without text: the labels around them are HTML, which does not
//! stretch with the chart.

use std::fmt::Write;

use maud::{Markup, html};

use super::format;

/// The shortest time that a chart shows, in seconds.
const MIN_WIDTH: f64 = 120.0;

/// The height of all charts, in a unit of its own.
const HEIGHT: f64 = 100.0;

/// A chart over intervals of time.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// The lengths of the intervals in seconds, the last of which ends now.
    pub(super) lengths: Vec<f64>,
    pub(super) series: Vec<Series>,
    /// Formats a value of the y axis.
    pub(super) format: fn(f64) -> String,
    pub(super) scale: Scale,
}

/// The scale of the y axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0 to a round number, which is at least this one.
    Linear(f64),
    /// From this number, which is above 0, to a power of ten.
    Logarithmic(f64),
}

/// The values of one kind, for each interval.
pub(super) struct Series {
    pub(super) label: &'static str,
    /// The class that sets its colour.
    pub(super) class: &'static str,
    pub(super) shape: Shape,
    pub(super) values: Vec<Option<f64>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// Bars, on top of those of the series before.
    Bars,
    /// A line.
    Line,
}

impl Chart {
    /// Writes the chart with its title, legend and axes.
    pub(super) fn markup(&self) -> Markup {
        let maximum = self.scale.maximum(self.highest());
        let label = format!("{}: up to {}", self.title, (self.format)(self.highest()));
        let width = self.width();
        html! {
            figure.chart {
                figcaption {
                    (self.title)
                    span.legend {
                        @for series in &self.series {
                            span.key { span.swatch.(series.class) {} (series.label) }
                        }
                    }
                }
                div.plot {
                    span.maximum { ((self.format)(maximum)) }
                    span.minimum { ((self.format)(self.scale.minimum())) }
                    svg role="img" aria-label=(label) viewBox=(format!("0 0 {width} {HEIGHT}"))
                        preserveAspectRatio="none" {
                        path.grid d=(format!("M0 0H{width}M0 50H{width}M0 {HEIGHT}H{width}")) {}
                        @for (series, path) in self.series.iter().zip(self.paths(maximum)) {
                            path.(series.shape.class()).(series.class) d=(path) {}
                        }
                    }
                }
                div.axis { span { (format::seconds(width as u64)) " ago" } span { "now" } }
            }
        }
    }

    /// Returns the highest point of any series.
    fn highest(&self) -> f64 {
        let bars = self.series.iter().filter(|it| it.shape == Shape::Bars);
        let stack = |place: usize| -> f64 {
            bars.clone()
                .filter_map(|it| it.values.get(place).copied().flatten())
                .sum()
        };
        let stacks = (0..self.lengths.len()).map(stack);
        let lines = self.series.iter().filter(|it| it.shape == Shape::Line);
        let lines = lines.flat_map(|it| it.values.iter().copied().flatten());
        stacks.chain(lines).fold(0.0, f64::max)
    }

    /// Returns the path of each series.
    fn paths(&self, maximum: f64) -> Vec<String> {
        let mut base = vec![0.0; self.lengths.len()];
        let paths = self.series.iter().map(|series| match series.shape {
            Shape::Bars => self.bars(series, &mut base, maximum),
            Shape::Line => self.line(series, maximum),
        });
        paths.collect()
    }

    fn bars(&self, series: &Series, base: &mut [f64], maximum: f64) -> String {
        let mut path = String::new();
        for (((start, length), value), base) in self.spans().zip(&series.values).zip(base) {
            let Some(value) = value.filter(|value| *value > 0.0) else {
                continue;
            };
            let bottom = self.scale.y(*base, maximum);
            *base += value;
            let top = self.scale.y(*base, maximum);
            // Writing to a string does not fail.
            let _ = write!(
                path,
                "M{start:.1} {bottom:.1}V{top:.1}h{length:.1}V{bottom:.1}z"
            );
        }
        path
    }

    /// Returns a line of steps, which ends before an interval without a value.
    fn line(&self, series: &Series, maximum: f64) -> String {
        let mut path = String::new();
        let mut is_open = false;
        for ((start, length), value) in self.spans().zip(&series.values) {
            if let Some(value) = value {
                let y = self.scale.y(*value, maximum);
                let _ = match is_open {
                    true => write!(path, "V{y:.1}h{length:.1}"),
                    false => write!(path, "M{start:.1} {y:.1}h{length:.1}"),
                };
            }
            is_open = value.is_some();
        }
        path
    }

    /// Returns the width in seconds, which are the unit in x.
    fn width(&self) -> f64 {
        self.lengths.iter().sum::<f64>().max(MIN_WIDTH)
    }

    /// Returns the start and the length of each interval.
    fn spans(&self) -> impl Iterator<Item = (f64, f64)> {
        let mut start = self.width() - self.lengths.iter().sum::<f64>();
        self.lengths.iter().map(move |length| {
            let span = (start, *length);
            start += length;
            span
        })
    }
}

impl Shape {
    fn class(self) -> &'static str {
        match self {
            Self::Bars => "bars",
            Self::Line => "line",
        }
    }
}

impl Scale {
    fn minimum(self) -> f64 {
        match self {
            Self::Linear(_) => 0.0,
            Self::Logarithmic(minimum) => minimum,
        }
    }

    fn maximum(self, highest: f64) -> f64 {
        match self {
            Self::Linear(least) => round_up(highest.max(least)),
            Self::Logarithmic(minimum) => {
                let powers = (highest / minimum).log10().ceil().max(1.0);
                minimum * 10f64.powf(powers)
            }
        }
    }

    /// Returns the y coordinate of a value, downwards from the top.
    fn y(self, value: f64, maximum: f64) -> f64 {
        let share = match self {
            Self::Linear(_) => value / maximum,
            Self::Logarithmic(minimum) => (value / minimum).ln() / (maximum / minimum).ln(),
        };
        HEIGHT * (1.0 - share.clamp(0.0, 1.0))
    }
}

/// Rounds a number above 0 up to 1, 2 or 5 times a power of ten.
fn round_up(number: f64) -> f64 {
    let power = 10f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    // The logarithm of a power of ten may be rounded down.
    let fits = |step: &f64| number <= step * (1.0 + 1e-9);
    steps.into_iter().find(fits).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(shape: Shape, values: [&[Option<f64>]; 2]) -> Chart {
        Chart {
            title: "Calls",
            lengths: vec![10.0, 10.0, 5.0],
            series: values
                .map(|values| Series {
                    label: "ok",
                    class: "ok",
                    shape,
                    values: values.to_vec(),
                })
                .into(),
            format: |value| value.to_string(),
            scale: Scale::Linear(1.0),
        }
    }

    #[test]
    fn bars_are_stacked_and_end_at_the_right() {
        let chart = chart(
            Shape::Bars,
            [
                &[Some(1.0), Some(0.0), Some(2.0)],
                &[Some(1.0), Some(1.0), None],
            ],
        );

        assert_eq!(chart.highest(), 2.0);
        assert_eq!(
            chart.paths(2.0),
            [
                "M95.0 100.0V50.0h10.0V100.0zM115.0 100.0V0.0h5.0V100.0z",
                "M95.0 50.0V0.0h10.0V50.0zM105.0 100.0V50.0h10.0V100.0z"
            ]
        );
    }

    #[test]
    fn a_line_is_interrupted_where_it_has_no_value() {
        let chart = chart(Shape::Line, [&[Some(1.0), None, Some(2.0)], &[]]);

        assert_eq!(chart.highest(), 2.0);
        assert_eq!(chart.paths(2.0)[0], "M95.0 50.0h10.0M115.0 0.0h5.0");
    }

    #[test]
    fn a_logarithmic_axis_ends_at_a_power_of_ten() {
        let scale = Scale::Logarithmic(0.1);
        for (highest, expected) in [(0.0, 1.0), (0.5, 1.0), (20.0, 100.0)] {
            assert!(
                (scale.maximum(highest) / expected - 1.0).abs() < 1e-6,
                "{highest}"
            );
        }
        assert_eq!(scale.y(0.0, 10.0), HEIGHT);
        assert!((scale.y(1.0, 10.0) - 50.0).abs() < 1e-6);
        assert_eq!(scale.y(10.0, 10.0), 0.0);
    }

    #[test]
    fn the_maximum_of_an_axis_is_a_round_number() {
        for (number, expected) in [(1.0, 1.0), (1.1, 2.0), (0.03, 0.05), (730.0, 1_000.0)] {
            assert!((round_up(number) / expected - 1.0).abs() < 1e-6, "{number}");
        }
    }
}
