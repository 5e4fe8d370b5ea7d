//! Ready-made tasks of every operation and intent. A test changes the fields that it is about.

use super::MockHost;
use crate::{
    Call, Destination, Event, Grant, Input, Intent, Key, KeyShareCheck, KeyShareSigning, Keygen,
    Operation, Origin, Principal, Resharing, Signing, Statement, Task, Transaction, TypedData,
    What,
};

/// A task for `operation`, received [now](MockHost::NOW) and due within two minutes.
pub fn task(operation: Operation) -> Task {
    Task {
        id: "task-1".into(),
        attempt: 1,
        received_at: MockHost::NOW,
        deadline: MockHost::NOW + 120_000,
        requester: Principal {
            id: "requester-key".into(),
            name: "treasury".into(),
        },
        coordinator: Principal {
            id: "coordinator-key".into(),
            name: "main".into(),
        },
        node: "csn1self".into(),
        operation,
        extra: Vec::new(),
        raw: b"{}".to_vec(),
    }
}

/// An event that happened [now](MockHost::NOW), about `task`.
pub fn event(task: Option<Task>, what: What) -> Event {
    let id = "3f0c5b1e-9d7a-4c1b-8a44-2f6f4f0c9d11".into();
    Event {
        id,
        at: MockHost::NOW,
        node: "csn1self".into(),
        task,
        what,
        tries: 0,
    }
}

/// A 2-of-3 key for ECDSA signatures.
pub fn key() -> Key {
    Key {
        id: "key-1".into(),
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        root_public_key: "xpub-1".into(),
        threshold: 2,
        members: texts(&["csn1a", "csn1b", "csn1c"]),
    }
}

/// A task to create an ECDSA key.
pub fn keygen(threshold: u16, members: &[&str]) -> Task {
    task(Operation::Keygen(Keygen {
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        threshold,
        members: texts(members),
    }))
}

/// A task to move [`key`] to another committee.
pub fn reshare(new_threshold: u16, new_members: &[&str]) -> Task {
    task(Operation::Reshare(Resharing {
        key: key(),
        signers: texts(&["csn1a", "csn1b"]),
        new_threshold,
        new_members: texts(new_members),
    }))
}

/// A task to check this node's share of [`key`].
pub fn check_up() -> Task {
    let check = KeyShareCheck {
        key: key(),
        message: "hello".into(),
    };
    task(Operation::KeyShareSign(KeyShareSigning {
        checks: vec![check],
    }))
}

/// A task to sign for `intent` with [`key`] at `m/44/60/0/0/0`, with the payload `evm-transaction`.
pub fn signing(intent: Intent) -> Task {
    signing_of("evm-transaction", intent)
}

/// Like [`signing`], with another kind of payload. Only `digest` is blind.
pub fn signing_of(payload: &str, intent: Intent) -> Task {
    task(Operation::Sign(Signing {
        key: key(),
        signers: texts(&["csn1a", "csn1b"]),
        inputs: vec![Input {
            path: "m/44/60/0/0/0".into(),
            public_key: vec![2; 33],
            digest: vec![0xAB; 32],
            tweak: None,
        }],
        payload: payload.into(),
        blind: payload == "digest",
        intent,
    }))
}

/// A task to blindly sign a bare digest.
pub fn blind() -> Task {
    signing_of("digest", Intent::Opaque)
}

/// A task to sign a message, e.g. of the kind `eip191` or `message`.
pub fn message(payload: &str, text: impl AsRef<[u8]>) -> Task {
    signing_of(payload, Intent::Message(text.as_ref().into()))
}

/// A task to sign typed data with this domain, primary type and grants.
pub fn typed_data(
    chain: Option<&str>,
    verifying_contract: Option<&str>,
    primary_type: &str,
    grants: Vec<Grant>,
) -> Task {
    let typed_data = TypedData {
        chain: chain.map(Into::into),
        verifying_contract: verifying_contract.map(Into::into),
        domain: None,
        primary_type: primary_type.into(),
        json: "{}".into(),
        grants,
    };
    signing_of("eip712", Intent::TypedData(typed_data))
}

/// Adds a statement to the task that the node vouches for.
pub fn with_fact(mut task: Task, name: &str, value: &str) -> Task {
    task.extra.push(Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Fact,
    });
    task
}

/// A task to sign a verified transfer of the chain's native asset.
pub fn transfer(chain: &str, address: &str, amount: &str) -> Task {
    transaction(chain).pays(address, amount).task()
}

/// A transaction on `chain`, without any effect yet.
pub fn transaction(chain: &str) -> TransactionBuilder {
    let payload = match chain.split(':').next() {
        Some("bip122") => "psbt",
        Some("solana") => "solana-message",
        _ => "evm-transaction",
    };
    let transaction = Transaction {
        chain: chain.into(),
        sources: vec!["0xsource".into()],
        destinations: Vec::new(),
        calls: Vec::new(),
        grants: Vec::new(),
        fee: None,
        unsigned: Vec::new(),
    };
    TransactionBuilder {
        payload,
        transaction,
    }
}

/// A transaction under construction; begin with [`transaction`].
#[derive(Debug, Clone)]
pub struct TransactionBuilder {
    payload: &'static str,
    transaction: Transaction,
}

impl TransactionBuilder {
    /// Adds a payment of native value to `address`.
    pub fn pays(self, address: &str, amount: &str) -> Self {
        self.pays_asset("", address, amount)
    }

    /// Adds a payment of another asset, by its CAIP-19 id.
    pub fn pays_asset(mut self, asset: &str, address: &str, amount: &str) -> Self {
        self.transaction.destinations.push(Destination {
            address: address.into(),
            asset: asset.into(),
            amount: amount.into(),
            memo: None,
            change: false,
        });
        self
    }

    /// Adds native value that returns to the key that signs.
    pub fn change(self, address: &str, amount: &str) -> Self {
        let mut changed = self.pays(address, amount);
        changed
            .transaction
            .destinations
            .iter_mut()
            .next_back()
            .expect("just added")
            .change = true;
        changed
    }

    /// Adds a call of an unknown method, without value.
    pub fn calls(mut self, contract: &str, selector: &[u8]) -> Self {
        self.transaction.calls.push(Call {
            contract: contract.into(),
            selector: selector.into(),
            method: None,
            amount: "0".into(),
            data: selector.into(),
        });
        self
    }

    /// Adds native value to the last call.
    pub fn with_value(mut self, amount: &str) -> Self {
        self.transaction
            .calls
            .last_mut()
            .expect("call `calls` first")
            .amount = amount.into();
        self
    }

    /// Marks the last call as calling a well-known method.
    pub fn known_as(mut self, method: &str) -> Self {
        self.transaction
            .calls
            .last_mut()
            .expect("call `calls` first")
            .method = Some(method.into());
        self
    }

    /// Makes the transaction create a contract.
    pub fn creates(self) -> Self {
        self.calls("", &[0x60, 0x80, 0x60, 0x40])
    }

    /// Lets `spender` move an asset, without limit if `amount` is absent.
    pub fn grants(mut self, spender: &str, asset: &str, amount: Option<&str>) -> Self {
        self.transaction.grants.push(Grant {
            spender: spender.into(),
            asset: asset.into(),
            amount: amount.map(Into::into),
        });
        self
    }

    /// Sets the highest possible fee.
    pub fn fee(mut self, amount: &str) -> Self {
        self.transaction.fee = Some(amount.into());
        self
    }

    /// Builds the task to sign the transaction.
    pub fn task(self) -> Task {
        signing_of(self.payload, Intent::Transaction(self.transaction))
    }
}

fn texts(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| id.to_string()).collect()
}
