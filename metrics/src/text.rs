//! A sheet in Prometheus' text format, version 0.0.4.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details>.

use crate::config::Settings;
use crate::sheet::{Sheet, Value, plain};
use crate::table::{Metric, Table};

/// Media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Encodes the metrics of a table that have values, in the order of the table.
pub fn text(table: &'static Table, sheet: &Sheet, settings: &Settings) -> String {
    let mut text = String::new();
    for metric in Metric::all(table) {
        let name = format!("{}{}", settings.prefix, metric.name);
        if sheet.series(metric).next().is_none() {
            continue;
        }
        let help = metric.help.replace('`', "");
        line(&mut text, format_args!("# HELP {name} {help}"));
        line(
            &mut text,
            format_args!("# TYPE {name} {}", metric.kind.word()),
        );
        for sample in samples(metric, sheet, settings) {
            let Sample { end, labels, value } = sample;
            line(
                &mut text,
                format_args!("{name}{end}{} {value}", braced(&labels)),
            );
        }
    }
    text
}

/// One number, with what distinguishes it from the others of its metric.
pub(crate) struct Sample<'a> {
    /// Suffix of the metric's name, such as `_sum`.
    pub(crate) end: &'static str,
    pub(crate) labels: Vec<(&'a str, String)>,
    /// The value in decimal notation.
    pub(crate) value: String,
}

/// The numbers that a metric consists of.
pub(crate) fn samples<'a>(
    metric: &'static Metric,
    sheet: &'a Sheet,
    settings: &'a Settings,
) -> impl Iterator<Item = Sample<'a>> {
    sheet.series(metric).flat_map(move |(values, value)| {
        let own = metric.labels.iter().map(|label| label.name);
        let own = own.zip(values.iter().cloned());
        let every = settings.labels.iter();
        let every = every.map(|(name, value)| (name.as_str(), plain(value)));
        numbers(every.chain(own).collect(), value)
    })
}

fn numbers<'a>(labels: Vec<(&'a str, String)>, value: &Value) -> Vec<Sample<'a>> {
    let sample = |end, labels, value| Sample { end, labels, value };
    match value {
        Value::Number(number) => vec![sample("", labels, format!("{number:?}"))],
        Value::Count(count) => vec![sample("", labels, count.to_string())],
        Value::Histogram(histogram) => {
            let mut all: Vec<_> = histogram
                .cumulative()
                .map(|(upper, count)| {
                    let upper = if upper.is_finite() {
                        format!("{upper:?}")
                    } else {
                        "+Inf".into()
                    };
                    let with = [("le", upper)].into_iter().chain(labels.clone());
                    sample("_bucket", with.collect(), count.to_string())
                })
                .collect();
            all.push(sample(
                "_sum",
                labels.clone(),
                format!("{:?}", histogram.sum),
            ));
            all.push(sample("_count", labels, histogram.count().to_string()));
            all
        }
    }
}

fn braced(labels: &[(&str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// Appends a line.
pub(crate) fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(&format!("{line}\n"));
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::count::Histogram;
    use crate::table::Label;

    static UP: Metric = Metric::gauge("up", "1 if `it` is up", "");
    static DONE: Metric = Metric::counter("done_total", "Done", "")
        .by(&[Label::one_of("kind", &["a", "b"]), Label::named("who")]);
    static TOOK: Metric = Metric::histogram("took_seconds", "Took", "").by(&[Label::named("who")]);
    static NEVER: Metric = Metric::gauge("never", "Never", "");
    pub(crate) const TABLE: &Table = &[("One", &[&UP, &NEVER]), ("Two", &[&DONE, &TOOK])];

    pub(crate) fn sheet() -> Sheet {
        let mut sheet = Sheet::default();
        sheet.put(&UP, [], true);
        sheet.put(&DONE, ["a", "x \"y\""], 3_u64);
        sheet.put(&DONE, ["b", ""], 4_u64);
        let mut took = Histogram {
            ends: vec![0.5, 1.0],
            counts: vec![0; 3],
            sum: 0.0,
        };
        for millis in [250, 500, 4_000] {
            took.note(Duration::from_millis(millis));
        }
        sheet.put(&TOOK, ["x"], took);
        sheet
    }

    pub(crate) fn settings() -> Settings {
        Settings {
            labels: vec![("job".into(), "t\"s".into())],
            prefix: "my_".into(),
            ..Settings::default()
        }
    }

    #[test]
    fn a_sheet_is_told_in_the_order_of_the_table() {
        let expected = "\
# HELP up 1 if it is up
# TYPE up gauge
up 1.0
# HELP done_total Done
# TYPE done_total counter
done_total{kind=\"a\",who=\"x _y_\"} 3
done_total{kind=\"b\",who=\"\"} 4
# HELP took_seconds Took
# TYPE took_seconds histogram
took_seconds_bucket{le=\"0.5\",who=\"x\"} 2
took_seconds_bucket{le=\"1.0\",who=\"x\"} 2
took_seconds_bucket{le=\"+Inf\",who=\"x\"} 3
took_seconds_sum{who=\"x\"} 4.75
took_seconds_count{who=\"x\"} 3
";
        assert_eq!(text(TABLE, &sheet(), &Settings::default()), expected);
    }

    #[test]
    fn the_operators_prefix_and_labels_are_on_every_sample() {
        let text = text(TABLE, &sheet(), &settings());
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for line in samples {
            assert!(
                line.starts_with("my_") && line.contains("job=\"t_s\""),
                "{line}"
            );
        }
        assert!(
            text.contains("# TYPE my_up gauge\nmy_up{job=\"t_s\"} 1.0\n"),
            "{text}"
        );
    }
}
