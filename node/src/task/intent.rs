//! The intent of signatures in the terms of the plugins' contract. Every field is passed on as it
//! was decoded.

use countersign_host as host;
use countersign_payload::{Call, Destination, Grant, Intent, Transaction, TypedData};
use host::{Origin, Statement};

/// Returns the intent as plugins see it.
pub(super) fn for_plugins(intent: &Intent) -> host::Intent {
    match intent {
        Intent::Transaction(does) => host::Intent::Transaction(transaction(does)),
        Intent::Message(message) => host::Intent::Message(message.clone()),
        Intent::TypedData(data) => host::Intent::TypedData(typed_data(data)),
        Intent::Opaque => host::Intent::Opaque,
    }
}

/// Returns the facts about the intent that have no field in the contract.
pub(super) fn facts(intent: &Intent) -> Vec<Statement> {
    let fact = |(name, value): (&str, String)| Statement {
        name: name.into(),
        value,
        origin: Origin::Fact,
    };
    countersign_payload::facts(intent)
        .into_iter()
        .map(fact)
        .collect()
}

fn transaction(does: &Transaction) -> host::Transaction {
    let Transaction {
        chain,
        sources,
        destinations,
        calls,
        grants,
        fee,
        unsigned,
        owners: _,
    } = does.clone();
    host::Transaction {
        chain,
        sources,
        destinations: destinations.into_iter().map(destination).collect(),
        calls: calls.into_iter().map(call).collect(),
        grants: grants.into_iter().map(grant).collect(),
        fee,
        unsigned,
    }
}

fn typed_data(data: &TypedData) -> host::TypedData {
    let TypedData {
        chain,
        verifying_contract,
        domain,
        primary_type,
        json,
        grants,
        rights: _,
        meaning: _,
        notes: _,
    } = data.clone();
    let grants = grants.into_iter().map(grant).collect();
    host::TypedData {
        chain,
        verifying_contract,
        domain,
        primary_type,
        json,
        grants,
    }
}

fn destination(to: Destination) -> host::Destination {
    let Destination {
        address,
        asset,
        amount,
        memo,
        change,
    } = to;
    host::Destination {
        address,
        asset,
        amount,
        memo,
        change,
    }
}

fn call(call: Call) -> host::Call {
    // The contract has no place for the fields; they are in the data.
    let Call {
        contract,
        selector,
        method,
        fields: _,
        amount,
        data,
    } = call;
    host::Call {
        contract,
        selector,
        method,
        amount,
        data,
    }
}

fn grant(grant: Grant) -> host::Grant {
    let Grant {
        spender,
        asset,
        amount,
    } = grant;
    host::Grant {
        spender,
        asset,
        amount,
    }
}
