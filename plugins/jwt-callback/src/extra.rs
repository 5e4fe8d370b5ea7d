//! `extra_info`: what the node knows, in the servers' vocabulary, and what the requester says.
//!
//! The requester's claim `extra-info`, a JSON object, comes first; then the node writes its facts over it. Where the
//! node decoded what is signed, every member that describes it is the node's: a member for which the node has no value
//! is removed rather than left to the requester. A claim that gave way to a different fact is logged. What the node
//! cannot know (coin, note, organisation, …; everything about bare digests) stays the requester's word.
//!
//! | | always the node's | the node's where it decoded what is signed | else by default |
//! |---|---|---|---|
//! | v1 KeySign | | `raw_tx_hex` `raw_tx` `raw_tx_info` `from_address` `to_address` `to_address_details` `amount` `fee` `operation` | `transaction_type` 102, `api_request_id` |
//! | v2 KeySign | `signer_key_share_holder_group` | `source_addresses`, of `transaction`: `raw_tx_info` `source` `destination` | of `transaction`: ids, `status`, `initiator_type`, timestamps |
//! | v2 KeyGen | `target_key_share_holder_group` | | |
//! | v2 KeyReshare | `source_…` and `target_key_share_holder_group` | | |
//! | v2 KeyShareSign | `validity_key_share_holder_groups` | | |
//! | all | `countersign`: see [`facts`] | | |
//!
//! Amounts of v1 are in the asset's smallest unit. Those of v2 are in whole coins and given for native assets only: of
//! other assets the node does not know the decimals, and a wrong one would be worse than none. Chains are CAIP-2 ids.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_sdk::{
    Destination, Failure, Host, Intent, Key, Level, Operation, Signing, Task, Transaction, json,
};
use serde_json::{Map, Value, json};

use crate::config::Version;
use crate::facts;
use crate::request::hex0x;

/// Name of the claim with which a requester supplies members of `extra_info`.
const EXTRA_INFO: &str = "extra-info";
/// Name of the claim with the requester's own reference.
pub(crate) const REFERENCE: &str = "reference";
/// The member that only the node writes.
const COUNTERSIGN: &str = "countersign";

/// Never empty, not even where nothing is known: servers reject that.
pub(crate) fn extra_info(
    task: &Task,
    version: Version,
    strict: bool,
    host: &impl Host,
) -> Result<Value, Failure> {
    let mut extra = Members::new(claimed(task)?);
    match version {
        Version::V1 => v1(&mut extra, task),
        Version::V2 => v2(&mut extra, task)?,
    }
    let facts = strict.then(|| facts::facts(task, &extra.overridden));
    extra.fact(COUNTERSIGN, facts);
    if !extra.overridden.is_empty() {
        let names = extra.overridden.join(" ");
        host.log(Level::Warn, "the requester's extra-info contradicts the node", &[("members", &names)]);
    }
    Ok(Value::Object(extra.members))
}

fn claimed(task: &Task) -> Result<Map<String, Value>, Failure> {
    let Some(supplied) = task.claim(EXTRA_INFO) else { return Ok(Map::new()) };
    json::strict(supplied.as_bytes()).map_err(|error| {
        Failure::Unsupported(format!("the claim `{EXTRA_INFO}` is not a JSON object: {error}"))
    })
}

/// Members of one object, and whose they are.
struct Members {
    members: Map<String, Value>,
    /// Claims that gave way to another value.
    overridden: Vec<String>,
}

impl Members {
    fn new(members: Map<String, Value>) -> Self {
        Self { members, overridden: Vec::new() }
    }

    /// The node's word; `None` is one too.
    fn fact(&mut self, name: &str, value: Option<Value>) {
        let claim = self.members.remove(name);
        if claim.is_some() && claim != value {
            self.overridden.push(name.into());
        }
        if let Some(value) = value {
            self.members.insert(name.into(), value);
        }
    }

    /// What is said if the requester says nothing.
    fn default(&mut self, name: &str, value: impl Into<Value>) {
        self.members.entry(name).or_insert_with(|| value.into());
    }

