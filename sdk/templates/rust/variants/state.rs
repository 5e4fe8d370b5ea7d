//! Approves transfers of one asset until their sum within a day reaches a limit. Everything else is
//! refused.

use std::time::Duration;

use countersign_sdk::{
    Amount, Failure, Host, Level, Operation, Plugin, Task, Transaction, Verdict, approve, export_plugin, reject,
};
use serde::Deserialize;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Maximum number of entries read. Further transfers on a day with more are refused.
const MOST: u32 = 1000;

/// Unknown keys are errors, so that a misspelt rule is not silently ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    chain: String,
    /// In the asset's smallest unit.
    per_day: Amount,
}


pub struct Policy;

impl Plugin for Policy {
    type Config = Config;

    const NAME: &'static str = "__NAME__";
    const DESCRIPTION: &'static str = "A limit for the transfers of a day.";

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        match (&task.operation, task.transaction()) {
            (Operation::Sign(_), Some(transaction)) => judge(config, task, transaction, host),
            (Operation::Sign(_), None) => reject("not-a-transaction", "only transactions are allowed"),
            _ => Err(Failure::Unsupported("no rule for this operation".into())),
        }
    }

    /// Counts transfers that other holders of the key sign without this node. Otherwise each node
    /// would have its own limit.
    fn observe(config: &Config, task: &Task, host: &impl Host) -> Result<(), Failure> {
        let Some(transaction) = task.transaction().filter(|transaction| transaction.chain == config.chain) else {
            return Ok(());
        };
        let mut amount = Amount::zero();
        for to in transaction.destinations.iter().filter(|to| !to.change && to.asset.is_empty()) {
            let malformed = |_| Failure::Unsupported(format!("{} is not a decimal", to.amount));
            amount += &to.amount.parse::<Amount>().map_err(malformed)?;
        }
        remember(task, &amount, host)
    }
}

export_plugin!(Policy);

fn judge(config: &Config, task: &Task, transaction: &Transaction, host: &impl Host) -> Result<Verdict, Failure> {
    if transaction.chain != config.chain {
        return reject("chain-not-allowed", format!("{} is not {}", transaction.chain, config.chain));
    }
    if !transaction.calls.is_empty() || !transaction.grants.is_empty() {
        return reject("call-not-allowed", "only plain transfers are allowed");
    }
    let mut amount = Amount::zero();
    for to in transaction.destinations.iter().filter(|to| !to.change) {
        let Ok(sent) = to.amount.parse::<Amount>() else {
            return reject("amount-malformed", format!("{} is not a decimal", to.amount));
        };
        if !to.asset.is_empty() {
            return reject("asset-not-allowed", format!("{} is not the native asset", to.asset));
        }
        amount += &sent;
    }
    let total = spent(host)? + &amount;
    if total > config.per_day {
        return reject("limit-reached", format!("{total} within a day exceeds {}", config.per_day));
    }
    remember(task, &amount, host)?;
    host.log(Level::Info, "within the limit", &[("total", &total.to_string())]);
    approve()
}

/// Writes an entry for the task, which the node takes back if nothing is signed.
fn remember(task: &Task, amount: &Amount, host: &impl Host) -> Result<(), Failure> {
    Ok(host.state_set(&format!("spent/{}", task.id), amount.as_str().as_bytes(), Some(DAY))?)
}

fn spent(host: &impl Host) -> Result<Amount, Failure> {
    let entries = host.state_entries("spent/", MOST)?;
    if entries.len() as u32 == MOST {
        return Err(Failure::Unavailable("too many transfers today to be added up".into()));
    }
    let mut total = Amount::zero();
    for (key, value) in entries {
        let read = String::from_utf8(value).ok().and_then(|text| text.parse::<Amount>().ok());
        total += &read.ok_or_else(|| Failure::Internal(format!("the entry {key} cannot be read")))?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use countersign_sdk::testing::{MockHost, transfer};

    use super::*;

    #[test]
    fn the_transfers_of_a_day_are_added_up() {
        let host = MockHost::default();
        let config = Config { chain: "eip155:1".into(), per_day: Amount::from(100) };
        let judge = |number: u8, amount: &str| {
            let task = Task { id: format!("task-{number}"), ..transfer("eip155:1", "0xSafe", amount) };
            host.decide::<Policy>(&config, &task).unwrap()
        };
        let limited = |verdict| matches!(verdict, Verdict::Reject(no) if no.code == "limit-reached");
        assert_eq!(judge(1, "60"), Verdict::Approve);
        assert!(limited(judge(2, "41")));
        assert_eq!(judge(3, "40"), Verdict::Approve);
        assert!(limited(judge(4, "1")));
        host.advance(DAY + Duration::from_secs(1));
        assert_eq!(judge(5, "70"), Verdict::Approve);
        let others = Task { id: "task-6".into(), ..transfer("eip155:1", "0xSafe", "30") };
        host.observe::<Policy>(&config, &others).unwrap();
        assert!(limited(judge(7, "1")), "what others sign counts");
    }
}
