//! The two documents that a handler reads. Names and nesting are those of the protocol;
//! nothing is decided here.
//!
//! The node's facts replace the wallet's own statements in the protocol; the requester's claims
//! replace those of the initiator (`externalTxId`, `note`, members of `extraParameters`).

use countersign_sdk::{
    Destination, Failure, Host, Intent, KeyShareSigning, Keygen, Operation, Resharing, Signing,
    Task, Transaction, request_id,
};
use serde::Serialize;
use serde_json::Value;

use crate::Config;
use crate::amount::known;
use crate::extra_parameters::{claims, extra_parameters};

const VAULT: &str = "VAULT";
const ONE_TIME: &str = "ONE_TIME_ADDRESS";

/// A document and its endpoint.
pub(crate) struct Request {
    pub(crate) endpoint: &'static str,
    pub(crate) id: String,
    pub(crate) document: Value,
}

/// Builds the request for `task`.
pub(crate) fn request(config: &Config, task: &Task, host: &impl Host) -> Result<Request, Failure> {
    let id = request_id(host);
    let (endpoint, document) = match &task.operation {
        Operation::Sign(signing) => (
            "tx_sign_request",
            value(&tx_sign(config, task, signing, &id, host)?)?,
        ),
        Operation::Keygen(keygen) => change(task, &id, "KEY_GENERATION", key_gen(keygen))?,
        Operation::Reshare(resharing) => {
            change(task, &id, "KEY_RESHARING", key_reshare(resharing))?
        }
        Operation::KeyShareSign(signing) => {
            change(task, &id, "KEY_SHARE_CHECK", key_share_sign(signing))?
        }
        Operation::Other(name) => {
            return Err(Failure::Unsupported(format!(
                "callback handlers do not know `{name}`"
            )));
        }
    };
    Ok(Request {
        endpoint,
        id,
        document,
    })
}

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

/// A requested signature: its digest and its key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawTx {
    key_derivation_path: String,
    raw_tx: String,
    payload: String,
}

fn tx_sign<'a>(
    config: &Config,
    task: &'a Task,
    signing: &'a Signing,
    id: &'a str,
    host: &impl Host,
) -> Result<TxSign<'a>, Failure> {
    let transaction = task.transaction();
    let summary = transaction
        .map(|tx| summary(config, tx))
        .unwrap_or_default();
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
        dest_address_type: if summary.stays {
            "WHITELISTED"
        } else {
            "ONE_TIME"
        },
        dest_address: summary.address,
        asset: summary.asset,
        amount_str: summary.amount.clone(),
        requested_amount_str: summary.amount,
        fee: transaction.and_then(|tx| {
            tx.fee
                .as_deref()
                .map(|fee| known(config, &tx.chain, "").amount(fee))
        }),
        destinations: transaction
            .map(|tx| destinations(config, tx, key))
            .unwrap_or_default(),
        raw_tx: raw_tx(signing, transaction),
        players: &signing.signers,
        note: task.claim("note"),
        extra_parameters: extra_parameters(task, signing, host)?,
    })
}

/// The single recipient of a transaction that does nothing else. Otherwise the fields stay empty,
/// as a handler might mistake a part for the whole.
#[derive(Default)]
struct Summary {
    address: String,
    asset: String,
    amount: String,
    stays: bool,
}

fn summary(config: &Config, tx: &Transaction) -> Summary {
    match (
        tx.payments().as_deref(),
        tx.destinations.as_slice(),
        tx.calls.as_slice(),
    ) {
        (Some([one]), ..) => destination_summary(config, tx, one),
        (Some([]), [one], []) => Summary {
            stays: true,
            ..destination_summary(config, tx, one)
        },
        // An EVM transaction consists of its call, unless it carries authorisations of EIP-7702.
        (None, destinations, [call])
            if is_evm(tx)
                && !tx.hands_over_the_account()
                && destinations.iter().all(|to| to.address == call.contract) =>
        {
            let native = known(config, &tx.chain, "");
            Summary {
                address: call.contract.clone(),
                asset: native.id.into(),
                amount: native.amount(&call.amount),
                stays: false,
            }
        }
        (Some(_) | None, ..) => Summary::default(),
    }
}

fn is_evm(tx: &Transaction) -> bool {
    tx.chain.starts_with("eip155:")
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

/// Returns the protocol's name of the intent. A call counts as a transfer only
/// if nothing else happens.
fn operation(intent: &Intent) -> &'static str {
    match intent {
        Intent::Transaction(tx) if !tx.grants.is_empty() => "APPROVE",
        Intent::Transaction(tx) if tx.payments().is_some() => "TRANSFER",
        Intent::Transaction(_) => "CONTRACT_CALL",
        Intent::Message(_) | Intent::TypedData(_) => "TYPED_MESSAGE",
        Intent::Opaque => "RAW",
    }
}

fn destinations<'a>(config: &Config, tx: &'a Transaction, key: &'a str) -> Vec<Dest<'a>> {
    let dest = |destination: &'a Destination| {
        let asset = known(config, &tx.chain, &destination.asset);
        Dest {
            // The token id is in the call's data.
            amount_native_str: destination
                .shown()
                .amount
                .map(|amount| asset.amount(amount))
                .unwrap_or_default(),
            asset: asset.id.into(),
            dst_type: if destination.change { VAULT } else { ONE_TIME },
            dst_id: if destination.change { key } else { "" },
            dst_address_type: if destination.change {
                "WHITELISTED"
            } else {
                "ONE_TIME"
            },
            dst_address: &destination.address,
            display_dst_address: &destination.address,
        }
    };
    tx.destinations.iter().map(dest).collect()
}

fn raw_tx(signing: &Signing, transaction: Option<&Transaction>) -> Vec<RawTx> {
    let unsigned = transaction
        .map(|tx| hex::encode(&tx.unsigned))
        .unwrap_or_default();
    let entry = |input: &countersign_sdk::Input| RawTx {
        key_derivation_path: path(&input.path),
        raw_tx: unsigned.clone(),
        payload: hex::encode(&input.digest),
    };
    signing.inputs.iter().map(entry).collect()
}

/// Formats a path such as `m/44/60/0/0/0` for handlers: `[ 44, 60, 0, 0, 0 ]`.
fn path(path: &str) -> String {
    let steps: Vec<_> = path.split('/').filter(|step| *step != "m").collect();
    if steps.is_empty() {
        "[]".into()
    } else {
        format!("[ {} ]", steps.join(", "))
    }
}

/// Body of `config_change_sign_request`. The protocol's own types are about workspaces, which a
/// node does not have. These are ours, and a handler that does not know them must not approve them.
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
    let change = ConfigChange {
        request_id: id,
        signer_id: &task.node,
        r#type: kind,
        extra_info: info,
    };
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
