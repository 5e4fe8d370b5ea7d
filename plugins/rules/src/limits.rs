//! `limits:` of a policy: the number of tasks, and the amount of an asset, for which a key
//! may sign within an hour, a day or a week. The window slides with the time at which the
//! node received a task.
//!
//! Signatures of other members of the key's committee count too, as far as this node hears of them,
//! even if they exceed the limits here: the count belongs to the key, not to each node.
//!
//! Each task writes one entry, `used/<policy>/<key>/<milliseconds>/<task id>`, whose value
//! lists its outflow of the limited assets, `<asset> <amount>`, separated by `;`. A list of
//! digests counts as that many tasks, since each of them may be one: its entry begins with
//! `tasks <number>`. The node keeps an entry if it approves the task, and takes it back if
//! nothing was signed, so the entries show what was or may yet be spent. They expire with
//! the policy's longest window.

use std::time::Duration;

use countersign_conditions::{Assets, Ceiling, Quantity, covers, present};
use countersign_sdk::{Amount, Failure, Host, Intent, Signing, Task};
use serde::Deserialize;

use crate::assets::Spending;
use crate::trail::{Objection, Ruling, Trail, refuse};

/// The maximum number of entries that the node lists at once.
const LIST: u32 = 1000;
/// Number of digits of the milliseconds in an entry's name; enough until the year 2286.
const DIGITS: usize = 13;

/// Marks the number of tasks in an entry; no asset has this name.
const TASKS: &str = "tasks";

/// A limit as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenLimit {
    pub per: Window,
    #[serde(default, deserialize_with = "present")]
    pub tasks: Option<usize>,
    /// The operator's name of the limited asset.
    #[serde(default, deserialize_with = "present")]
    pub asset: Option<String>,
    /// The maximum amount of that asset.
    #[serde(default, deserialize_with = "present")]
    pub max: Option<Quantity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Window {
    Hour,
    Day,
    Week,
}

impl Window {
    fn seconds(self) -> u64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 24 * 3600,
            Self::Week => 7 * 24 * 3600,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}

#[derive(Debug, Default)]
pub struct Limits(Vec<Limit>);

#[derive(Debug)]
struct Limit {
    per: Window,
    most: Most,
}

#[derive(Debug)]
enum Most {
    Tasks(usize),
    Amount(Ceiling),
}

impl Limits {
    /// Converts the written form, with amounts in smallest units.
    pub fn new(written: &[WrittenLimit], assets: &Assets) -> Result<Self, String> {
        let limit = |(i, written): (usize, &WrittenLimit)| {
            let most = match (&written.tasks, &written.asset, &written.max) {
                (Some(tasks), None, None) => Most::Tasks(*tasks),
                (None, Some(asset), Some(max)) => Most::Amount(
                    Ceiling::new(asset, max, assets)
                        .map_err(|why| format!("limits[{i}]: {why}"))?,
                ),
                _ => {
                    return Err(format!(
                        "limits[{i}]: write either `tasks`, or `asset` and `max`"
                    ));
                }
            };
            Ok(Limit {
                per: written.per,
                most,
            })
        };
        written
            .iter()
            .enumerate()
            .map(limit)
            .collect::<Result<_, _>>()
            .map(Limits)
    }

    /// True if any of the limits bounds an amount.
    pub fn bound_amounts(&self) -> bool {
        self.ceilings().next().is_some()
    }

    /// True if any of the limits bounds this asset.
    pub fn names(&self, asset: &str) -> bool {
        self.ceilings()
            .any(|ceiling| covers(&ceiling.asset.id, asset))
    }

    fn ceilings(&self) -> impl Iterator<Item = &Ceiling> {
        self.0.iter().filter_map(|limit| match &limit.most {
            Most::Amount(ceiling) => Some(ceiling),
            Most::Tasks(_) => None,
        })
    }

