//! What the limits of the rules bound, as `config check` says it. Members of a key's committee that
//! hear of each other's signatures count them together; those that are off line count only what
//! they sign themselves.

use std::collections::BTreeMap;

use countersign_store::KeyStatus;
use serde_json::Value;

use crate::admin;
use crate::config::{Config, PluginEntry, Policy};
use crate::risk;

/// How many keys there are of which so many sign, of so many.
type Committees = BTreeMap<(usize, usize), usize>;

/// Lines about every limit of the rules; none if there are no limits.
pub(super) fn describe(config: &Config) -> anyhow::Result<Vec<String>> {
    let limits = limits(&config.policy)?;
    if limits.is_empty() {
        return Ok(Vec::new());
    }
    // There is no store yet, perhaps: then the numbers of its keys are not known.
    Ok(lines(&limits, &committees(config).unwrap_or_default()))
}

fn committees(config: &Config) -> Result<Committees, admin::AskError> {
    let mut committees = Committees::new();
    for record in admin::keys(&config.dir)?
        .into_iter()
        .filter(|record| record.status == KeyStatus::Active)
    {
        let key = &record.announcement;
        let place = (
            usize::from(key.threshold.get()),
            key.committee.members().len(),
        );
        *committees.entry(place).or_default() += 1;
    }
    Ok(committees)
}

/// A limit of a policy.
struct Limit {
    /// Which entry and policy.
    place: String,
    per: String,
    most: Most,
}

enum Most {
    Tasks(u64),
    /// As it is written, with the name of the asset.
    Amount(String),
}

impl Limit {
    /// `None`: the rules would refuse it.
    fn read(place: &str, written: &Value) -> Option<Self> {
        let most = match (written["tasks"].as_u64(), written["asset"].as_str()) {
            (Some(tasks), None) => Most::Tasks(tasks),
            (None, Some(asset)) => {
                let max = &written["max"];
                Most::Amount(format!(
                    "{} {asset}",
                    max.as_str().map_or_else(|| max.to_string(), Into::into)
                ))
            }
            _ => return None,
        };
        Some(Self {
            place: place.into(),
            per: written["per"].as_str()?.into(),
            most,
        })
    }

    fn text(&self) -> String {
        match &self.most {
            Most::Tasks(tasks) => format!("{tasks} tasks per {}", self.per),
            Most::Amount(amount) => format!("{amount} per {}", self.per),
        }
    }

    /// The most that any signers of a key get together if only they are on line each time: each of
    /// n members lets the limit pass once, and each signature takes t of these.
    fn apart(&self, threshold: usize, members: usize) -> String {
        match &self.most {
            Most::Tasks(tasks) => {
                let most = u128::from(*tasks) * members as u128 / threshold.max(1) as u128;
                format!("{most} tasks per {}", self.per)
            }
            Most::Amount(amount) if threshold == members => format!("{amount} per {}", self.per),
            Most::Amount(amount) => format!("{members}/{threshold} of {amount} per {}", self.per),
        }
    }
}

fn limits(policy: &Policy) -> anyhow::Result<Vec<Limit>> {
    let is_rules = |entry: &&PluginEntry| {
        entry.name.split(':').next() == Some("rules") && entry.shadow.is_none()
    };
    let mut limits = Vec::new();
    for entry in policy.plugins.iter().filter(is_rules) {
        let config = risk::spec(policy, entry)?.config;
        for policy in config["key_sign"]["policies"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let place = format!(
                "{}, policy {}",
                entry.name,
                policy["name"].as_str().unwrap_or_default()
            );
            let written = policy["limits"].as_array().into_iter().flatten();
            limits.extend(written.filter_map(|limit| Limit::read(&place, limit)));
        }
    }
    Ok(limits)
}

fn lines(limits: &[Limit], committees: &Committees) -> Vec<String> {
    let mut lines: Vec<String> = limits
        .iter()
        .map(|limit| format!("{}: {}", limit.place, limit.text()))
        .collect();
    lines.push(
        "members of a key that are on line count each other's signatures: each limit is the key's, but for"
            .into(),
    );
    lines.push(
        "tasks that are decided at the same moment. Who is off line counts nothing: if only the signers are"
            .into(),
    );
    lines.push(
        "on line each time, a key of which t of n sign gets n/t times the limit, rounded down"
            .into(),
    );
    for ((threshold, members), keys) in committees {
        let apart: Vec<String> = limits
            .iter()
            .map(|limit| limit.apart(*threshold, *members))
            .collect();
        lines.push(format!(
            "{threshold} of {members} (keys here: {keys}): then {}",
            apart.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_members_let_pass_apart_is_said_for_each_size_of_committee() {
        let read = |written| Limit::read("rules, policy p", &written).unwrap();
        let limits = [
            read(json!({"per": "day", "tasks": 2})),
            read(json!({"per": "week", "asset": "eth", "max": "1.5"})),
        ];
        let lines = lines(
            &limits,
            &Committees::from([((2, 2), 1), ((2, 3), 4), ((2, 9), 1)]),
        );
        assert_eq!(
            lines[..2],
            [
                "rules, policy p: 2 tasks per day",
                "rules, policy p: 1.5 eth per week"
            ]
        );
        assert_eq!(
            lines[5..],
            [
                "2 of 2 (keys here: 1): then 2 tasks per day, 1.5 eth per week",
                "2 of 3 (keys here: 4): then 3 tasks per day, 3/2 of 1.5 eth per week",
                "2 of 9 (keys here: 1): then 9 tasks per day, 9/2 of 1.5 eth per week",
            ]
        );
    }

    #[test]
    fn what_the_rules_would_refuse_is_no_limit() {
        for written in [
            json!({"per": "day"}),
            json!({"tasks": 2}),
            json!({"per": "day", "tasks": 2, "asset": "eth"}),
        ] {
            assert!(Limit::read("p", &written).is_none());
        }
    }
}
