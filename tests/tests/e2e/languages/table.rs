//! Fifty tasks with the expected decisions of the templates' policy, whatever its language.

use countersign_host::{
    Call, Destination, Grant, Input, Intent, Key, KeyShareSigning, Keygen, Operation, Origin,
    Principal, Resharing, Signing, Statement, Task, Transaction, TypedData,
};
use serde_json::{Value, json};

/// More than 2^64 and not a double.
const MAX: &str = "100000000000000000001";
const ABOVE_MAX: &str = "100000000000000000002";
const SAFE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const OTHER_SAFE: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
const APPROVE: &str = "approve";
const UNSUPPORTED: &str = "plugin-failed:unsupported";
const TWO_TO_256_MINUS_1: &str =
    "115792089237316195423570985008687907853269984665640564039457584007913129639935";

/// One line of the table: the answer is `approve`, the code of a rejection, or the host's
/// code of a failure.
pub struct Line {
    pub name: &'static str,
    pub task: Task,
    pub answer: &'static str,
}

/// The policy's configuration.
pub fn config() -> Value {
    json!({
        "chains": ["eip155:1", "eip155:137", "bip122:000000000019d6689c085ae165831e93"],
        "addresses": [SAFE, OTHER_SAFE, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "Zürich 🔑"],
        "max_amount": MAX,
        "min_threshold": 2,
    })
}

pub fn table() -> Vec<Line> {
    let mut lines = transfers();
    lines.extend(amounts());
    lines.extend(transactions());
    lines.extend(other_signings());
    lines.extend(other_operations());
    lines
}

