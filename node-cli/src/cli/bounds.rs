//! Explains the reach of the rules' limits in `config check`. Members of a key's
//! committee that receive each other's signatures count them together; those that are
//! offline count only their own.

use std::collections::BTreeMap;

use countersign_node::admin;
use countersign_node::config::{Config, PluginEntry, Policy};
use countersign_node::risk;
use countersign_store::KeyStatus;
use serde_json::Value;

/// Number of keys by threshold and number of members.
type Committees = BTreeMap<(usize, usize), usize>;

/// Returns lines about every limit of the rules, or none if there are no limits.
pub(super) fn describe(config: &Config) -> anyhow::Result<Vec<String>> {
    let limits = limits(&config.policy)?;
    if limits.is_empty() {
        return Ok(Vec::new());
    }
    // There may be no store yet; then the numbers of its keys are unknown.
    Ok(lines(&limits, &committees(config).unwrap_or_default()))
}

fn committees(config: &Config) -> Result<Committees, admin::AskError> {
    let mut committees = Committees::new();
    for record in admin::keys(&config.dir)?
        .into_iter()
        .filter(|record| record.status == KeyStatus::Active)
    {
        let key = &record.descriptor;
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
    /// Names of the entry and the policy.
    place: String,
    per: String,
    most: Most,
}

enum Most {
    Tasks(u64),
    /// The amount as written, with the name of the asset.
    Amount(String),
}

impl Limit {
    /// Returns `None` for a limit that the rules would refuse.
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

    /// The maximum that the signers of a key can achieve together if only they are online each
    /// time: each of n members lets the limit pass once, and each signature uses up t of these.
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
        "members of a key that are online count each other's signatures: each limit applies to the key, except for"
            .into(),
    );
    lines.push(
        "tasks that are decided at the same moment. A member that is offline counts nothing: if only the signers are"
            .into(),
    );
    lines.push(
        "online each time, a key of which t of n sign gets n/t times the limit, rounded down"
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
    fn a_policy_that_the_rules_refuse_gives_no_limit() {
        for written in [
            json!({"per": "day"}),
            json!({"tasks": 2}),
            json!({"per": "day", "tasks": 2, "asset": "eth"}),
        ] {
            assert!(Limit::read("p", &written).is_none());
        }
    }
}
