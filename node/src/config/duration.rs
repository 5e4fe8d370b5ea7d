//! Durations in the notation of Go's `time.ParseDuration`, which operators' files already
//! use: `90s`, `1h30m`, `1.5h`.

use std::time::Duration;

use super::error::ConfigError;

/// Seconds per unit. A longer name precedes any name that it begins with.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Converts a number of seconds from the configuration, from 1 to a day.
pub(super) fn seconds(key: &'static str, value: u64) -> Result<Duration, ConfigError> {
    let in_range = (1..=86_400).contains(&value);
    in_range
        .then(|| Duration::from_secs(value))
        .ok_or(ConfigError::Range {
            key,
            value,
            from: 1,
            to: 86_400,
        })
}

/// Parses a duration; `None` if the text is not one. Signs are not accepted.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let (unit, value) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        seconds += number.parse::<f64>().ok()? * value;
        rest = &behind[unit.len()..];
    }
    if text.is_empty() {
        None
    } else {
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("1m0.5s", 60_500),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "5 m", "-5s", "1d", "5m3", ".s", "1e3s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_unit_is_not_taken_for_a_shorter_one_that_it_begins_with() {
        assert_eq!(parse("60000ms"), parse("1m"));
        assert_eq!(parse("1m1ms"), Some(Duration::from_millis(60_001)));
    }

    #[test]
    fn micro_and_nanoseconds_are_known() {
        let micro = Some(Duration::from_micros(5));
        assert_eq!([parse("5us"), parse("5µs"), parse("5000ns")], [micro; 3]);
    }

    #[test]
    fn a_number_that_no_duration_holds_is_not_one() {
        let endless = format!("{}h", "9".repeat(400));
        for text in [endless.as_str(), "99999999999999999999s", "1.2.3s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_deadline_is_a_second_to_a_day_and_its_refusal_names_the_key() {
        assert_eq!(seconds("k", 1).unwrap(), Duration::from_secs(1));
        assert_eq!(seconds("k", 86_400).unwrap(), Duration::from_secs(86_400));
        for value in [0, 86_401] {
            let told = seconds("k", value).unwrap_err().to_string();
            assert_eq!(told, format!("k is {value}; choose 1 to 86400"));
        }
    }
}
