//! The two documents that a handler reads. Names and nesting are the protocol's; nothing is decided here.
//!
//! What the node established stands where the protocol has the wallet's own statements; what only the requester says
//! stands where the protocol has the initiator's (`externalTxId`, `note`, `extraParameters.claims`).

use countersign_sdk::{
    Destination, Failure, Intent, KeyShareSigning, Keygen, Operation, Origin, Resharing, Signing, Task,
    Transaction, json,
};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::Config;
use crate::amount::known;

/// Where a document goes, and the document.
pub(crate) struct Request {
    pub(crate) endpoint: &'static str,
    pub(crate) id: String,
    pub(crate) document: Value,
}

/// The request that `task` becomes.
pub(crate) fn request(config: &Config, task: &Task) -> Result<Request, Failure> {
    let id = request_id(task);
    let (endpoint, document) = match &task.operation {
        Operation::Sign(signing) => ("tx_sign_request", value(&tx_sign(config, task, signing, &id)?)?),
        Operation::Keygen(keygen) => change(task, &id, "KEY_GENERATION", key_gen(keygen))?,
        Operation::Reshare(resharing) => change(task, &id, "KEY_RESHARING", key_reshare(resharing))?,
        Operation::KeyShareSign(signing) => change(task, &id, "KEY_SHARE_CHECK", key_share_sign(signing))?,
        Operation::Other(name) => {
            return Err(Failure::Unsupported(format!("callback handlers do not know `{name}`")));
        }
    };
    Ok(Request { endpoint, id, document })
}

/// Names one question of one node: an answer has no expiry, and must be of use for nothing else. So the id depends on
/// the task's exact bytes, on the node, and on when the node received them.
fn request_id(task: &Task) -> String {
    let mut hash = Sha256::new_with_prefix(b"countersign fireblocks-callback 1");
    for part in [task.node.as_bytes(), &task.received_at.to_be_bytes(), task.id.as_bytes(), &task.raw] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(task.attempt.to_be_bytes());
    hex::encode(hash.finalize())
}

/// Body of `tx_sign_request`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TxSign<'a> {
    request_id: &'a str,
    tx_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_tx_id: Option<&'a str>,
    signer_id: &'a str,
    operation: &'static str,
    source_type: &'static str,
    source_id: &'a str,
    dest_type: &'static str,
    dest_id: &'a str,
    dest_address_type: &'static str,
    dest_address: String,
    asset: String,
    amount_str: String,
    requested_amount_str: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<String>,
    destinations: Vec<Dest<'a>>,
    raw_tx: Vec<RawTx>,
    players: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    extra_parameters: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dest<'a> {
    amount_native_str: String,
    asset: String,
    dst_type: &'static str,
    dst_id: &'a str,
    dst_address_type: &'static str,
    dst_address: &'a str,
    display_dst_address: &'a str,
}

/// One signature: what it is over, and with which key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawTx {
    key_derivation_path: String,
    raw_tx: String,
    payload: String,
}

const VAULT: &str = "VAULT";
const ONE_TIME: &str = "ONE_TIME_ADDRESS";

fn tx_sign<'a>(
    config: &Config,
    task: &'a Task,
    signing: &'a Signing,
    id: &'a str,
) -> Result<TxSign<'a>, Failure> {
    let transaction = task.transaction();
    let summary = transaction.map(|tx| summary(config, tx)).unwrap_or_default();
    let key = signing.key.id.as_str();
    Ok(TxSign {
        request_id: id,
        tx_id: &task.id,
        external_tx_id: task.claim("reference"),
        signer_id: &task.node,
        operation: operation(&signing.intent),
        source_type: VAULT,
        source_id: key,
        dest_type: if summary.stays { VAULT } else { ONE_TIME },
        dest_id: if summary.stays { key } else { "" },
        dest_address_type: if summary.stays { "WHITELISTED" } else { "ONE_TIME" },
        dest_address: summary.address,
        asset: summary.asset,
        amount_str: summary.amount.clone(),
        requested_amount_str: summary.amount,
        fee: transaction.and_then(|tx| tx.fee.as_deref().map(|fee| known(config, &tx.chain, "").amount(fee))),
        destinations: transaction.map(|tx| destinations(config, tx, key)).unwrap_or_default(),
        raw_tx: raw_tx(signing, transaction),
        players: &signing.signers,
        note: task.claim("note"),
        extra_parameters: extra_parameters(task, signing)?,
    })
}

