//! The member `countersign` of `extra_info` in strict mode: the node's own facts, without the
//! limits of the servers' vocabulary, and the extent to which the rest is only claimed by the
//! requester. In compatible mode the member is always absent, and a requester cannot add it.

use countersign_sdk::{Destination, Grant, Intent, Task, Transaction};
use serde_json::{Value, json};

use crate::request::hex0x;

/// Builds `{node, requester, received_at, overridden}`, for a KeySign with `{payload, blind,
/// intent}`. `intent` is null for bare digests, else an object with one member: `transaction`,
/// `message` (hex) or `typed_data`. Names, units and meaning of their members are those of
/// `wit/policy.wit`; bytes are hex. A number that may be a token id is in `number`, and `amount` is
/// null. `overridden` lists members of the claim `extra-info` that contradicted the node.
pub(crate) fn facts(task: &Task, overridden: &[String]) -> Value {
    let mut facts = json!({
        "node": task.node,
        "requester": {"id": task.requester.id, "name": task.requester.name},
        "received_at": task.received_at,
        "overridden": overridden,
    });
    if let Some(signing) = task.signing() {
        facts["payload"] = signing.payload.as_str().into();
        facts["blind"] = signing.blind.into();
        facts["intent"] = intent(&signing.intent);
    }
    facts
}

fn intent(intent: &Intent) -> Value {
    match intent {
        Intent::Transaction(transaction) => json!({"transaction": self::transaction(transaction)}),
        Intent::Message(message) => json!({"message": hex0x(message)}),
        Intent::TypedData(data) => json!({"typed_data": {
            "chain": data.chain,
            "verifying_contract": data.verifying_contract,
            "domain": data.domain,
            "primary_type": data.primary_type,
            "json": data.json,
            "grants": grants(&data.grants),
        }}),
        Intent::Opaque => Value::Null,
    }
}

fn transaction(transaction: &Transaction) -> Value {
    let calls = transaction.calls.iter().map(|call| {
        json!({
            "contract": call.contract, "selector": hex0x(&call.selector), "method": call.method,
            "amount": call.amount, "data": hex0x(&call.data),
        })
    });
    json!({
        "chain": transaction.chain,
        "sources": transaction.sources,
        "destinations": transaction.destinations.iter().map(destination).collect::<Vec<_>>(),
        "calls": calls.collect::<Vec<_>>(),
        "grants": grants(&transaction.grants),
        "fee": transaction.fee,
        "unsigned": hex0x(&transaction.unsigned),
    })
}

fn destination(to: &Destination) -> Value {
    to.shown().within(
        json!({"address": to.address, "asset": to.asset, "memo": to.memo, "change": to.change}),
    )
}

fn grants(grants: &[Grant]) -> Vec<Value> {
    let grant = |grant: &Grant| {
        grant
            .shown()
            .within(json!({"spender": grant.spender, "asset": grant.asset}))
    };
    grants.iter().map(grant).collect()
}
