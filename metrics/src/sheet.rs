//! The values of a service's metrics at one moment.

use std::collections::BTreeMap;

use crate::count::Histogram;
use crate::table::{Kind, Metric};

/// Most series of one metric. More are left out, and counted.
pub const MAX_SERIES: usize = 1_000;
/// Longest value of a label, in characters. A longer one is cut.
pub const MAX_LABEL: usize = 128;

/// Values by metric and labels.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    samples: BTreeMap<&'static str, BTreeMap<Vec<String>, Value>>,
    left_out: u64,
}

/// The value of one series.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The value of a gauge.
    Number(f64),
    /// The value of a counter.
    Count(u64),
    /// The distribution of a histogram.
    Histogram(Histogram),
}

impl Sheet {
    /// Sets the value of a series. `labels` are the values of the metric's labels, in order;
    /// characters that have a meaning in text formats are replaced.
    pub fn put<const N: usize>(
        &mut self,
        metric: &'static Metric,
        labels: [&str; N],
        value: impl Into<Value>,
    ) {
        let value = value.into();
        debug_assert_eq!(N, metric.labels.len(), "{}", metric.name);
        debug_assert!(value.is_of(metric.kind), "{}", metric.name);
        let labels: Vec<String> = labels.into_iter().map(plain).collect();
        let series = self.samples.entry(metric.name).or_default();
        if series.len() < MAX_SERIES || series.contains_key(&labels) {
            series.insert(labels, value);
        } else {
            self.left_out += 1;
        }
    }

    /// The series of a metric, each with the values of its labels.
    pub fn series(&self, metric: &Metric) -> impl Iterator<Item = (&[String], &Value)> {
        let series = self.samples.get(metric.name).into_iter().flatten();
        series.map(|(labels, value)| (labels.as_slice(), value))
    }

    /// The number of series that were left out so far.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

impl Value {
    fn is_of(&self, kind: Kind) -> bool {
        match self {
            Self::Number(_) => kind == Kind::Gauge,
            Self::Count(_) => kind == Kind::Counter,
            Self::Histogram(_) => kind == Kind::Histogram,
        }
    }
}

/// Replaces the characters that have a meaning in a text format, and cuts long texts.
pub(crate) fn plain(value: &str) -> String {
    let special = |c: char| c.is_control() || c == '"' || c == '\\';
    value
        .chars()
        .take(MAX_LABEL)
        .map(|c| if special(c) { '_' } else { c })
        .collect()
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Number(f64::from(u8::from(value)))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Number(value as f64)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<Histogram> for Value {
    fn from(value: Histogram) -> Self {
        Self::Histogram(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Label;

    static PEERS: Metric = Metric::gauge("peers", "", "").by(&[Label::named("peer")]);

    #[test]
    fn names_without_bound_do_not_make_series_without_bound() {
        let mut sheet = Sheet::default();
        for number in 0..MAX_SERIES + 7 {
            sheet.put(&PEERS, [&format!("peer {number}")], 1.0);
        }
        assert_eq!(sheet.series(&PEERS).count(), MAX_SERIES);
        assert_eq!(sheet.left_out(), 7);
        sheet.put(&PEERS, ["peer 0"], 2.0);
        let known = sheet
            .series(&PEERS)
            .find(|(labels, _)| labels[0] == "peer 0");
        assert_eq!(known.unwrap().1, &Value::Number(2.0));
    }

    #[test]
    fn a_long_name_is_cut_and_two_that_begin_alike_are_one_series() {
        let mut sheet = Sheet::default();
        let long = "\u{e9}".repeat(MAX_LABEL);
        sheet.put(&PEERS, [&format!("{long}a")], 1.0);
        sheet.put(&PEERS, [&format!("{long}b")], 2.0);
        let series: Vec<_> = sheet.series(&PEERS).collect();
        assert_eq!(series, [(&[long][..], &Value::Number(2.0))]);
    }

    #[test]
    fn the_characters_of_the_formats_are_replaced() {
        assert_eq!(plain("a\"b\\c\nd\u{7f}e"), "a_b_c_d_e");
        assert_eq!(plain("my, own = {x}"), "my, own = {x}");
    }
}
