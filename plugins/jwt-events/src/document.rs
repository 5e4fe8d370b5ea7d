//! The event's document. Names, numbers and nesting are those of the SDK that receivers in the
//! field use; nothing is decided here.

use countersign_sdk::{
    End, Event, Failure, Input, Key, KeyShareSigning, Keygen, NewKey, Operation, Resharing,
    ShareSignature, Signature, Signing, Stage, Success, Task, What, operation,
};
use serde_json::{Map, Value, json};

/// Name of the claim with which a requester supplies `extra_info` itself.
const EXTRA_INFO: &str = "extra-info";
/// Name of the claim with the requester's own reference.
const REFERENCE: &str = "reference";

/// The number of the protocol: the receivers' list lacks ours.
const UNKNOWN_PROTOCOL: u8 = 0;
/// The type of signatures in a task that the node did not read.
const UNREAD_SCHEME: u8 = 0;

/// Builds the document for the receiver.
pub(crate) fn document(event: &Event) -> Result<Value, Failure> {
    let mut document = json!({
        "event_id": event.id,
        "event_type": event_type(event)?,
        "node_id": event.node,
        "created_timestamp": event.at,
    });
    if let Some(task) = &event.task {
        document["data"] = data(task, &event.what)?;
    }
    Ok(document)
}

/// Returns the event's type: `ping`, or `request.<operation>.<what>`.
fn event_type(event: &Event) -> Result<String, Failure> {
    let what = match &event.what {
        What::Ping => return Ok("ping".into()),
        What::Created => "created",
        What::Updated(_) => "updated",
        What::Succeeded(_) => "succeeded",
        What::Failed(_) => "failed",
    };
    let task = event
        .task
        .as_ref()
        .ok_or_else(|| Failure::Internal("an event without its task".into()))?;
    Ok(format!(
        "request.{}.{what}",
        operation::title(&task.operation).to_ascii_lowercase()
    ))
}

fn data(task: &Task, what: &What) -> Result<Value, Failure> {
    let kind = operation::title(&task.operation);
    Ok(json!({
        "data_type": kind,
        "request_id": format!("{}:{}", task.id, task.attempt),
        "request_type": kind,
        "request_status": status(what),
        "request_detail": detail(task)?,
        "extra_info": task.claim(EXTRA_INFO).unwrap_or_default(),
        "failed_reason": failed_reason(what),
        "result": result(&task.operation, what)?,
    }))
}

/// Returns the status: 110 scheduling, 130 approving, 140 processing, 160 declined, 170 failed,
/// 180 cancelled, 190 completed.
fn status(what: &What) -> u16 {
    match what {
        What::Ping | What::Created => 110,
        What::Updated(Stage::Approving | Stage::Waiting) => 130,
        What::Updated(Stage::Processing) => 140,
        What::Failed(End::Declined(_)) => 160,
        What::Failed(End::Failed(_)) => 170,
        What::Failed(End::Cancelled(_)) => 180,
        What::Succeeded(_) => 190,
    }
}

fn failed_reason(what: &What) -> String {
    match what {
        What::Failed(End::Declined(rejection)) => {
            format!("{}: {}", rejection.code, rejection.reason)
        }
        What::Failed(End::Failed(reason) | End::Cancelled(reason)) => reason.clone(),
        _ => String::new(),
    }
}

/// Returns the detail as an object, whereas requests to approval servers carry it as text.
fn detail(task: &Task) -> Result<Value, Failure> {
    let mut detail = match &task.operation {
        Operation::Keygen(keygen) => key_gen(keygen)?,
        Operation::Sign(signing) => key_sign(signing)?,
        Operation::Reshare(resharing) => key_reshare(resharing)?,
        Operation::KeyShareSign(signing) => key_share_sign(&task.node, signing),
        // The node refused it before decoding it, or the kind is newer than this component.
        Operation::Other(_) => Map::new().into(),
    };
    detail["task_id"] = task.id.clone().into();
    detail["biz_task_id"] = task.claim(REFERENCE).unwrap_or(&task.id).into();
    Ok(detail)
}

fn key_gen(keygen: &Keygen) -> Result<Value, Failure> {
    Ok(json!({
        "threshold": keygen.threshold, "node_ids": keygen.members, "curve": curve_number(&keygen.curve)?,
    }))
}

fn key_sign(signing: &Signing) -> Result<Value, Failure> {
    let paths: Vec<_> = signing.inputs.iter().map(|input| &input.path).collect();
    let hashes: Vec<_> = signing
        .inputs
        .iter()
        .map(|input| hex0x(&input.digest))
        .collect();
    Ok(json!({
        "group_id": signing.key.id,
        "root_pub_key": signing.key.root_public_key,
        "used_node_ids": signing.signers,
        "bip32_path_list": paths,
        "msg_hash_list": hashes,
        "tweak_list": tweaks(&signing.inputs),
        "signature_type": signature_type(&signing.key)?,
        "tss_protocol": UNKNOWN_PROTOCOL,
    }))
}