/// The single recipient of a transaction. Where there are several, the fields stay empty rather than show the first:
/// a handler that looks at them alone must not mistake a part for the whole.
#[derive(Default)]
struct Summary {
    address: String,
    asset: String,
    amount: String,
    stays: bool,
}

fn summary(config: &Config, tx: &Transaction) -> Summary {
    let leaving: Vec<_> = tx.destinations.iter().filter(|destination| !destination.change).collect();
    match (leaving.as_slice(), tx.destinations.as_slice(), tx.calls.as_slice()) {
        ([one], ..) => destination_summary(config, tx, one),
        ([], [one], []) => Summary { stays: true, ..destination_summary(config, tx, one) },
        ([], [], [call]) => {
            let native = known(config, &tx.chain, "");
            Summary {
                address: call.contract.clone(),
                asset: native.id.into(),
                amount: native.amount(&call.amount),
                stays: false,
            }
        }
        _ => Summary::default(),
    }
}

fn destination_summary(config: &Config, tx: &Transaction, destination: &Destination) -> Summary {
    let asset = known(config, &tx.chain, &destination.asset);
    Summary {
        address: destination.address.clone(),
        amount: asset.amount(&destination.amount),
        asset: asset.id.into(),
        stays: false,
    }
}

/// The protocol's word for what is signed. A call counts as a transfer only if nothing but the transfer happens.
fn operation(intent: &Intent) -> &'static str {
    match intent {
        Intent::Transaction(tx) if !tx.grants.is_empty() => "APPROVE",
        Intent::Transaction(tx) if tx.calls.is_empty() => "TRANSFER",
        Intent::Transaction(tx) if is_token_transfer(tx) => "TRANSFER",
        Intent::Transaction(_) => "CONTRACT_CALL",
        Intent::Message(_) | Intent::TypedData(_) => "TYPED_MESSAGE",
        Intent::Opaque => "RAW",
    }
}

fn is_token_transfer(tx: &Transaction) -> bool {
    let [call] = tx.calls.as_slice() else { return false };
    let [destination] = tx.destinations.as_slice() else { return false };
    call.method.as_deref() == Some("transfer(address,uint256)")
        && !destination.asset.is_empty()
        && call.amount == "0"
}

fn destinations<'a>(config: &Config, tx: &'a Transaction, key: &'a str) -> Vec<Dest<'a>> {
    let dest = |destination: &'a Destination| {
        let asset = known(config, &tx.chain, &destination.asset);
        Dest {
            amount_native_str: asset.amount(&destination.amount),
            asset: asset.id.into(),
            dst_type: if destination.change { VAULT } else { ONE_TIME },
            dst_id: if destination.change { key } else { "" },
            dst_address_type: if destination.change { "WHITELISTED" } else { "ONE_TIME" },
            dst_address: &destination.address,
            display_dst_address: &destination.address,
        }
    };
    tx.destinations.iter().map(dest).collect()
}

fn raw_tx(signing: &Signing, transaction: Option<&Transaction>) -> Vec<RawTx> {
    let unsigned = transaction.map(|tx| hex::encode(&tx.unsigned)).unwrap_or_default();
    let entry = |input: &countersign_sdk::Input| RawTx {
        key_derivation_path: path(&input.path),
        raw_tx: unsigned.clone(),
        payload: hex::encode(&input.digest),
    };
    signing.inputs.iter().map(entry).collect()
}

/// `m/44/60/0/0/0` as handlers read it: `[ 44, 60, 0, 0, 0 ]`.
fn path(path: &str) -> String {
    let steps: Vec<_> = path.split('/').filter(|step| *step != "m").collect();
    if steps.is_empty() { "[]".into() } else { format!("[ {} ]", steps.join(", ")) }
}

