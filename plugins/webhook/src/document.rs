//! The request's document, as described in `docs/webhook.md`. Members may be
//! added, but never change.

use countersign_sdk::{
    Call, Destination, Failure, Grant, Input, Intent, Key, Operation, Origin, Principal, Signing,
    Statement, Task, Transaction, TypedData,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Builds the document about `task`.
pub(crate) fn document(task: &Task, request_id: &str, nonce: &str) -> Result<Value, Failure> {
    Ok(json!({
        "version": 1,
        "request_id": request_id,
        "nonce": nonce,
        "node": task.node,
        "requester": principal(&task.requester),
        "coordinator": principal(&task.coordinator),
        "received_at": task.received_at,
        "deadline": task.deadline,
        "task": { "id": task.id, "attempt": task.attempt, "sha256": hex::encode(Sha256::digest(&task.raw)) },
        "operation": operation(&task.operation)?,
        "facts": by_name(task.extra.iter().filter(|said| said.origin == Origin::Fact)),
        "claims": by_name(task.claims()),
    }))
}

fn principal(principal: &Principal) -> Value {
    json!({ "id": principal.id, "name": principal.name })
}

fn by_name<'a>(said: impl Iterator<Item = &'a Statement>) -> Map<String, Value> {
    said.map(|statement| (statement.name.clone(), statement.value.clone().into()))
        .collect()
}

fn operation(operation: &Operation) -> Result<Value, Failure> {
    Ok(match operation {
        Operation::Keygen(keygen) => json!({
            "kind": "keygen", "scheme": keygen.scheme, "curve": keygen.curve, "threshold": keygen.threshold,
            "members": keygen.members,
        }),
        Operation::Sign(signing) => sign(signing),
        Operation::Reshare(resharing) => json!({
            "kind": "reshare", "key": key(&resharing.key), "signers": resharing.signers,
            "new_threshold": resharing.new_threshold, "new_members": resharing.new_members,
        }),
        Operation::KeyShareSign(signing) => {
            let check = |check: &countersign_sdk::KeyShareCheck| json!({ "key": key(&check.key), "message": check.message });
            json!({ "kind": "key-share-sign", "checks": signing.checks.iter().map(check).collect::<Vec<_>>() })
        }
        Operation::Other(name) => {
            return Err(Failure::Unsupported(format!(
                "this version of the webhook does not know `{name}`"
            )));
        }
    })
}

fn sign(signing: &Signing) -> Value {
    json!({
        "kind": "sign",
        "key": key(&signing.key),
        "signers": signing.signers,
        "inputs": signing.inputs.iter().map(input).collect::<Vec<_>>(),
        "payload": signing.payload,
        "blind": signing.blind,
        "intent": intent(&signing.intent),
    })
}

fn key(key: &Key) -> Value {
    json!({
        "id": key.id, "scheme": key.scheme, "curve": key.curve, "root_public_key": key.root_public_key,
        "threshold": key.threshold, "members": key.members,
    })
}

fn input(input: &Input) -> Value {
    json!({
        "path": input.path, "public_key": hex::encode(&input.public_key), "digest": hex::encode(&input.digest),
        "tweak": input.tweak.as_ref().map(hex::encode),
    })
}

fn intent(intent: &Intent) -> Value {
    match intent {
        Intent::Transaction(tx) => transaction(tx),
        Intent::Message(bytes) => json!({ "kind": "message", "bytes": hex::encode(bytes) }),
        Intent::TypedData(data) => typed_data(data),
        Intent::Opaque => json!({ "kind": "opaque" }),
    }
}

fn transaction(tx: &Transaction) -> Value {
    json!({
        "kind": "transaction",
        "chain": tx.chain,
        "sources": tx.sources,
        "destinations": tx.destinations.iter().map(destination).collect::<Vec<_>>(),
        "calls": tx.calls.iter().map(call).collect::<Vec<_>>(),
        "grants": grants(&tx.grants),
        "fee": tx.fee,
        "unsigned": hex::encode(&tx.unsigned),
    })
}

fn destination(destination: &Destination) -> Value {
    let told = json!({
        "address": destination.address, "asset": destination.asset, "memo": destination.memo,
        "change": destination.change,
    });
    destination.shown().within(told)
}

fn call(call: &Call) -> Value {
    json!({
        "contract": call.contract, "selector": hex::encode(&call.selector), "method": call.method,
        "amount": call.amount, "data": hex::encode(&call.data),
    })
}

fn grants(grants: &[Grant]) -> Vec<Value> {
    let grant = |grant: &Grant| {
        grant
            .shown()
            .within(json!({ "spender": grant.spender, "asset": grant.asset }))
    };
    grants.iter().map(grant).collect()
}

fn typed_data(data: &TypedData) -> Value {
    json!({
        "kind": "typed-data", "chain": data.chain, "verifying_contract": data.verifying_contract,
        "domain": data.domain, "primary_type": data.primary_type, "json": data.json, "grants": grants(&data.grants),
    })
}
