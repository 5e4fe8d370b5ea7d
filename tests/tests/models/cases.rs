//! A task for each operation and each kind of payload, and every event of its life.

use countersign_sdk::testing::{self, MockHost, TransactionBuilder};
use countersign_sdk::{
    End, Input, Intent, KeyShareCheck, NewKey, Operation, Origin, Participant, Rejection,
    ShareSignature, Signature, Stage, Statement, Success, Task, What,
};

const ETHEREUM: &str = "eip155:1";
const BITCOIN: &str = "bip122:000000000019d6689c085ae165831e93";
const SOLANA: &str = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp";
const BOB: &str = "0x5dC69B1Fbb13Bafd09af88a782F0F285772Ad5f8";
const USDT: &str = "0xdac17f958d2ee523a2206206994597c13d831ec7";

/// Every operation and payload kind, by name.
pub fn tasks() -> Vec<(String, Task)> {
    let mut tasks: Vec<(String, Task)> = [
        ("keygen", testing::keygen(2, &["csn1a", "csn1b", "csn1c"])),
        ("reshare", testing::reshare(3, &["csn1d", "csn1e", "csn1f"])),
        ("check-up", testing::check_up()),
    ]
    .map(|(name, task)| (name.to_owned(), task))
    .into();
    tasks.extend(
        payloads()
            .into_iter()
            .map(|(name, task)| (format!("sign {name}"), task)),
    );
    for scheme in ["ed25519", "schnorr-secp256k1", "taproot"] {
        tasks.push((format!("sign by {scheme}"), of_scheme(scheme)));
    }
    let claimed = tasks
        .iter()
        .map(|(name, task)| (format!("{name}, with claims"), with_claims(task)));
    let claimed: Vec<_> = claimed.collect();
    tasks.extend(claimed);
    tasks
}

fn payloads() -> Vec<(&'static str, Task)> {
    let transaction = testing::transaction;
    let token = format!("{ETHEREUM}/erc20:{USDT}");
    let erc20 = |asset: &str| {
        transaction(ETHEREUM)
            .pays_asset(asset, BOB, "2500000")
            .calls(USDT, &[0xA9, 0x05, 0x9C, 0xBB])
    };
    let signed = |builder: TransactionBuilder| unsigned(builder.fee("21000").task());
    let either = format!("{ETHEREUM}/token:{USDT}");
    let either = transaction(ETHEREUM)
        .calls(USDT, &[9, 5, 0xEA, 0xB3])
        .grants(BOB, &either, Some("7"));
    vec![
        (
            "evm payment",
            signed(transaction(ETHEREUM).pays(BOB, "1500000000000000000")),
        ),
        (
            "evm token",
            signed(erc20(&token).known_as("transfer(address,uint256)")),
        ),
        (
            "evm token without a name",
            signed(erc20("eip155:1/erc20:0xffff").known_as("transfer(address,uint256)")),
        ),
        (
            "evm call",
            signed(
                transaction(ETHEREUM)
                    .calls(USDT, &[1, 2, 3, 4])
                    .with_value("7"),
            ),
        ),
        ("evm creation", signed(transaction(ETHEREUM).creates())),
        (
            "evm approval",
            signed(
                transaction(ETHEREUM)
                    .calls(USDT, &[9, 5, 0xEA, 0xB3])
                    .grants(BOB, &token, None),
            ),
        ),
        (
            "evm payment, fee beyond 64 bits",
            unsigned(
                transaction(ETHEREUM)
                    .pays(BOB, "1")
                    .fee("9223372036854775808")
                    .task(),
            ),
        ),
        (
            "evm call and a delegation",
            signed(erc20(&token).known_as("mint()").grants(BOB, "", None)),
        ),
        (
            "evm approval of what may be a token's number",
            signed(either),
        ),
        ("eip7702", authorisation()),
        (
            "evm on a chain without a name",
            signed(transaction("eip155:137").pays(BOB, "1")),
        ),
        (
            "psbt",
            signed(
                transaction(BITCOIN)
                    .pays("bc1qbob", "1000")
                    .change("bc1qown", "5"),
            ),
        ),
        (
            "psbt of many",
            signed(
                transaction(BITCOIN)
                    .pays("bc1qbob", "1000")
                    .pays("bc1qeve", "2000"),
            ),
        ),
        (
            "psbt to oneself",
            signed(transaction(BITCOIN).change("bc1qown", "5")),
        ),
        (
            "solana payment",
            signed(
                transaction(SOLANA)
                    .pays("Bob", "5000")
                    .calls("1111", &[2])
                    .known_as("Transfer"),
            ),
        ),
        (
            "solana payment as wallets make it",
            signed(of_a_solana_wallet()),
        ),
        (
            "solana grant",
            signed(
                transaction(SOLANA)
                    .pays("Bob", "5000")
                    .grants("Eve", "", None),
            ),
        ),
        (
            "solana call",
            signed(transaction(SOLANA).calls("Program", &[1])),
        ),
        ("eip191", testing::message("eip191", "hi")),
        ("eip712", typed_data()),
        ("bitcoin-message", testing::message("bitcoin-message", "hi")),
        ("psbt with its message", testing::message("psbt", "hi")),
        ("message", testing::message("message", "hi")),
        ("digest", testing::blind()),
        ("digests", of_many_inputs()),
    ]
}