    /// Checks a task that has passed all other rules, and writes its entry.
    pub fn judge(
        &self,
        trail: &Trail<impl Host>,
        host: &impl Host,
        policy: &str,
        task: &Task,
        signing: &Signing,
        spending: &Spending,
    ) -> Result<(), Objection> {
        let Some(longest) = self.longest() else {
            return Ok(());
        };
        let prefix = prefix(policy, signing);
        let used = match Used::since(host, &prefix, begin(task.received_at, longest)) {
            Ok(used) => used,
            Err(objection) => return trail.rule("limits", Err(objection)),
        };
        let tasks = weight(signing);
        for limit in &self.0 {
            trail.rule(
                "limits",
                limit.judge(&used, task.received_at, tasks, spending),
            )?;
        }
        self.write(trail, host, policy, task, signing, spending)
    }

    /// Writes the entry of a task that others signed, even if it exceeds the limits.
    pub fn count(
        &self,
        trail: &Trail<impl Host>,
        host: &impl Host,
        policy: &str,
        task: &Task,
        signing: &Signing,
        spending: &Spending,
    ) -> Result<(), Objection> {
        let Some(longest) = self.longest() else {
            return Ok(());
        };
        // Unreadable entries are reported by the next task that is judged.
        if let Ok(used) = Used::since(
            host,
            &prefix(policy, signing),
            begin(task.received_at, longest),
        ) {
            for limit in &self.0 {
                match limit.judge(&used, task.received_at, weight(signing), spending) {
                    Ok(_) | Err(Objection::Failed(_)) => {}
                    Err(Objection::Refused { reason, .. }) => trail.exceeded(&reason),
                }
            }
        }
        self.write(trail, host, policy, task, signing, spending)
    }

    fn longest(&self) -> Option<Window> {
        self.0.iter().map(|limit| limit.per).max()
    }

    fn write(
        &self,
        trail: &Trail<impl Host>,
        host: &impl Host,
        policy: &str,
        task: &Task,
        signing: &Signing,
        spending: &Spending,
    ) -> Result<(), Objection> {
        let name = format!(
            "{}{:0DIGITS$}/{}",
            prefix(policy, signing),
            task.received_at,
            task.id
        );
        let ttl = self
            .longest()
            .map(|longest| Duration::from_secs(longest.seconds()));
        host.state_set(&name, self.entry(weight(signing), spending).as_bytes(), ttl)
            .or_else(|error| trail.rule("limits", Err(full(error))))
    }

    /// Formats a task's entry: the number of tasks that it counts as, unless that is one, and its
    /// outflow of the limited assets.
    fn entry(&self, tasks: usize, spending: &Spending) -> String {
        let counted = (tasks != 1).then(|| format!("{TASKS} {tasks}"));
        let limited = spending.iter().filter(|(asset, _)| self.names(asset));
        let limited = limited.map(|(asset, amount)| format!("{asset} {amount}"));
        counted
            .into_iter()
            .chain(limited)
            .collect::<Vec<_>>()
            .join(";")
    }
}

impl Limit {
    fn judge(&self, used: &Used, now: u64, tasks: usize, spending: &Spending) -> Ruling {
        let since = begin(now, self.per);
        let per = self.per.name();
        match &self.most {
            Most::Tasks(most) => {
                let before = used.within(since).map(|entry| entry.tasks);
                let sum = before.fold(tasks, usize::saturating_add);
                if sum > *most {
                    let reason = format!(
                        "it would make {sum} tasks within a {per}, at most {most} are allowed"
                    );
                    return refuse("keysign-limit-tasks", reason);
                }
                Ok(format!("task {sum} of {most} within a {per}").into())
            }
            Most::Amount(ceiling) => {
                let Some(now) = spending.under(ceiling) else {
                    return Ok(format!("it spends no {}", ceiling.name).into());
                };
                let before = used.within(since).flat_map(|entry| &entry.spent);
                let before = before.filter(|(asset, _)| covers(&ceiling.asset.id, asset));
                let sum = before.fold(now, |sum, (_, amount)| sum + amount);
                if sum > ceiling.max {
                    return refuse(
                        "keysign-limit-amount",
                        format!(
                            "with it {} would leave within a {per}, at most {} is allowed",
                            ceiling.show(&sum),
                            ceiling.show(&ceiling.max)
                        ),
                    );
                }
                Ok(format!(
                    "{} of {} within a {per}",
                    ceiling.show(&sum),
                    ceiling.show(&ceiling.max)
                )
                .into())
            }
        }
    }
}