    /// Works on the members of the object `name`; anything else under this name is no object and gives way.
    fn within(&mut self, name: &str, work: impl FnOnce(&mut Members)) {
        let claim = self.members.remove(name);
        let mut inner = Members::new(match claim {
            Some(Value::Object(members)) => members,
            Some(_) => {
                self.overridden.push(name.into());
                Map::new()
            }
            None => Map::new(),
        });
        work(&mut inner);
        self.overridden.extend(inner.overridden.iter().map(|member| format!("{name}.{member}")));
        self.members.insert(name.into(), Value::Object(inner.members));
    }
}

fn v1(extra: &mut Members, task: &Task) {
    if let Some(reference) = task.claim(REFERENCE) {
        extra.default("api_request_id", reference);
    }
    let Some(signing) = task.signing() else { return };
    // 102: ordered by API.
    extra.default("transaction_type", 102);
    let operation = match &signing.intent {
        Intent::Opaque => return,
        Intent::Transaction(transaction) if is_transfer(transaction) => 100,
        Intent::Transaction(_) => 200,
        Intent::Message(_) | Intent::TypedData(_) => 300,
    };
    extra.fact("operation", Some(operation.into()));
    let transaction = task.transaction();
    let outgoing: Vec<_> = transaction.map(outgoing).unwrap_or_default();
    let only = match &outgoing[..] {
        [only] => Some(*only),
        _ => None,
    };
    extra.fact("raw_tx_hex", transaction.map(|tx| hex0x(&tx.unsigned).into()));
    // Other spellings of the same thing.
    extra.fact("raw_tx", None);
    extra.fact("raw_tx_info", None);
    extra.fact("from_address", transaction.and_then(only_source).map(Into::into));
    extra.fact("to_address", only.map(|to| to.address.as_str().into()));
    extra.fact("amount", only.map(|to| to.amount.as_str().into()));
    extra.fact("to_address_details", transaction.map(|_| details(&outgoing)));
    extra.fact("fee", transaction.and_then(|tx| tx.fee.as_deref()).map(Into::into));
}

/// JSON in a text, as that vocabulary has it.
fn details(outgoing: &[&Destination]) -> Value {
    let detail = |to: &&Destination| json!({"to_address": to.address, "amount": to.amount});
    Value::Array(outgoing.iter().map(detail).collect()).to_string().into()
}

fn v2(extra: &mut Members, task: &Task) -> Result<(), Failure> {
    match &task.operation {
        Operation::Keygen(keygen) => {
            let group = group(None, &keygen.members, &[], keygen.threshold);
            extra.fact("target_key_share_holder_group", Some(group));
        }
        Operation::Sign(signing) => {
            let key = &signing.key;
            let group = group(Some(key), &key.members, &signing.signers, key.threshold);
            extra.fact("signer_key_share_holder_group", Some(group));
            if let Some(transaction) = task.transaction() {
                let address = |source: &String| json!({"address": source, "chain_id": transaction.chain});
                extra.fact("source_addresses", Some(transaction.sources.iter().map(address).collect()));
            }
            let destination = destination(signing)?;
            extra.within("transaction", |members| v2_transaction(members, task, signing, destination));
        }
        Operation::Reshare(resharing) => {
            let key = &resharing.key;
            let source = group(Some(key), &key.members, &resharing.signers, key.threshold);
            extra.fact("source_key_share_holder_group", Some(source));
            let target = group(None, &resharing.new_members, &[], resharing.new_threshold);
            extra.fact("target_key_share_holder_group", Some(target));
        }
        Operation::KeyShareSign(signing) => {
            let group = |check: &countersign_sdk::KeyShareCheck| {
                group(Some(&check.key), &check.key.members, &[], check.key.threshold)
            };
            let groups = signing.checks.iter().map(group).collect();
            extra.fact("validity_key_share_holder_groups", Some(groups));
        }
        Operation::Other(_) => {}
    }
    Ok(())
}

fn group(key: Option<&Key>, members: &[String], signers: &[String], threshold: u16) -> Value {
    let holder = |node: &String| match signers {
        [] => json!({"type": "API", "tss_node_id": node}),
        signers => json!({"type": "API", "tss_node_id": node, "signer": signers.contains(node)}),
    };
    let mut group = json!({
        "key_share_holders": members.iter().map(holder).collect::<Vec<_>>(),
        "participants": members.len(),
        "threshold": threshold,
    });
    if let Some(key) = key {
        group["key_share_holder_group_id"] = key.id.as_str().into();
        group["tss_key_share_groups"] = json!([{
            "tss_key_share_group_id": key.id,
            "curve": key.curve.to_uppercase(),
            "root_pubkey": key.root_public_key,
        }]);
    }
    group
}

