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

#[cfg(test)]
mod tests {
    use countersign_payload::Rights;

    use super::*;

    fn grant(spender: &str) -> Grant {
        Grant {
            spender: spender.into(),
            asset: "usdc".into(),
            amount: None,
        }
    }

    #[test]
    fn a_transaction_is_passed_on_whole() {
        let destination = |address: &str, change| Destination {
            address: address.into(),
            asset: "eth".into(),
            amount: "7".into(),
            memo: Some("m".into()),
            change,
        };
        let call = Call {
            contract: "c".into(),
            selector: vec![1, 2],
            method: Some("transfer".into()),
            fields: Vec::new(),
            amount: "1".into(),
            data: vec![3],
        };
        let shown = for_plugins(&Intent::Transaction(Transaction {
            chain: "eip155:1".into(),
            sources: vec!["s".into()],
            destinations: vec![destination("d", false), destination("e", true)],
            calls: vec![call],
            grants: vec![grant("g")],
            fee: Some("9".into()),
            unsigned: vec![4],
            owners: Default::default(),
        }));
        let host::Intent::Transaction(shown) = shown else {
            panic!("{shown:?}");
        };
        assert_eq!(
            (&shown.chain[..], shown.sources),
            ("eip155:1", vec!["s".to_owned()])
        );
        assert_eq!(shown.destinations.len(), 2);
        assert!(!shown.destinations[0].change && shown.destinations[1].change);
        assert_eq!(shown.destinations[0].memo.as_deref(), Some("m"));
        assert_eq!(
            (shown.calls[0].data.clone(), shown.calls.len()),
            (vec![3], 1)
        );
        assert_eq!(shown.grants[0].spender, "g");
        assert_eq!(shown.grants[0].amount, None, "without a limit");
        assert_eq!((shown.fee.as_deref(), shown.unsigned), (Some("9"), vec![4]));
    }

    #[test]
    fn rights_in_typed_data_reach_the_plugins() {
        let shown = for_plugins(&Intent::TypedData(TypedData {
            chain: Some("eip155:1".into()),
            verifying_contract: Some("v".into()),
            domain: Some("d".into()),
            primary_type: "Permit".into(),
            json: "{}".into(),
            grants: vec![grant("g")],
            rights: Rights::Unknown,
            meaning: None,
            notes: Vec::new(),
        }));
        let host::Intent::TypedData(shown) = shown else {
            panic!("{shown:?}");
        };
        assert_eq!(shown.grants.len(), 1);
        assert_eq!((&shown.primary_type[..], &shown.json[..]), ("Permit", "{}"));
        assert_eq!(shown.verifying_contract.as_deref(), Some("v"));
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_such() {
        assert_eq!(for_plugins(&Intent::Opaque), host::Intent::Opaque);
        let message = Intent::Message(b"m".to_vec());
        assert_eq!(for_plugins(&message), host::Intent::Message(b"m".to_vec()));
    }

    /// A plugin must not take the requester's word for something that the node established.
    #[test]
    fn what_the_node_established_is_marked_as_fact() {
        let stated = facts(&Intent::TypedData(TypedData {
            chain: None,
            verifying_contract: None,
            domain: None,
            primary_type: "Order".into(),
            json: "{}".into(),
            grants: Vec::new(),
            rights: Rights::Unknown,
            meaning: Some("m".into()),
            notes: vec!["n".into()],
        }));
        assert!(!stated.is_empty());
        assert!(stated.iter().all(|stated| stated.origin == Origin::Fact));
    }
}
