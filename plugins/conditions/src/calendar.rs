//! Times of the day and days of the week, as operators write them.

use std::fmt;

use serde::Deserialize;

use crate::choice::present;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60;
const WEEK: i64 = 7 * DAY;

const EVERY_DAY: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

/// A time of the day on some days of the week. If it ends before it begins, it ends
/// on the next day.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The days on which it begins; every day if absent.
    #[serde(default, deserialize_with = "present")]
    pub days: Option<Vec<Weekday>>,
    /// The beginning.
    pub from: TimeOfDay,
    /// The end, exclusive: the minute after the last.
    pub to: TimeOfDay,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of the day as minutes since midnight, from `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay(i64);

/// An offset in minutes east of UTC, written `+02:00`, `-05:30` or `Z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(i64);

/// A minute of the week in some zone, counted from Monday 00:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinuteOfWeek(i64);

impl Span {
    /// Rejects a span that cannot be meant.
    pub fn validate(&self) -> Result<(), String> {
        if self.from == self.to {
            return Err(
                "a span begins when it ends; for a whole day write from \"00:00\" to \"24:00\""
                    .into(),
            );
        }
        if self.days.as_ref().is_some_and(Vec::is_empty) {
            return Err("`days` is empty; name days, or leave it out for every day".into());
        }
        Ok(())
    }

    /// True if the span has this minute.
    pub fn contains(&self, at: MinuteOfWeek) -> bool {
        let length = (self.to.0 - self.from.0).rem_euclid(DAY);
        let length = if length == 0 { DAY } else { length };
        let days = self.days.as_deref().unwrap_or(&EVERY_DAY);
        days.iter().any(|day| {
            let begin = *day as i64 * DAY + self.from.0;
            (at.0 - begin).rem_euclid(WEEK) < length
        })
    }
}

impl Zone {
    /// The minute in this zone at this time in milliseconds since 1970, which began on a Thursday.
    pub fn at(self, milliseconds: u64) -> MinuteOfWeek {
        let minutes = i64::try_from(milliseconds).unwrap_or(i64::MAX) / MINUTE;
        MinuteOfWeek((minutes + 3 * DAY + self.0).rem_euclid(WEEK))
    }
}

/// Formats the minute as people say it, such as `Mon 08:30`.
impl fmt::Display for MinuteOfWeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = EVERY_DAY[(self.0 / DAY) as usize];
        let minute = self.0 % DAY;
        write!(f, "{day:?} {:02}:{:02}", minute / 60, minute % 60)
    }
}

/// Parses `hh:mm` into minutes.
fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<i64>().ok())
    };
    let hours = two(hours)??;
    let minutes = two(minutes)??;
    (minutes < 60).then_some(hours * 60 + minutes)
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let in_day = minutes(&text).filter(|minutes| (0..=DAY).contains(minutes));
        in_day.map(TimeOfDay).ok_or(format!(
            "`{text}` is not a time of the day; write e.g. \"08:30\", in quotes"
        ))
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let offset = match text.as_bytes().first() {
            Some(b'Z') if text.len() == 1 => Some(0),
            Some(b'+') => minutes(&text[1..]),
            Some(b'-') => minutes(&text[1..]).map(|minutes| -minutes),
            Some(_) | None => None,
        };
        offset.filter(|minutes| minutes.abs() <= 14 * 60).map(Zone).ok_or(format!(
            "`{text}` is not an offset from UTC; write e.g. \"+02:00\", in quotes: names of zones are not known here, since their rules change"
        ))
    }
}
