//! The description of a metric. Everything that is shown of a metric comes from here.

/// A metric of a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name. Counters end in `_total`, and other names in their unit.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// The unit of its values.
    pub unit: Unit,
    /// Its labels, in the order in which values are given for them.
    pub labels: &'static [Label],
    /// One sentence for operators, in Markdown. The text for Prometheus lacks the quotes of code.
    pub help: &'static str,
    /// The origin of its values, for the documentation.
    pub source: &'static str,
}

/// The metrics of a service, in the order of the documentation, under headings.
pub type Table = [(&'static str, &'static [&'static Metric])];

/// A label of a metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// Name of the label in all formats.
    pub name: &'static str,
    /// Its values, if there are few; empty if they are names from the configuration.
    pub values: &'static [&'static str],
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that rises and falls.
    Gauge,
    /// A number that rises until the service is restarted.
    Counter,
    /// A distribution of durations.
    Histogram,
}

/// The unit of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, or 1 for true and 0 for false.
    Number,
    /// A duration in seconds.
    Seconds,
    /// A size in bytes.
    Bytes,
    /// An instant, in seconds since 1970.
    UnixTime,
}

impl Metric {
    /// A gauge without labels. The unit follows from the name.
    pub const fn gauge(name: &'static str, help: &'static str, source: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            unit: Unit::of(name),
            labels: &[],
            help,
            source,
        }
    }

    /// A counter without labels.
    pub const fn counter(name: &'static str, help: &'static str, source: &'static str) -> Self {
        Self {
            kind: Kind::Counter,
            ..Self::gauge(name, help, source)
        }
    }

    /// A histogram of durations without labels.
    pub const fn histogram(name: &'static str, help: &'static str, source: &'static str) -> Self {
        Self {
            kind: Kind::Histogram,
            ..Self::gauge(name, help, source)
        }
    }

    /// The same metric with labels.
    pub const fn by(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// The names of all metrics of a table, in order.
    pub fn all(table: &'static Table) -> impl Iterator<Item = &'static Self> {
        table
            .iter()
            .flat_map(|(_, metrics)| metrics.iter().copied())
    }
}

impl Label {
    /// A label whose values come from the configuration or the program, such as a version.
    pub const fn named(name: &'static str) -> Self {
        Self { name, values: &[] }
    }

    /// A label with these values.
    pub const fn one_of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }
}

impl Kind {
    /// Its word in Prometheus' text format, and in the documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

impl Unit {
    /// The unit that a metric's name ends in.
    const fn of(name: &str) -> Self {
        if ends_in(name, "_timestamp_seconds") {
            Self::UnixTime
        } else if ends_in(name, "_seconds") {
            Self::Seconds
        } else if ends_in(name, "_bytes") {
            Self::Bytes
        } else {
            Self::Number
        }
    }

    /// Its word in the documentation; empty for numbers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::UnixTime => "Unix time",
        }
    }
}

/// `str::ends_with`, as a `const fn`.
const fn ends_in(text: &str, end: &str) -> bool {
    let text = text.as_bytes();
    let end = end.as_bytes();
    if text.len() < end.len() {
        return false;
    }
    let mut at = 0;
    while at < end.len() {
        if text[text.len() - end.len() + at] != end[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_what_the_name_ends_in() {
        for (name, unit) in [
            ("a_timestamp_seconds", Unit::UnixTime),
            ("a_seconds", Unit::Seconds),
            ("a_bytes", Unit::Bytes),
            ("bytes", Unit::Number),
            ("seconds_a", Unit::Number),
        ] {
            assert_eq!(Metric::gauge(name, "", "").unit, unit, "{name}");
        }
    }
}
