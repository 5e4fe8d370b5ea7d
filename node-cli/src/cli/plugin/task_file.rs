//! A task in a JSON file: the `task` record of `wit/policy.wit` with the contract's own
//! names, bytes in hexadecimal (`0x…`), and a variant as an object with one member.
//! Omitted fields are empty.

use countersign_host as host;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Converts the contents of a file into the host's types.
trait Meant {
    type As;
    fn meant(self) -> Self::As;
}

macro_rules! plain {
    ($($type:ty),*) => { $(impl Meant for $type {
        type As = $type;
        fn meant(self) -> $type {
            self
        }
    })* };
}

plain!(String, bool, u16, u32, u64);

impl<T: Meant> Meant for Vec<T> {
    type As = Vec<T::As>;
    fn meant(self) -> Self::As {
        self.into_iter().map(Meant::meant).collect()
    }
}

impl<T: Meant> Meant for Option<T> {
    type As = Option<T::As>;
    fn meant(self) -> Self::As {
        self.map(Meant::meant)
    }
}

/// Bytes, written as `0x` and hexadecimal digits in the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bytes(Vec<u8>);

impl Meant for Bytes {
    type As = Vec<u8>;
    fn meant(self) -> Vec<u8> {
        self.0
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        let wrong = |_| {
            serde::de::Error::custom(format!(
                "`{text}` is not hexadecimal; write 0x and an even number of digits"
            ))
        };
        hex::decode(digits).map(Bytes).map_err(wrong)
    }
}

/// Defines a record of the contract, field by field.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(super) struct $name {
            $(#[allow(missing_docs)] pub(super) $field: $type,)*
        }

        impl Meant for $name {
            type As = host::$name;
            fn meant(self) -> host::$name {
                host::$name { $($field: self.$field.meant(),)* }
            }
        }
    };
}

/// Defines a variant of the contract, case by case.
macro_rules! variant {
    ($(#[$doc:meta])* $name:ident { $($case:ident($type:ty),)* } $({ $($bare:ident,)* })?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[allow(missing_docs)]
        pub(super) enum $name {
            $($case($type),)*
            $($($bare,)*)?
        }

        impl Meant for $name {
            type As = host::$name;
            fn meant(self) -> host::$name {
                match self {
                    $($name::$case(value) => host::$name::$case(value.meant()),)*
                    $($($name::$bare => host::$name::$bare,)*)?
                }
            }
        }
    };
}

record!(
    Task {
        id: String,
        attempt: u32,
        received_at: u64,
        requester: Principal,
        coordinator: Principal,
        node: String,
        operation: Operation,
        extra: Vec<Statement>,
        raw: Bytes,
    }
);
record!(Principal {
    id: String,
    name: String,
});
record!(Statement {
    name: String,
    value: String,
    origin: Origin,
});
variant!(
    /// The authority behind a statement.
    Origin {} { Fact, Claim, }
);
variant!(
    /// The operation that plugins decide about.
    Operation {
        Keygen(Keygen),
        Sign(Signing),
        Reshare(Resharing),
        KeyShareSign(KeyShareSigning),
        Other(String),
    }
);
record!(
    Keygen { scheme: String, curve: String, threshold: u16, members: Vec<String>, }
);
record!(
    Key {
        id: String,
        scheme: String,
        curve: String,
        root_public_key: String,
        threshold: u16,
        members: Vec<String>,
    }
);
record!(
    Signing {
        key: Key,
        signers: Vec<String>,
        inputs: Vec<Input>,
        payload: String,
        blind: bool,
        intent: Intent,
    }
);
record!(
    /// One of the signatures of a signing task.
    Input { path: String, public_key: Bytes, digest: Bytes, tweak: Option<Bytes>, }
);
variant!(
    /// The purpose of a signature, as far as the node understands it.
    Intent { Transaction(Transaction), Message(Bytes), TypedData(TypedData), } { Opaque, }
);
record!(
    /// The effects of a transaction.
    Transaction {
        chain: String,
        sources: Vec<String>,
        destinations: Vec<Destination>,
        calls: Vec<Call>,
        grants: Vec<Grant>,
        fee: Option<String>,
        unsigned: Bytes,
    }
);
record!(
    /// One recipient of a transaction.
    Destination { address: String, asset: String, amount: String, memo: Option<String>, change: bool, }
);
record!(
    /// One call of a contract.
    Call { contract: String, selector: Bytes, method: Option<String>, amount: String, data: Bytes, }
);
record!(
    /// An allowance that the signature would grant.
    Grant { spender: String, asset: String, amount: Option<String>, }
);
record!(
    /// Structured data of EIP-712.
    TypedData {
        chain: Option<String>,
        verifying_contract: Option<String>,
        domain: Option<String>,
        primary_type: String,
        json: String,
        grants: Vec<Grant>,
    }
);
record!(
    /// A reshare to other members or another threshold.
    Resharing { key: Key, signers: Vec<String>, new_threshold: u16, new_members: Vec<String>, }
);
record!(
    KeyShareSigning { checks: Vec<KeyShareCheck>, }
);
record!(
    /// The check-up of a single share.
    KeyShareCheck { key: Key, message: String, }
);

#[allow(clippy::derivable_impls, reason = "the enum is a macro's")]
impl Default for Origin {
    fn default() -> Self {
        Self::Claim
    }
}

impl Default for Operation {
    fn default() -> Self {
        Self::Other("nothing".into())
    }
}

#[allow(clippy::derivable_impls, reason = "the enum is a macro's")]
impl Default for Intent {
    fn default() -> Self {
        Self::Opaque
    }
}

/// Parses a file's text. Errors name line and column.
pub(super) fn parse(text: &str) -> Result<host::Task, countersign_strict::DocumentError> {
    countersign_strict::json::<Task>(text.as_bytes()).map(Meant::meant)
}

/// The kinds of tasks that can be printed as a starting point.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Example {
    /// Make a 2-of-3 key.
    Keygen,
    /// Sign a transfer on Ethereum.
    Keysign,
    /// Sign a text message.
    Message,
    /// Sign a bare digest.
    Blind,
    /// Move a key to other nodes.
    Keyreshare,
    /// Check a share of a key.
    Keysharesign,
}

