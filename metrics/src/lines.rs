//! A sheet in InfluxDB's line protocol. A sample's name is the measurement, its labels are the
//! tags, and its value is the field `value`, so that names are those of Prometheus.
//!
//! Format: <https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/>. Tags
//! without a value are not allowed there and are left out.

use crate::config::Settings;
use crate::sheet::Sheet;
use crate::table::{Metric, Table};
use crate::text::{Sample, samples};

/// Returns one line per sample, all with the same timestamp in milliseconds.
pub(crate) fn lines(
    table: &'static Table,
    sheet: &Sheet,
    settings: &Settings,
    now: u64,
) -> Vec<String> {
    let mut lines = Vec::new();
    for metric in Metric::all(table) {
        let name = format!("{}{}", settings.prefix, metric.name);
        let samples = samples(metric, sheet, settings);
        lines.extend(samples.filter_map(|sample| line(&name, &sample, now)));
    }
    lines
}

fn line(name: &str, sample: &Sample<'_>, now: u64) -> Option<String> {
    // The format has no representation of infinity or NaN.
    let value: f64 = sample
        .value
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())?;
    let mut line = format!("{name}{}", sample.end);
    for (label, value) in sample.labels.iter().filter(|(_, value)| !value.is_empty()) {
        line += &format!(",{}={}", escaped(label), escaped(value));
    }
    Some(format!("{line} value={value} {now}"))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '=' | ' ') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::{TABLE, settings, sheet};

    #[test]
    fn a_sample_becomes_a_line_and_labels_without_a_value_have_no_tag() {
        let lines = lines(TABLE, &sheet(), &settings(), 7);
        let expected = [
            "my_up,job=t_s value=1 7",
            "my_done_total,job=t_s,kind=a,who=x\\ _y_ value=3 7",
            "my_done_total,job=t_s,kind=b value=4 7",
            "my_took_seconds_bucket,le=0.5,job=t_s,who=x value=2 7",
            "my_took_seconds_bucket,le=1.0,job=t_s,who=x value=2 7",
            "my_took_seconds_bucket,le=+Inf,job=t_s,who=x value=3 7",
            "my_took_seconds_sum,job=t_s,who=x value=4.75 7",
            "my_took_seconds_count,job=t_s,who=x value=3 7",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_characters_of_the_format_are_escaped() {
        assert_eq!(escaped("p q,r=s{1}"), "p\\ q\\,r\\=s{1}");
    }

    #[test]
    fn a_number_that_cannot_be_stored_is_left_out() {
        let one = |value: &str| {
            let sample = Sample {
                end: "",
                labels: Vec::new(),
                value: value.into(),
            };
            line("a", &sample, 7)
        };
        for value in ["inf", "-inf", "NaN"] {
            assert_eq!(one(value), None, "{value}");
        }
        assert_eq!(one("-1.5e3").unwrap(), "a value=-1500 7");
    }
}