fn transfers() -> Vec<Line> {
    let to = |address: &'static str| vec![pay(address, "1")];
    vec![
        signing("a listed address", on("eip155:1", to(SAFE)), APPROVE),
        signing(
            "another listed address",
            on("eip155:1", to(OTHER_SAFE)),
            APPROVE,
        ),
        signing("another listed chain", on("eip155:137", to(SAFE)), APPROVE),
        signing(
            "a listed Bitcoin address",
            on(
                "bip122:000000000019d6689c085ae165831e93",
                to("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            ),
            APPROVE,
        ),
        signing(
            "a listed address in another script",
            on("eip155:1", to("Zürich 🔑")),
            APPROVE,
        ),
        signing(
            "an address in another normal form",
            on("eip155:1", to("Zu\u{308}rich 🔑")),
            "address-not-allowed",
        ),
        signing(
            "an unlisted address",
            on("eip155:1", to("0x0000000000000000000000000000000000000001")),
            "address-not-allowed",
        ),
        signing(
            "a listed address in other letters",
            on("eip155:1", to("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")),
            "address-not-allowed",
        ),
        signing(
            "a listed address and a blank",
            on(
                "eip155:1",
                to("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed "),
            ),
            "address-not-allowed",
        ),
        signing(
            "a listed address with a zero byte",
            on(
                "eip155:1",
                to("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\0"),
            ),
            "address-not-allowed",
        ),
        signing(
            "an empty address",
            on("eip155:1", to("")),
            "address-not-allowed",
        ),
        signing(
            "an unlisted chain",
            on("eip155:10", to(SAFE)),
            "chain-not-allowed",
        ),
        signing(
            "a chain that begins like a listed one",
            on("eip155:13", to(SAFE)),
            "chain-not-allowed",
        ),
        signing("an empty chain", on("", to(SAFE)), "chain-not-allowed"),
        signing(
            "two listed addresses",
            on("eip155:1", vec![pay(SAFE, "1"), pay(OTHER_SAFE, "2")]),
            APPROVE,
        ),
        signing(
            "the second address is unlisted",
            on("eip155:1", vec![pay(SAFE, "1"), pay("0xbad", "2")]),
            "address-not-allowed",
        ),
        signing(
            "change to an unlisted address",
            on("eip155:1", vec![pay(SAFE, "1"), change("0xown", ABOVE_MAX)]),
            APPROVE,
        ),
        signing(
            "nothing but change",
            on("eip155:1", vec![change("0xown", "7")]),
            APPROVE,
        ),
        signing("no destination", on("eip155:1", vec![]), APPROVE),
        signing(
            "a hundred listed destinations",
            on("eip155:1", vec![pay(SAFE, "1"); 100]),
            APPROVE,
        ),
    ]
}

fn amounts() -> Vec<Line> {
    let of = |amount: &'static str| on("eip155:1", vec![pay(SAFE, amount)]);
    vec![
        signing("nothing", of("0"), APPROVE),
        signing("exactly the limit", of(MAX), APPROVE),
        signing("one above the limit", of(ABOVE_MAX), "amount-too-high"),
        signing(
            "what a double rounds down to the limit",
            of("100000000000000000003"),
            "amount-too-high",
        ),
        signing("2^53 + 1", of("9007199254740993"), APPROVE),
        signing("2^64", of("18446744073709551616"), APPROVE),
        signing(
            "2^128",
            of("340282366920938463463374607431768211456"),
            "amount-too-high",
        ),
        signing("2^256 - 1", of(TWO_TO_256_MINUS_1), "amount-too-high"),
        signing(
            "leading zeros",
            of("0000000000000000000000000000000000000000000001"),
            APPROVE,
        ),
        signing(
            "a sum above the limit",
            on("eip155:1", vec![pay(SAFE, MAX), pay(OTHER_SAFE, "1")]),
            "amount-too-high",
        ),
        signing(
            "a sum that wraps 256 bits",
            on(
                "eip155:1",
                vec![pay(SAFE, TWO_TO_256_MINUS_1), pay(SAFE, "2")],
            ),
            "amount-too-high",
        ),
        signing("a negative amount", of("-1"), "amount-malformed"),
        signing("a sign", of("+1"), "amount-malformed"),
        signing("hexadecimal", of("0x10"), "amount-malformed"),
        signing("an exponent", of("1e3"), "amount-malformed"),
        signing("a fraction", of("1.0"), "amount-malformed"),
        signing("no digits", of(""), "amount-malformed"),
        signing("a blank before", of(" 1"), "amount-malformed"),
        signing("a line end after", of("1\n"), "amount-malformed"),
        signing("a separator", of("1_000"), "amount-malformed"),
        signing(
            "digits of another script",
            of("\u{663}"),
            "amount-malformed",
        ),
    ]
}

fn transactions() -> Vec<Line> {
    let call = Call {
        contract: SAFE.into(),
        selector: vec![0xa9, 5, 0x9c, 0xbb],
        method: Some("transfer(address,uint256)".into()),
        amount: "0".into(),
        data: vec![0xa9, 5, 0x9c, 0xbb],
    };
    let grant = Grant {
        spender: SAFE.into(),
        asset: String::new(),
        amount: None,
    };
    let token = Destination {
        asset: "eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7".into(),
        ..pay(SAFE, "1")
    };
    let plain = transaction("eip155:1", vec![pay(SAFE, "1")]);
    let with = |transaction: Transaction| Intent::Transaction(transaction);
    vec![
        signing(
            "a call",
            with(Transaction {
                calls: vec![call],
                ..plain.clone()
            }),
            "call-not-allowed",
        ),
        signing(
            "a right handed out",
            with(Transaction {
                grants: vec![grant],
                ..plain.clone()
            }),
            "call-not-allowed",
        ),
        signing("a token", on("eip155:1", vec![token]), "asset-not-allowed"),
        signing(
            "the address counts before the asset",
            on(
                "eip155:1",
                vec![Destination {
                    asset: "x".into(),
                    ..pay("0xbad", "1")
                }],
            ),
            "address-not-allowed",
        ),
        signing(
            "a memo changes nothing",
            on(
                "eip155:1",
                vec![Destination {
                    memo: Some("\u{202e}memo".into()),
                    ..pay(SAFE, "1")
                }],
            ),
            APPROVE,
        ),
    ]
}

fn other_signings() -> Vec<Line> {
    let typed = TypedData {
        chain: Some("eip155:1".into()),
        verifying_contract: None,
        domain: None,
        primary_type: "Permit".into(),
        json: "{}".into(),
        grants: vec![],
    };
    vec![
        signing(
            "a message",
            Intent::Message(b"hello".to_vec()),
            "not-a-transaction",
        ),
        signing("typed data", Intent::TypedData(typed), "not-a-transaction"),
        signing("bare digests", Intent::Opaque, "not-a-transaction"),
    ]
}

fn other_operations() -> Vec<Line> {
    let members = || vec!["csn1a".to_owned(), "csn1b".into(), "csn1c".into()];
    let keygen = |threshold| {
        let scheme = "ed25519".to_owned();
        Operation::Keygen(Keygen {
            curve: scheme.clone(),
            scheme,
            threshold,
            members: members(),
        })
    };
    let reshare = Resharing {
        key: key(),
        signers: members(),
        new_threshold: 3,
        new_members: members(),
    };
    vec![
        Line {
            name: "a key of enough nodes",
            task: task(keygen(2)),
            answer: APPROVE,
        },
        Line {
            name: "a key of one node",
            task: task(keygen(1)),
            answer: "threshold-too-low",
        },
        Line {
            name: "a move",
            task: task(Operation::Reshare(reshare)),
            answer: UNSUPPORTED,
        },
        Line {
            name: "a check-up",
            task: task(Operation::KeyShareSign(KeyShareSigning { checks: vec![] })),
            answer: UNSUPPORTED,
        },
        Line {
            name: "something new",
            task: task(Operation::Other("x".into())),
            answer: UNSUPPORTED,
        },
    ]
}

fn pay(address: &str, amount: &str) -> Destination {
    Destination {
        address: address.into(),
        asset: String::new(),
        amount: amount.into(),
        memo: None,
        change: false,
    }
}

fn change(address: &str, amount: &str) -> Destination {
    Destination {
        change: true,
        ..pay(address, amount)
    }
}

fn on(chain: &str, destinations: Vec<Destination>) -> Intent {
    Intent::Transaction(transaction(chain, destinations))
}

fn transaction(chain: &str, destinations: Vec<Destination>) -> Transaction {
    Transaction {
        chain: chain.into(),
        sources: vec!["0xsource".into()],
        destinations,
        calls: vec![],
        grants: vec![],
        fee: Some("21000".into()),
        unsigned: vec![2, 0xc0],
    }
}

fn signing(name: &'static str, intent: Intent, answer: &'static str) -> Line {
    let input = Input {
        path: "m/44/60/0/0/0".into(),
        public_key: vec![2; 33],
        digest: vec![7; 32],
        tweak: None,
    };
    let operation = Operation::Sign(Signing {
        key: key(),
        signers: vec!["csn1a".into(), "csn1b".into()],
        inputs: vec![input],
        payload: "evm-transaction".into(),
        blind: matches!(intent, Intent::Opaque),
        intent,
    });
    Line {
        name,
        task: task(operation),
        answer,
    }
}

fn key() -> Key {
    Key {
        id: "csk1".into(),
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        root_public_key: "xpub".into(),
        threshold: 2,
        members: vec!["csn1a".into(), "csn1b".into(), "csn1c".into()],
    }
}

fn task(operation: Operation) -> Task {
    Task {
        id: "00112233445566778899aabbccddeeff".into(),
        attempt: 1,
        received_at: 1_800_000_000_000,
        requester: Principal {
            id: "csr1".into(),
            name: "treasury".into(),
        },
        coordinator: Principal {
            id: "csc1".into(),
            name: "main".into(),
        },
        node: "csn1a".into(),
        operation,
        extra: vec![Statement {
            name: "reference".into(),
            value: "invoice 7".into(),
            origin: Origin::Claim,
        }],
        raw: b"{}".to_vec(),
    }
}