/// Messages where the protocol has them, what the node knows and the protocol has no field for, and the requester's
/// claims under a name of their own.
fn extra_parameters(task: &Task, signing: &Signing) -> Result<Value, Failure> {
    let mut extra = Map::new();
    let messages = messages(signing)?;
    if !messages.is_empty() {
        extra.insert("rawMessageData".into(), serde_json::json!({ "messages": messages }));
    }
    if let Some(tx) = task.transaction() {
        let calls = tx.calls.iter().map(|call| {
            serde_json::json!({
                "contract": call.contract, "method": call.method, "amount": call.amount,
                "contractCallData": hex::encode(&call.data),
            })
        });
        let grants = tx.grants.iter().map(|grant| {
            serde_json::json!({ "spender": grant.spender, "asset": grant.asset, "amount": grant.amount })
        });
        extra.insert("calls".into(), calls.collect());
        extra.insert("grants".into(), grants.collect());
        extra.insert("chain".into(), tx.chain.clone().into());
    }
    extra.insert("scheme".into(), signing.key.scheme.clone().into());
    extra.insert("rootPublicKey".into(), signing.key.root_public_key.clone().into());
    extra.insert("blind".into(), signing.blind.into());
    extra.insert("claims".into(), claims(task));
    Ok(extra.into())
}

fn messages(signing: &Signing) -> Result<Vec<Value>, Failure> {
    let message = |content: Value, kind: &str| serde_json::json!({ "content": content, "type": kind });
    Ok(match &signing.intent {
        Intent::Transaction(_) => Vec::new(),
        Intent::Message(bytes) => {
            let kind = if signing.payload == "eip191" { "ETH_MESSAGE" } else { "RAW" };
            vec![message(hex::encode(bytes).into(), kind)]
        }
        Intent::TypedData(data) => {
            let document = json::strict(data.json.as_bytes())
                .map_err(|error| Failure::Unsupported(format!("the typed data is not JSON: {error}")))?;
            vec![message(document, "EIP712")]
        }
        Intent::Opaque => {
            signing.inputs.iter().map(|input| message(hex::encode(&input.digest).into(), "RAW")).collect()
        }
    })
}

fn claims(task: &Task) -> Value {
    let claims = task.extra.iter().filter(|statement| statement.origin == Origin::Claim);
    claims.map(|claim| (claim.name.clone(), Value::from(claim.value.clone()))).collect::<Map<_, _>>().into()
}

/// Body of `config_change_sign_request`. The protocol's own types are about workspaces, which a node does not have;
/// these are ours, and a handler that knows them not must not approve them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigChange<'a> {
    request_id: &'a str,
    signer_id: &'a str,
    r#type: &'static str,
    extra_info: Value,
}

fn change(
    task: &Task,
    id: &str,
    kind: &'static str,
    mut info: Value,
) -> Result<(&'static str, Value), Failure> {
    info["taskId"] = task.id.clone().into();
    info["claims"] = claims(task);
    let change = ConfigChange { request_id: id, signer_id: &task.node, r#type: kind, extra_info: info };
    Ok(("config_change_sign_request", value(&change)?))
}

fn key_gen(keygen: &Keygen) -> Value {
    serde_json::json!({
        "scheme": keygen.scheme, "curve": keygen.curve, "threshold": keygen.threshold, "members": keygen.members,
    })
}

fn key_reshare(resharing: &Resharing) -> Value {
    serde_json::json!({
        "keyId": resharing.key.id, "rootPublicKey": resharing.key.root_public_key,
        "threshold": resharing.key.threshold, "members": resharing.key.members, "players": resharing.signers,
        "newThreshold": resharing.new_threshold, "newMembers": resharing.new_members,
    })
}

fn key_share_sign(signing: &KeyShareSigning) -> Value {
    let check = |check: &countersign_sdk::KeyShareCheck| serde_json::json!({ "keyId": check.key.id, "message": check.message });
    serde_json::json!({ "checks": signing.checks.iter().map(check).collect::<Vec<_>>() })
}

fn value(document: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::Internal(error.to_string()))
}
