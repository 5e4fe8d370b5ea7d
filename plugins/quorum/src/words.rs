//! Sentences about people and votes.

use crate::claim::Ignored;
use crate::people::{People, Set};

/// The maximum number of names in a sentence.
const MAX_NAMES: usize = 12;

/// The words for these people.
pub struct Words<'a>(pub &'a People);

impl Words<'_> {
    /// Lists names, such as `alice, bob and carol`.
    pub fn names(&self, people: &Set) -> String {
        let mut names: Vec<String> = people
            .iter()
            .take(MAX_NAMES)
            .map(|person| self.0.name(*person).to_owned())
            .collect();
        if people.len() > MAX_NAMES {
            names.push(format!("{} more", people.len() - MAX_NAMES));
        }
        match names.split_last() {
            None => "nobody".into(),
            Some((only, [])) => only.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
        }
    }

    /// States who has approved.
    pub fn approved(&self, people: &Set) -> String {
        match people.len() {
            0 => "nobody has approved yet".into(),
            1 => format!("{} has approved", self.names(people)),
            _ => format!("{} have approved", self.names(people)),
        }
    }

    /// States how many votes do not count, and why, after a semicolon; nothing if all do.
    pub fn ignored(&self, ignored: &Ignored) -> String {
        let reasons: Vec<_> = ignored
            .0
            .iter()
            .map(|(why, number)| format!("{number} {why}"))
            .collect();
        if reasons.is_empty() {
            String::new()
        } else {
            format!("; votes that do not count: {}", reasons.join(", "))
        }
    }
}
