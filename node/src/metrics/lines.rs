//! Converts the output of [`super::text`] to InfluxDB's line protocol, so that pushes carry the
//! same samples as `/metrics`. A sample's name is the measurement, its labels are the tags, and its
//! value is the field `value`.
//!
//! Format: <https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/>. Tags
//! without a value are not allowed there and are left out.

use countersign_protocol::UnixMillis;

/// Returns one line per sample, all with the same timestamp in milliseconds. Comments and other
/// lines that are not samples are skipped.
pub(super) fn lines(text: &str, now: UnixMillis) -> Vec<String> {
    text.lines()
        .filter_map(|sample| line(sample, now))
        .collect()
}

fn line(sample: &str, now: UnixMillis) -> Option<String> {
    if sample.starts_with('#') {
        return None;
    }
    let (series, value) = sample.rsplit_once(' ')?;
    // The format has no representation of infinity or NaN.
    let value: f64 = value.parse().ok().filter(|value: &f64| value.is_finite())?;
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
    };
    let mut line = escaped(name, &[',', ' ']);
    for (label, value) in tags(labels)? {
        line += &format!(
            ",{}={}",
            escaped(label, &[',', '=', ' ']),
            escaped(value, &[',', '=', ' '])
        );
    }
    Some(format!("{line} value={value} {}", now.0))
}

/// Splits labels into names and values. `text::plain` keeps quotes and backslashes out of values.
fn tags(mut labels: &str) -> Option<Vec<(&str, &str)>> {
    let mut tags = Vec::new();
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"")?;
        let (value, rest) = rest.split_once('"')?;
        labels = rest.strip_prefix(',').unwrap_or(rest);
        if !value.is_empty() {
            tags.push((name, value));
        }
    }
    Some(tags)
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_becomes_a_line_and_nothing_else_does() {
        let text = "# TYPE a gauge\na 1.0\nb_bucket{le=\"+Inf\",plugin=\"my, own = x\",version=\"\"} 6\nc{} 2.5\nd NaN\n# EOF\n";
        let expected = [
            "a value=1 7",
            "b_bucket,le=+Inf,plugin=my\\,\\ own\\ \\=\\ x value=6 7",
            "c value=2.5 7",
        ];
        assert_eq!(lines(text, UnixMillis(7)), expected);
        assert!(
            lines("a{b=\"c} 1\n", UnixMillis(7)).is_empty(),
            "half a label"
        );
    }

    fn one(sample: &str) -> Option<String> {
        line(sample, UnixMillis(7))
    }

    #[test]
    fn names_and_values_with_the_characters_of_the_format_are_escaped() {
        assert_eq!(one("a b,c{x=\"1\"} 2").unwrap(), "a\\ b\\,c,x=1 value=2 7");
        assert_eq!(
            one("a{x=\"p q,r=s\"} 2").unwrap(),
            "a,x=p\\ q\\,r\\=s value=2 7"
        );
    }

    #[test]
    fn braces_within_a_value_do_not_end_the_labels() {
        assert_eq!(one("a{x=\"{1}\"} 2").unwrap(), "a,x={1} value=2 7");
    }

    #[test]
    fn a_number_that_cannot_be_stored_is_left_out() {
        for value in ["+Inf", "-Inf", "NaN", "many", ""] {
            assert_eq!(one(&format!("a {value}")), None, "{value}");
        }
        assert_eq!(one("a -1.5e3").unwrap(), "a value=-1500 7");
    }

    #[test]
    fn a_sample_with_broken_labels_is_left_out_and_spoils_no_other() {
        let text = "a{x=\"1\" 2\nb{x=1} 2\nc{x} 2\nd 2\n";
        assert_eq!(lines(text, UnixMillis(7)), ["d value=2 7"]);
    }

    #[test]
    fn all_lines_of_a_snapshot_have_its_time() {
        let lines = lines("a 1\nb 2\n", UnixMillis(1_700_000_000_123));
        assert!(lines.len() == 2 && lines.iter().all(|line| line.ends_with(" 1700000000123")));
    }
}
