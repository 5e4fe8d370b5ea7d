//! Approves transfers on listed chains to listed addresses, up to an amount. Everything else is
//! refused.

use countersign_sdk::{
    Amount, Failure, Host, Keygen, Level, Operation, Plugin, Task, Transaction, Verdict, approve, export_plugin,
    reject,
};
use serde::Deserialize;

/// Unknown keys are errors, so that a misspelt rule is not silently ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    chains: Vec<String>,
    addresses: Vec<String>,
    max_amount: Amount,
    min_threshold: u16,
}

pub struct Policy;

impl Plugin for Policy {
    type Config = Config;

    const NAME: &'static str = "__NAME__";
    const DESCRIPTION: &'static str = "Transfers on listed chains to listed addresses, up to an amount.";

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        match (&task.operation, task.transaction()) {
            (Operation::Keygen(keygen), _) => judge_keygen(config, keygen),
            (Operation::Sign(_), Some(transaction)) => judge_transaction(config, transaction, host),
            (Operation::Sign(_), None) => reject("not-a-transaction", "only transactions are allowed"),
            _ => Err(Failure::Unsupported("no rule for this operation".into())),
        }
    }
}

export_plugin!(Policy);

fn judge_keygen(config: &Config, keygen: &Keygen) -> Result<Verdict, Failure> {
    if keygen.threshold < config.min_threshold {
        let text = format!("{} of {} nodes", keygen.threshold, keygen.members.len());
        return reject("threshold-too-low", text);
    }
    approve()
}

fn judge_transaction(config: &Config, transaction: &Transaction, host: &impl Host) -> Result<Verdict, Failure> {
    if !config.chains.contains(&transaction.chain) {
        return reject("chain-not-allowed", format!("{} is not listed", transaction.chain));
    }
    if !transaction.calls.is_empty() || !transaction.grants.is_empty() {
        return reject("call-not-allowed", "only plain transfers are allowed");
    }
    let mut total = Amount::zero();
    for to in transaction.destinations.iter().filter(|to| !to.change) {
        if !config.addresses.contains(&to.address) {
            return reject("address-not-allowed", format!("{} is not listed", to.address));
        }
        if !to.asset.is_empty() {
            return reject("asset-not-allowed", format!("{} is not the native asset", to.asset));
        }
        let Ok(amount) = to.amount.parse::<Amount>() else {
            return reject("amount-malformed", format!("{} is not a decimal", to.amount));
        };
        total += &amount;
    }
    if total > config.max_amount {
        return reject("amount-too-high", format!("{total} exceeds {}", config.max_amount));
    }
    host.log(Level::Info, "within the limit", &[("amount", &total.to_string())]);
    approve()
}

#[cfg(test)]
mod tests {
    use countersign_sdk::testing::{MockHost, transfer};

    use super::*;

    fn judge(address: &str, amount: &str) -> Verdict {
        let config = Config {
            chains: vec!["eip155:1".into()],
            addresses: vec!["0xSafe".into()],
            max_amount: "100".parse().unwrap(),
            min_threshold: 2,
        };
        Policy::evaluate(&config, &transfer("eip155:1", address, amount), &MockHost::default()).unwrap()
    }

    #[test]
    fn only_listed_addresses_and_amounts_pass() {
        assert_eq!(judge("0xSafe", "100"), Verdict::Approve);
        assert!(matches!(judge("0xSafe", "101"), Verdict::Reject(r) if r.code == "amount-too-high"));
        assert!(matches!(judge("0xOther", "1"), Verdict::Reject(r) if r.code == "address-not-allowed"));
    }
}