/// Readers of this vocabulary want every one of the defaulted members.
fn v2_transaction(members: &mut Members, task: &Task, signing: &Signing, destination: Option<Value>) {
    members.default("transaction_id", task.claim(REFERENCE).unwrap_or(&task.id));
    members.default("wallet_id", signing.key.id.as_str());
    members.default("status", "PendingSignature");
    members.default("initiator_type", "API");
    members.default("created_timestamp", task.received_at);
    members.default("updated_timestamp", task.received_at);
    let mut source = json!({"source_type": "Org-Controlled", "wallet_id": signing.key.id});
    if matches!(signing.intent, Intent::Opaque) {
        members.default("source", source);
        return members.default("destination", json!({"destination_type": "Address"}));
    }
    if let Some(address) = task.transaction().and_then(only_source) {
        source["address"] = address.into();
    }
    members.fact("source", Some(source));
    members.fact("destination", destination);
    let raw = task.transaction().map(|tx| json!({"unsigned_raw_tx": hex0x(&tx.unsigned)}));
    members.fact("raw_tx_info", raw);
}

/// Typed data that a server would have to judge unseen is not sent to it.
fn destination(signing: &Signing) -> Result<Option<Value>, Failure> {
    Ok(match &signing.intent {
        Intent::Transaction(transaction) => Some(transaction_destination(transaction)),
        Intent::Message(message) if signing.payload == "eip191" => {
            Some(json!({"destination_type": "EVM_EIP_191_Signature", "message": STANDARD.encode(message)}))
        }
        Intent::TypedData(data) => {
            let document: Value = json::strict(data.json.as_bytes())
                .map_err(|error| Failure::Unsupported(format!("the typed data is not JSON: {error}")))?;
            Some(json!({"destination_type": "EVM_EIP_712_Signature", "structured_data": document}))
        }
        Intent::Message(_) | Intent::Opaque => None,
    })
}

fn transaction_destination(transaction: &Transaction) -> Value {
    match (&transaction.calls[..], &outgoing(transaction)[..]) {
        ([call], _) if transaction.chain.starts_with("eip155:") => {
            let value = coins(&transaction.chain, &call.amount);
            json!({"destination_type": "EVM_Contract", "address": call.contract, "value": value, "calldata": hex0x(&call.data)})
        }
        (_, [only]) => {
            let mut output = output(transaction, only);
            if let Some(memo) = &only.memo {
                output["memo"] = memo.as_str().into();
            }
            json!({"destination_type": "Address", "account_output": output})
        }
        (_, outgoing) => {
            let outputs: Vec<_> = outgoing.iter().map(|to| output(transaction, to)).collect();
            json!({"destination_type": "Address", "utxo_outputs": outputs})
        }
    }
}

fn output(transaction: &Transaction, to: &Destination) -> Value {
    let mut output = json!({"address": to.address});
    if let Some(amount) = coins(&transaction.chain, &to.amount).filter(|_| to.asset.is_empty()) {
        output["amount"] = amount.into();
    }
    output
}

/// `amount` of a chain's native asset in whole coins, exactly.
fn coins(chain: &str, amount: &str) -> Option<String> {
    let decimals = match chain.split_once(':')?.0 {
        "eip155" => 18,
        "bip122" => 8,
        "solana" => 9,
        _ => return None,
    };
    let digits = format!("{amount:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let fraction = fraction.trim_end_matches('0');
    Some(if fraction.is_empty() { whole.into() } else { format!("{whole}.{fraction}") })
}

/// Recipients outside the key that signs.
fn outgoing(transaction: &Transaction) -> Vec<&Destination> {
    transaction.destinations.iter().filter(|to| !to.change).collect()
}

fn only_source(transaction: &Transaction) -> Option<&str> {
    match &transaction.sources[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// Nothing but value that moves: no right is handed out, and every call is a token's transfer.
fn is_transfer(transaction: &Transaction) -> bool {
    let transfers = |method: &Option<String>| method.as_deref() == Some("transfer(address,uint256)");
    transaction.grants.is_empty() && transaction.calls.iter().all(|call| transfers(&call.method))
}