/// Returns the common prefix of the entries of a policy and a key.
fn prefix(policy: &str, signing: &Signing) -> String {
    format!("used/{policy}/{}/", signing.key.id)
}

/// Returns the first instant of the window that ends now, in milliseconds since 1970.
fn begin(now: u64, window: Window) -> u64 {
    (now + 1).saturating_sub(1000 * window.seconds())
}

/// The entries of earlier tasks within a window.
struct Used(Vec<Entry>);

struct Entry {
    at: u64,
    /// The number of tasks that the entry counts as.
    tasks: usize,
    spent: Vec<(String, Amount)>,
}

impl Used {
    /// Reads the entries below `prefix` that are not older than `since`. Those of the future count
    /// too, since clocks may be set back.
    fn since(host: &impl Host, prefix: &str, since: u64) -> Result<Self, Objection> {
        let mut used = Self(Vec::new());
        used.collect(host, prefix, "", since)?;
        Ok(used)
    }

    /// Reads the entries whose time begins with `digits`, digit by digit if they are too
    /// many for one list.
    fn collect(
        &mut self,
        host: &impl Host,
        prefix: &str,
        digits: &str,
        since: u64,
    ) -> Result<(), Objection> {
        let latest = format!("{digits:9<DIGITS$}");
        if latest.parse::<u64>().is_ok_and(|latest| latest < since) {
            return Ok(());
        }
        let entries = host.state_entries(&format!("{prefix}{digits}"), LIST)?;
        if entries.len() < LIST as usize {
            for (name, value) in &entries {
                let entry =
                    Entry::parse(&name[prefix.len()..], value).ok_or_else(|| damaged(name))?;
                if entry.at >= since {
                    self.0.push(entry);
                }
            }
            return Ok(());
        }
        if digits.len() == DIGITS {
            let text = format!("{LIST} tasks within one millisecond are more than a node can list");
            return Err(Objection::Failed(Failure::Unavailable(text)));
        }
        (0..10).try_for_each(|digit| self.collect(host, prefix, &format!("{digits}{digit}"), since))
    }

    fn within(&self, since: u64) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.at >= since)
    }
}

impl Entry {
    fn parse(name: &str, value: &[u8]) -> Option<Self> {
        let (at, _task) = name.split_once('/')?;
        let parts = str::from_utf8(value)
            .ok()?
            .split_terminator(';')
            .map(|part| part.split_once(' '));
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let (counted, spent): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(what, _)| *what == TASKS);
        let spent = spent
            .into_iter()
            .map(|(asset, amount)| Some((asset.into(), amount.parse().ok()?)));
        Some(Self {
            at: (at.len() == DIGITS).then(|| at.parse().ok())??,
            tasks: match counted[..] {
                [] => 1,
                [(_, number)] => number.parse().ok()?,
                _ => return None,
            },
            spent: spent.collect::<Option<_>>()?,
        })
    }
}

/// Returns the number of tasks that a signing counts as. Each of several bare digests may be
/// that of a transaction.
fn weight(signing: &Signing) -> usize {
    match &signing.intent {
        Intent::Opaque => signing.inputs.len().max(1),
        Intent::Transaction(_) | Intent::Message(_) | Intent::TypedData(_) => 1,
    }
}

fn damaged(name: &str) -> Objection {
    Objection::Failed(Failure::Internal(format!(
        "the entry `{name}` was not written by this plugin"
    )))
}

/// The objection if the memory is too full for the entry.
fn full(error: countersign_sdk::StateError) -> Objection {
    match error {
        countersign_sdk::StateError::Denied(text) => Objection::Refused {
            code: "keysign-limit-memory",
            reason: format!(
                "the limits cannot remember one more task: {text}; raise the grant state_bytes, or wait until earlier tasks \
                 leave their window"
            ),
        },
        error => error.into(),
    }
}
