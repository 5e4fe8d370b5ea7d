//! `hours:` of a policy: the times at which it allows signing. The time that counts is when the
//! node received the task.

use countersign_conditions::{Span, Zone, present};
use countersign_sdk::Task;
use serde::Deserialize;

use crate::trail::{Ruling, refuse};

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

impl Hours {
    /// Rejects spans and lists that cannot be meant.
    pub fn validate(&self) -> Result<(), String> {
        for span in self.allow.iter().flatten().chain(&self.quiet) {
            span.validate().map_err(|why| format!("hours: {why}"))?;
        }
        match &self.allow {
            Some(allow) if allow.is_empty() => {
                Err("hours.allow is empty and would never sign; leave it out".into())
            }
            None if self.quiet.is_empty() => {
                Err("hours says nothing; write `allow` or `quiet`".into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Checks the time at which the task was received.
    pub fn judge(&self, task: &Task) -> Ruling {
        let now = self.zone.at(task.received_at);
        if self.quiet.iter().any(|span| span.contains(now)) {
            return refuse(
                "keysign-quiet-hours",
                format!("{now} lies in the quiet hours"),
            );
        }
        match &self.allow {
            Some(spans) if !spans.iter().any(|span| span.contains(now)) => refuse(
                "keysign-outside-hours",
                format!("{now} lies outside the hours"),
            ),
            Some(_) | None => Ok(now.to_string().into()),
        }
    }
}
