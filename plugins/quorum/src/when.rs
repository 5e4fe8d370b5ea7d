//! `when:` of a rule: the tasks that it is for.
//!
//! Conditions about amounts and destinations lead to rules that ask for fewer votes, so they hold
//! only of transactions that do nothing but pay, and whose every effect the node shows. Everything
//! else goes on to the next rule.

use countersign_conditions::{
    Assets, Ceiling, PathPattern, Span, WrittenCeiling, Zone, asset_id, chain_of, covers, find,
    is_chain, listed, present,
};
use countersign_sdk::{
    AddressSet, Amount, Destination, Key, Operation, Signing, Task, Transaction, payload,
};
use serde::Deserialize;

/// Names of operations, as tasks and scopes have them.
const OPERATIONS: [&str; 4] = ["keygen", "keysign", "keyreshare", "keysharesign"];

/// The selectors of a rule as written: all that are present must match.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenWhen {
    #[serde(default, deserialize_with = "present")]
    operations: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    keys: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    paths: Option<Vec<PathPattern>>,
    #[serde(default, deserialize_with = "present")]
    requesters: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    chains: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    payloads: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    destinations: Option<AddressSet>,
    #[serde(default, deserialize_with = "present")]
    amounts: Option<Vec<WrittenCeiling>>,
    #[serde(default, deserialize_with = "present")]
    hours: Option<Hours>,
}

/// Times of the week.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    /// The offset from UTC of all times in the section.
    #[serde(default)]
    zone: Zone,
    within: Vec<Span>,
}

/// The selectors as evaluated.
#[derive(Debug)]
pub struct When {
    operations: Option<Vec<String>>,
    /// Ids of keys, or root extended public keys.
    keys: Option<Vec<String>>,
    /// Derivation paths; every signature of the task must be below one of them.
    paths: Option<Vec<PathPattern>>,
    /// Requesters, by the names that the node's operator gave them, or by id.
    requesters: Option<Vec<String>>,
    /// CAIP-2 ids of the transaction's chain, or of the one that typed data names.
    chains: Option<Vec<String>>,
    payloads: Option<Vec<String>>,
    /// Every recipient of a payment is one of these.
    destinations: Option<AddressSet>,
    /// A payment spends none but these assets, each at most so much, its fee included.
    amounts: Option<Vec<Ceiling>>,
    hours: Option<Hours>,
}

impl When {
    /// Checks the written form, with amounts in smallest units.
    pub fn new(written: WrittenWhen, assets: &Assets) -> Result<Self, String> {
        written.refuse_empty()?;
        let WrittenWhen {
            operations,
            keys,
            paths,
            requesters,
            chains,
            payloads,
            destinations,
            amounts,
            hours,
        } = written;
        one_of("operations", &operations, &OPERATIONS)?;
        one_of("payloads", &payloads, &payload::ALL)?;
        if let Some(chain) = chains.iter().flatten().find(|chain| !is_chain(chain)) {
            return Err(format!(
                "chains: `{chain}` is not a CAIP-2 id; write e.g. eip155:1"
            ));
        }
        for span in hours.iter().flat_map(|hours| &hours.within) {
            span.validate().map_err(|why| format!("hours: {why}"))?;
        }
        Ok(Self {
            amounts: amounts
                .map(|list| Ceiling::list("amounts", &list, assets))
                .transpose()?,
            operations,
            keys,
            paths,
            requesters,
            chains,
            payloads,
            destinations,
            hours,
        })
    }

    /// Returns the first selector that does not match, with the task's value.
    pub fn mismatch(&self, task: &Task) -> Option<String> {
        self.mismatch_of_task(task)
            .or_else(|| self.mismatch_of_keys(&task.operation))
            .or_else(|| match &task.operation {
                Operation::Sign(signing) => self.mismatch_of_signing(task, signing),
                Operation::Keygen(_)
                | Operation::Reshare(_)
                | Operation::KeyShareSign(_)
                | Operation::Other(_) => self
                    .is_about_signing()
                    .then(|| "nothing is signed".to_owned()),
            })
    }

    fn mismatch_of_task(&self, task: &Task) -> Option<String> {
        let name = operation(&task.operation);
        if !listed(&self.operations, name) {
            return Some(format!("the operation is {name}"));
        }
        let requester = &task.requester;
        if !listed(&self.requesters, &requester.name) && !listed(&self.requesters, &requester.id) {
            return Some(format!("the requester is {}", requester.name));
        }
        let hours = self.hours.as_ref()?;
        let now = hours.zone.at(task.received_at);
        let within = hours.within.iter().any(|span| span.contains(now));
        (!within).then(|| format!("it is {now}"))
    }

    fn mismatch_of_keys(&self, operation: &Operation) -> Option<String> {
        self.keys.as_ref()?;
        let is_other =
            |key: &&Key| !listed(&self.keys, &key.id) && !listed(&self.keys, &key.root_public_key);
        let keys: Vec<&Key> = match operation {
            Operation::Sign(signing) => vec![&signing.key],
            Operation::Reshare(resharing) => vec![&resharing.key],
            Operation::KeyShareSign(check_up) => {
                check_up.checks.iter().map(|check| &check.key).collect()
            }
            Operation::Keygen(_) | Operation::Other(_) => {
                return Some("there is no key yet".into());
            }
        };
        let other = keys.into_iter().find(is_other)?;
        Some(format!("the key is {}", other.id))
    }

    fn is_about_signing(&self) -> bool {
        self.paths.is_some()
            || self.chains.is_some()
            || self.payloads.is_some()
            || self.destinations.is_some()
            || self.amounts.is_some()
    }