impl Example {
    pub(super) fn task(self) -> host::Task {
        self.written().meant()
    }

    /// Returns the contents of a task file.
    pub(super) fn to_json(self) -> String {
        let mut json = serde_json::to_string_pretty(&self.written()).unwrap_or_default();
        json.push('\n');
        json
    }

    fn written(self) -> Task {
        Task {
            id: "00112233445566778899aabbccddeeff".into(),
            attempt: 1,
            requester: Principal {
                id: "csr1…".into(),
                name: "treasury".into(),
            },
            coordinator: Principal {
                id: "csc1…".into(),
                name: "coordinator.example:7443".into(),
            },
            node: "csn1…a".into(),
            operation: self.operation(),
            extra: vec![Statement {
                name: "reference".into(),
                value: "invoice 17".into(),
                origin: Origin::Claim,
            }],
            ..Task::default()
        }
    }

    fn operation(self) -> Operation {
        match self {
            Self::Keygen => Operation::Keygen(Keygen {
                scheme: "ecdsa-secp256k1".into(),
                curve: "secp256k1".into(),
                threshold: 2,
                members: members(),
            }),
            Self::Keysign => signing("evm-transaction", false, Intent::Transaction(transfer())),
            Self::Message => signing(
                "message",
                false,
                Intent::Message(Bytes(b"pay 3 to bob".to_vec())),
            ),
            Self::Blind => signing("digest", true, Intent::Opaque),
            Self::Keyreshare => Operation::Reshare(Resharing {
                key: key(),
                signers: members()[..2].to_vec(),
                new_threshold: 2,
                new_members: members(),
            }),
            Self::Keysharesign => Operation::KeyShareSign(KeyShareSigning {
                checks: vec![KeyShareCheck {
                    key: key(),
                    message: "check-up of this month".into(),
                }],
            }),
        }
    }
}

fn members() -> Vec<String> {
    ["csn1…a", "csn1…b", "csn1…c"].map(String::from).to_vec()
}

fn key() -> Key {
    Key {
        id: "csk1…".into(),
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        root_public_key: "xpub…".into(),
        threshold: 2,
        members: members(),
    }
}

fn signing(payload: &str, blind: bool, intent: Intent) -> Operation {
    let input = Input {
        path: "m/44/60/0/0/0".into(),
        public_key: Bytes([&[2][..], &[0x11; 32]].concat()),
        digest: Bytes(vec![0x22; 32]),
        tweak: None,
    };
    let signers = members()[..2].to_vec();
    Operation::Sign(Signing {
        key: key(),
        signers,
        inputs: vec![input],
        payload: payload.into(),
        blind,
        intent,
    })
}

fn transfer() -> Transaction {
    Transaction {
        chain: "eip155:1".into(),
        sources: vec!["0x1111111111111111111111111111111111111111".into()],
        destinations: vec![Destination {
            address: "0x2222222222222222222222222222222222222222".into(),
            amount: "1000000000000000000".into(),
            ..Destination::default()
        }],
        fee: Some("420000000000000".into()),
        ..Transaction::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use countersign_protocol::OperationKind;

    use super::*;

    #[test]
    fn every_example_can_be_read_back() {
        for example in Example::value_variants() {
            let task = parse(&example.to_json()).unwrap();
            assert_eq!(task.operation, example.operation().meant());
        }
    }

    #[test]
    fn every_operation_has_an_example() {
        for kind in OperationKind::ALL {
            assert!(
                Example::from_str(kind.name(), false).is_ok(),
                "write an example of {kind}"
            );
        }
    }

    #[test]
    fn a_file_uses_the_names_of_the_contract_and_misspelt_ones_are_refused() {
        let text = r#"{"operation": {"sign": {"key": {"root-public-key": "xpub1"}, "intent": {"message": "0x6869"}}}}"#;
        let host::Operation::Sign(signing) = parse(text).unwrap().operation else {
            panic!("a signature")
        };
        assert_eq!(signing.key.root_public_key, "xpub1");
        assert_eq!(signing.intent, host::Intent::Message(b"hi".to_vec()));
        let error = parse(r#"{"operation": {"sign": {"blnd": true}}}"#)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`blnd`") && error.contains("line 1"),
            "{error}"
        );
        assert!(
            parse(r#"{"raw": "0xzz"}"#)
                .unwrap_err()
                .to_string()
                .contains("hexadecimal")
        );
    }
}
