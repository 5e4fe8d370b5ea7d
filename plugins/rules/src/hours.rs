//! `hours:` of a policy: the times at which it allows signing. The time that counts is when the
//! node received the task.

use countersign_sdk::Task;
use serde::Deserialize;

use crate::choice::present;
use crate::trail::{Ruling, refuse};

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The offset from UTC of all times in the section.
    #[serde(default)]
    pub zone: Zone,
    /// Signing is only allowed within one of these spans, if present.
    #[serde(default, deserialize_with = "present")]
    pub allow: Option<Vec<Span>>,
    /// Signing is never allowed within one of these spans.
    #[serde(default)]
    pub quiet: Vec<Span>,
}

/// A time of the day on some days of the week. If it ends before it begins, it ends
/// on the next day.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The days on which it begins; every day if absent.
    #[serde(default, deserialize_with = "present")]
    pub days: Option<Vec<Weekday>>,
    pub from: TimeOfDay,
    /// The end, exclusive: the minute after the last.
    pub to: TimeOfDay,
}

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

impl Hours {
    /// Rejects spans and lists that cannot be meant.
    pub fn validate(&self) -> Result<(), String> {
        let spans = self.allow.iter().flatten().chain(&self.quiet);
        for span in spans {
            if span.from == span.to {
                return Err(
                    "hours: a span begins when it ends; for a whole day write from \"00:00\" to \"24:00\""
                        .into(),
                );
            }
            if span.days.as_ref().is_some_and(Vec::is_empty) {
                return Err(
                    "hours: `days` is empty; name days, or leave it out for every day".into(),
                );
            }
        }
        match &self.allow {
            Some(allow) if allow.is_empty() => {
                Err("hours.allow is empty and would never sign; leave it out".into())
            }
            None if self.quiet.is_empty() => {
                Err("hours says nothing; write `allow` or `quiet`".into())
            }
            _ => Ok(()),
        }
    }

    /// Checks the time at which the task was received.
    pub fn judge(&self, task: &Task) -> Ruling {
        let minute = self.minute_of_week(task.received_at);
        let now = show(minute);
        if self.quiet.iter().any(|span| span.contains(minute)) {
            return refuse(
                "keysign-quiet-hours",
                format!("{now} lies in the quiet hours"),
            );
        }
        match &self.allow {
            Some(spans) if !spans.iter().any(|span| span.contains(minute)) => refuse(
                "keysign-outside-hours",
                format!("{now} lies outside the hours"),
            ),
            _ => Ok(now.into()),
        }
    }

    /// Returns the minutes since Monday 00:00 in the zone. 1970 began on a Thursday.
    fn minute_of_week(&self, milliseconds: u64) -> i64 {
        let minutes = i64::try_from(milliseconds).unwrap_or(i64::MAX) / MINUTE;
        (minutes + 3 * DAY + self.zone.0).rem_euclid(WEEK)
    }
}

impl Span {
    fn contains(&self, minute_of_week: i64) -> bool {
        let length = (self.to.0 - self.from.0).rem_euclid(DAY);
        let length = if length == 0 { DAY } else { length };
        let days = self.days.as_deref().unwrap_or(&EVERY_DAY);
        days.iter().any(|day| {
            let begin = *day as i64 * DAY + self.from.0;
            (minute_of_week - begin).rem_euclid(WEEK) < length
        })
    }
}

fn show(minute_of_week: i64) -> String {
    let day = EVERY_DAY[(minute_of_week / DAY) as usize];
    let minute = minute_of_week % DAY;
    format!("{day:?} {:02}:{:02}", minute / 60, minute % 60)
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
            _ => None,
        };
        offset.filter(|minutes| minutes.abs() <= 14 * 60).map(Zone).ok_or(format!(
            "`{text}` is not an offset from UTC; write e.g. \"+02:00\", in quotes: names of zones are not known here, since their rules change"
        ))
    }
}