/// A payment between calls that set its fee, its nonce and its memo.
fn of_a_solana_wallet() -> TransactionBuilder {
    let budget = "ComputeBudget111111111111111111111111111111";
    testing::transaction(SOLANA)
        .calls("11111111111111111111111111111111", &[4])
        .known_as("AdvanceNonceAccount")
        .calls(budget, &[2])
        .known_as("SetComputeUnitLimit")
        .calls(budget, &[3])
        .known_as("SetComputeUnitPrice")
        .pays("Bob", "5000")
        .calls("11111111111111111111111111111111", &[2])
        .known_as("Transfer")
        .with_value("5000")
        .calls("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr", b"7")
        .known_as("Memo")
}

/// The node's view of a single authorisation of EIP-7702.
fn authorisation() -> Task {
    let mut task = unsigned(
        testing::transaction(ETHEREUM)
            .grants(BOB, "", None)
            .fee("0")
            .task(),
    );
    if let Operation::Sign(signing) = &mut task.operation {
        signing.payload = "eip7702".into();
    }
    task
}

fn unsigned(mut task: Task) -> Task {
    if let Operation::Sign(signing) = &mut task.operation
        && let Intent::Transaction(transaction) = &mut signing.intent
    {
        transaction.unsigned = vec![0x02, 0xEF, 0x01];
    }
    task
}

fn typed_data() -> Task {
    let mut task = testing::typed_data(Some(ETHEREUM), Some(USDT), "Permit", Vec::new());
    if let Operation::Sign(signing) = &mut task.operation
        && let Intent::TypedData(data) = &mut signing.intent
    {
        data.json = r#"{"types": {"EIP712Domain": []}, "domain": {"chainId": 1}, "primaryType": "Permit", "message": {}}"#.into();
    }
    task
}

fn of_many_inputs() -> Task {
    let mut task = testing::signing_of("digests", Intent::Opaque);
    if let Operation::Sign(signing) = &mut task.operation {
        signing.blind = true;
        signing.inputs.push(Input {
            tweak: Some(vec![0xCD; 32]),
            ..signing.inputs[0].clone()
        });
    }
    task
}

fn of_scheme(scheme: &str) -> Task {
    let mut task = testing::message("message", "hi");
    if let Operation::Sign(signing) = &mut task.operation {
        signing.key.scheme = scheme.into();
        signing.key.curve = if scheme == "ed25519" {
            "ed25519"
        } else {
            "secp256k1"
        }
        .into();
    }
    task
}

/// Adds claims that agree with the node and that contradict it. Claims about bare digests stay
/// where they are, and so must be of the reader's vocabulary.
fn with_claims(task: &Task) -> Task {
    let claim = |name: &str, value: &str| Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Claim,
    };
    let proper = r#"{"org": {"org_id": "o-1"}, "transaction": {"description": "rent", "category": ["rent"]}}"#;
    let against = r#"{"org": {"org_id": "o-1"}, "note": "rent", "coin": "DUST", "fee": "1", "gas_price": "1", "decimal": "8",
                      "transaction": {"description": "rent", "token_id": 1, "fee": "none", "category": ["rent"]}}"#;
    let extra = if task.signing().is_some_and(|signing| signing.blind) {
        proper
    } else {
        against
    };
    Task {
        extra: vec![claim("reference", "order-7"), claim("extra-info", extra)],
        ..task.clone()
    }
}

/// Every event: the stages and ends of each operation, and a ping.
pub fn events() -> Vec<(String, Option<Task>, What)> {
    let mut events = vec![("ping".to_owned(), None, What::Ping)];
    for (name, task) in tasks() {
        for (stage, what) in life() {
            events.push((format!("{name}: {stage}"), Some(task.clone()), what));
        }
        let success = success(&task.operation);
        events.push((
            format!("{name}: succeeded"),
            Some(task),
            What::Succeeded(success),
        ));
    }
    events
}

fn life() -> [(&'static str, What); 7] {
    let rejection = Rejection {
        code: "limit".into(),
        reason: "too much".into(),
    };
    [
        ("created", What::Created),
        ("approving", What::Updated(Stage::Approving)),
        ("waiting", What::Updated(Stage::Waiting)),
        ("processing", What::Updated(Stage::Processing)),
        ("declined", What::Failed(End::Declined(rejection))),
        ("failed", What::Failed(End::Failed("a signer left".into()))),
        (
            "cancelled",
            What::Failed(End::Cancelled("by the requester".into())),
        ),
    ]
}

fn success(operation: &Operation) -> Success {
    match operation {
        Operation::Keygen(_) | Operation::Reshare(_) => Success::Key(NewKey {
            key: testing::key(),
            chain_code: vec![7; 32],
            created_at: MockHost::NOW,
            participants: vec![Participant {
                node: "csn1a".into(),
                share_id: "1".into(),
                share_public_key: vec![2; 33],
            }],
        }),
        Operation::Sign(signing) => {
            let recovery_id = (signing.key.scheme == "ecdsa-secp256k1").then_some(1);
            let signature = |input: &Input| Signature {
                path: input.path.clone(),
                digest: input.digest.clone(),
                tweak: input.tweak.clone(),
                signature: vec![0xCD; 64],
                recovery_id,
            };
            Success::Signatures(signing.inputs.iter().map(signature).collect())
        }
        Operation::KeyShareSign(signing) => {
            let signature = |check: &KeyShareCheck| ShareSignature {
                key: check.key.id.clone(),
                message: check.message.clone(),
                digest: vec![0xAB; 32],
                signature: vec![0xCD; 64],
            };
            Success::KeyShares(signing.checks.iter().map(signature).collect())
        }
        Operation::Other(name) => panic!("{name} is not ordered here"),
    }
}