    fn mismatch_of_signing(&self, task: &Task, signing: &Signing) -> Option<String> {
        if !listed(&self.payloads, &signing.payload) {
            return Some(format!("the payload is {}", signing.payload));
        }
        let matches = |path: &str| {
            let mut patterns = self.paths.iter().flatten();
            self.paths.is_none() || patterns.any(|pattern| pattern.matches(path))
        };
        if let Some(input) = signing.inputs.iter().find(|input| !matches(&input.path)) {
            return Some(format!("the path is {}", input.path));
        }
        if signing.inputs.is_empty() && self.paths.is_some() {
            return Some("no path is known".into());
        }
        match chain_of(signing) {
            None if self.chains.is_some() => return Some("the payload names no chain".into()),
            Some(chain) if !listed(&self.chains, chain) => {
                return Some(format!("the chain is {chain}"));
            }
            Some(_) | None => {}
        }
        if self.destinations.is_none() && self.amounts.is_none() {
            return None;
        }
        let Some((transaction, payments)) = task
            .transaction()
            .and_then(|transaction| Some((transaction, transaction.payments()?)))
        else {
            return Some("it is not only payments, or the node does not see all of it".into());
        };
        self.mismatch_of_destinations(task, transaction, &payments)
            .or_else(|| self.mismatch_of_amounts(transaction, &payments))
    }

    /// A token account may be listed itself or by its owner.
    fn mismatch_of_destinations(
        &self,
        task: &Task,
        transaction: &Transaction,
        payments: &[&Destination],
    ) -> Option<String> {
        let allowed = self.destinations.as_ref()?;
        let owners = task.token_owners();
        let is_listed = |address: &str| {
            let has = |address: &str| allowed.contains(&transaction.chain, address);
            has(address) || owners.get(address).is_some_and(|owner| has(owner))
        };
        let stray = payments.iter().find(|to| !is_listed(&to.address))?;
        Some(match stray.address.as_str() {
            "" => "an output has no address".into(),
            address => format!("it pays {address}"),
        })
    }

    fn mismatch_of_amounts(
        &self,
        transaction: &Transaction,
        payments: &[&Destination],
    ) -> Option<String> {
        let ceilings = self.amounts.as_ref()?;
        let Some(spent) = spent(transaction, payments) else {
            return Some("the node cannot tell all that it spends".into());
        };
        if let Some((asset, _)) = spent
            .iter()
            .find(|(asset, _)| find(ceilings, asset).is_none())
        {
            return Some(format!("it spends {asset}"));
        }
        let sum = |ceiling: &Ceiling| {
            let mut total = Amount::zero();
            for (_, amount) in spent
                .iter()
                .filter(|(asset, _)| covers(&ceiling.asset.id, asset))
            {
                total += amount;
            }
            total
        };
        let over = ceilings.iter().find(|ceiling| sum(ceiling) > ceiling.max)?;
        Some(format!("it spends {}", over.show(&sum(over))))
    }
}

/// All that payments spend, by asset, with the highest fee. Native value is the larger of what
/// recipients receive and what calls carry. `None` if a part is unknown.
fn spent(transaction: &Transaction, payments: &[&Destination]) -> Option<Vec<(String, Amount)>> {
    let chain = &transaction.chain;
    let mut spent = Vec::new();
    let mut native = Amount::zero();
    for to in payments {
        let amount: Amount = to.amount.parse().ok()?;
        match asset_id(chain, &to.asset) {
            asset if asset == chain => native += &amount,
            asset => spent.push((asset.to_owned(), amount)),
        }
    }
    let mut carried = Amount::zero();
    for call in &transaction.calls {
        carried += &call.amount.parse().ok()?;
    }
    if native < carried {
        native = carried;
    }
    native += &transaction.fee.as_ref()?.parse().ok()?;
    if !native.is_zero() {
        spent.push((chain.clone(), native));
    }
    Some(spent)
}

impl WrittenWhen {
    /// Rejects lists that can never match.
    fn refuse_empty(&self) -> Result<(), String> {
        let lists = [
            ("operations", self.operations.as_ref().map(Vec::len)),
            ("keys", self.keys.as_ref().map(Vec::len)),
            ("paths", self.paths.as_ref().map(Vec::len)),
            ("requesters", self.requesters.as_ref().map(Vec::len)),
            ("chains", self.chains.as_ref().map(Vec::len)),
            ("payloads", self.payloads.as_ref().map(Vec::len)),
            (
                "destinations",
                self.destinations.as_ref().map(AddressSet::len),
            ),
            ("amounts", self.amounts.as_ref().map(Vec::len)),
            (
                "hours.within",
                self.hours.as_ref().map(|hours| hours.within.len()),
            ),
        ];
        match lists.iter().find(|(_, length)| *length == Some(0)) {
            Some((name, _)) => Err(format!(
                "{name} is empty and would match nothing; list something or leave it out"
            )),
            None => Ok(()),
        }
    }
}

fn one_of(at: &str, list: &Option<Vec<String>>, known: &[&str]) -> Result<(), String> {
    match list
        .iter()
        .flatten()
        .find(|name| !known.contains(&name.as_str()))
    {
        Some(name) => Err(format!(
            "{at}: there is no `{name}`, only: {}; correct the name",
            known.join(", ")
        )),
        None => Ok(()),
    }
}

fn operation(operation: &Operation) -> &str {
    match operation {
        Operation::Keygen(_) => "keygen",
        Operation::Sign(_) => "keysign",
        Operation::Reshare(_) => "keyreshare",
        Operation::KeyShareSign(_) => "keysharesign",
        Operation::Other(name) => name,
    }
}