/// Returns the tweaks, parallel to the hashes if there is any, else empty.
fn tweaks(inputs: &[Input]) -> Vec<String> {
    if inputs.iter().all(|input| input.tweak.is_none()) {
        return Vec::new();
    }
    inputs
        .iter()
        .map(|input| input.tweak.as_deref().map(hex0x).unwrap_or_default())
        .collect()
}

fn key_reshare(resharing: &Resharing) -> Result<Value, Failure> {
    Ok(json!({
        "old_group_id": resharing.key.id,
        "root_pub_key": resharing.key.root_public_key,
        "curve": curve_number(&resharing.key.curve)?,
        "used_node_ids": resharing.signers,
        "old_threshold": resharing.key.threshold,
        "new_threshold": resharing.new_threshold,
        "new_node_ids": resharing.new_members,
    }))
}

fn key_share_sign(node: &str, signing: &KeyShareSigning) -> Value {
    let check = |check: &countersign_sdk::KeyShareCheck| json!({ "group_id": check.key.id, "message": check.message });
    json!({ "node_id": node, "details": signing.checks.iter().map(check).collect::<Vec<_>>() })
}

fn result(operation: &Operation, what: &What) -> Result<Value, Failure> {
    match what {
        What::Succeeded(Success::Key(key)) => group(key),
        What::Succeeded(Success::Signatures(signatures)) => signed(operation, signatures),
        What::Succeeded(Success::KeyShares(signatures)) => {
            Ok(json!({ "signatures": signatures.iter().map(share_signature).collect::<Vec<_>>() }))
        }
        What::Ping | What::Created | What::Updated(_) | What::Failed(_) => Ok(Value::Null),
    }
}

fn group(new: &NewKey) -> Result<Value, Failure> {
    let participants = new.participants.iter().map(|participant| {
        json!({
            "node_id": participant.node,
            "share_id": participant.share_id,
            "share_public_key": hex0x(&participant.share_public_key),
        })
    });
    Ok(json!({
        "id": new.key.id,
        "canonical_group_id": new.key.id,
        "created_timestamp": new.created_at,
        "type": group_type(&new.key.curve)?,
        "root_extended_public_key": new.key.root_public_key,
        "chaincode": hex0x(&new.chain_code),
        "curve": new.key.curve,
        "threshold": new.key.threshold,
        "participants": participants.collect::<Vec<_>>(),
    }))
}

fn signed(operation: &Operation, signatures: &[Signature]) -> Result<Value, Failure> {
    let signature_type = match operation {
        Operation::Sign(signing) => signature_type(&signing.key)?,
        // A KeySign of which the node knows only the kind has no scheme.
        Operation::Keygen(_)
        | Operation::Reshare(_)
        | Operation::KeyShareSign(_)
        | Operation::Other(_) => UNREAD_SCHEME,
    };
    Ok(json!({
        "signatures": signatures.iter().map(signature).collect::<Vec<_>>(),
        "signature_type": signature_type,
        "tss_protocol": UNKNOWN_PROTOCOL,
    }))
}

fn signature(signature: &Signature) -> Value {
    json!({
        "bip32_path": signature.path,
        "msg_hash": hex0x(&signature.digest),
        "tweak": signature.tweak.as_deref().map(hex0x).unwrap_or_default(),
        "signature": hex0x(&signature.signature),
        // Text in every model of this document; empty if the scheme has none.
        "signature_recovery": signature.recovery_id.map(|id| id.to_string()).unwrap_or_default(),
    })
}

fn share_signature(signature: &ShareSignature) -> Value {
    json!({
        "group_id": signature.key, "signed_msg": signature.message, "msg_hash": hex0x(&signature.digest),
        "signature": hex0x(&signature.signature),
    })
}

fn curve_number(name: &str) -> Result<u8, Failure> {
    match name {
        "secp256k1" => Ok(0),
        "ed25519" => Ok(2),
        other => Err(Failure::Unsupported(format!(
            "event receivers have no number for the curve `{other}`"
        ))),
    }
}

fn group_type(curve: &str) -> Result<u8, Failure> {
    match curve {
        "secp256k1" => Ok(1),
        "ed25519" => Ok(2),
        other => Err(Failure::Unsupported(format!(
            "event receivers have no type of group for the curve `{other}`"
        ))),
    }
}

fn signature_type(key: &Key) -> Result<u8, Failure> {
    match key.scheme.as_str() {
        "ecdsa-secp256k1" => Ok(1),
        "ed25519" => Ok(2),
        "schnorr-secp256k1" | "taproot" => Ok(3),
        other => Err(Failure::Unsupported(format!(
            "event receivers have no number for the scheme `{other}`"
        ))),
    }
}

fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
