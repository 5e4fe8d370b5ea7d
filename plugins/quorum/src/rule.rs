//! One rule: the tasks that it is for, and the votes that they need.

use countersign_conditions::{Assets, Choice, present};
use serde::Deserialize;

use crate::people::{People, Set};
use crate::requirement::{Requirement, WrittenRequirement};
use crate::when::{When, WrittenWhen};

/// The longest life of an approval: that of the longest task.
const MAX_AGE_MS: u64 = 7 * 24 * 3600 * 1000;

/// The rule as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRule {
    /// Lower-case letters, digits and `-`.
    pub name: String,
    #[serde(default)]
    when: WrittenWhen,
    #[serde(default, deserialize_with = "present")]
    require: Option<WrittenRequirement>,
    /// Written instead of `require`.
    #[serde(default)]
    without_votes: Choice,
    #[serde(default)]
    max_age: Age,
    /// Whether those count whose order the task is.
    #[serde(default)]
    initiator: Choice,
    /// People and groups whose rejection refuses at once.
    #[serde(default)]
    veto: Vec<String>,
    /// As many rejections of whomever refuse.
    #[serde(default, deserialize_with = "present")]
    rejections: Option<usize>,
}

/// The rule as evaluated.
#[derive(Debug)]
pub struct Rule {
    /// The name, unique within the file.
    pub name: String,
    /// The tasks that it is for.
    pub when: When,
    /// The votes that it demands; `None`: none.
    pub requirement: Option<Requirement>,
    /// The life of an approval, in milliseconds.
    pub max_age: u64,
    /// Whether the initiator counts.
    pub initiator: Choice,
    /// Those whose rejection refuses at once.
    pub veto: Set,
    /// As many rejections of whomever refuse.
    pub rejections: Option<usize>,
}

impl Rule {
    /// Checks and converts the written form.
    pub fn new(written: WrittenRule, people: &People, assets: &Assets) -> Result<Self, String> {
        let WrittenRule {
            name,
            when,
            require,
            without_votes,
            max_age,
            initiator,
            veto,
            rejections,
        } = written;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(is_name) {
            return Err("a name has 1 to 32 lower-case letters, digits and `-`; rename it".into());
        }
        let requirement = require
            .map(|written| Requirement::new(&written, people))
            .transpose()
            .map_err(|why| format!("require: {why}"))?;
        match (&requirement, without_votes) {
            (Some(_), Choice::Refuse) => {}
            (None, Choice::Allow) if veto.is_empty() && rejections.is_none() => {}
            (None, Choice::Allow) => {
                return Err(
                    "`without_votes: allow` asks nobody, so nobody can reject; leave `veto` and `rejections` out"
                        .into(),
                );
            }
            (Some(_), Choice::Allow) | (None, Choice::Refuse) => {
                return Err(
                    "write either `require`, the votes that it needs, or `without_votes: allow`"
                        .into(),
                );
            }
        }
        if rejections == Some(0) {
            return Err("rejections: 0 would refuse every task; write 1 or more".into());
        }
        let mut vetoes = Set::new();
        for name in &veto {
            vetoes.extend(
                people
                    .person_or_group(name)
                    .map_err(|why| format!("veto: {why}"))?,
            );
        }
        Ok(Self {
            when: When::new(when, assets).map_err(|why| format!("when.{why}"))?,
            name,
            requirement,
            max_age: max_age.0,
            initiator,
            veto: vetoes,
            rejections,
        })
    }
}

/// A time span in milliseconds, written `30m`, `24h` or `7d`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Age(u64);

impl Default for Age {
    fn default() -> Self {
        Self(24 * 3600 * 1000)
    }
}

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unit = |unit: char| match unit {
            's' => Some(1000),
            'm' => Some(60 * 1000),
            'h' => Some(3600 * 1000),
            'd' => Some(24 * 3600 * 1000),
            _ => None,
        };
        let mut characters = text.chars();
        let scale = characters.next_back().and_then(unit);
        let digits = characters.as_str();
        let number = digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse::<u64>().ok())
            .flatten();
        let span = number
            .zip(scale)
            .and_then(|(number, scale)| number.checked_mul(scale));
        span.filter(|span| (1..=MAX_AGE_MS).contains(span))
            .map(Self)
            .ok_or(format!(
                "`{text}` is not a time span of at most 7 days; write e.g. 30m, 24h or 7d"
            ))
    }
}
