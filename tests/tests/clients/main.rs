//! The clients for Python and Node, as they are installed, against real nodes: they make wallets,
//! have payments and messages signed, some after a person's approval, follow them by the stream of
//! events through a restart of the coordinator, verify webhook deliveries, and believe each other's
//! wallets and those of the Rust client. Programs of others judge what was signed.
//!
//! `just clients` builds and installs them, `just outsiders` the judges. A script asks for what is
//! not a client's to do by a line of JSON, and reads the answer as a line.

#[path = "../shared/payments.rs"]
mod payments;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bitcoin::{Transaction, Witness, consensus};
use countersign_client::NewWallet;
use countersign_protocol::{Committee, KeyDescriptor, KeyId, Scheme};
use countersign_tests::process::{expect_success, program};
use countersign_tests::{Blueprint, Cluster, Plugins, PrimeSource};
use countersign_verify::address;
use serde_json::{Value, json};

use payments::{
    PATHS, SOL, anvil, changed, child, evm_transfer, outsider, solana_transfer, spending_by_hash,
    spent,
};

const EVM_PATH: &str = "m/44/60/0/0/7";
const SOLANA_PATH: &str = "m/44/501/0";

#[tokio::test(flavor = "multi_thread")]
async fn python_and_node_order_verify_and_follow_and_all_clients_believe_the_same() {
    let blueprint = Blueprint {
        plugins: Plugins::Unguarded,
        primes: PrimeSource::Fixture,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::prepare(blueprint).await.unwrap();
    let admin = make_admin(&cluster);
    let signed = let_requester_sign(&cluster);
    let ann = let_ann_vote(&cluster);
    cluster.start_all().await.unwrap();
    // Of two nodes: what they prepare for ECDSA takes most of this test's time.
    let order = NewWallet {
        committee: Committee::new(cluster.ids(&[0, 1])).unwrap(),
        ..cluster
            .new_wallet("treasury", Scheme::EcdsaSecp256k1, 2)
            .unwrap()
    };
    let treasury = cluster.client.create_wallet(&order, |_| {}).await.unwrap();
    let python = run(
        "python/bin/python",
        "end_to_end.py",
        &mut cluster,
        &treasury,
        [&admin, &signed, &ann],
    )
    .await;
    let node = run(
        "node",
        "end_to_end.mjs",
        &mut cluster,
        &treasury,
        [&admin, &signed, &ann],
    )
    .await;

    // The book is shared with Python; a wallet of Node's is believed by the profile.
    let made = cluster.client.find_wallet("from-python").await.unwrap();
    assert_eq!(made.key, id(&python));
    let met = cluster.client.wallet(id(&node)).await.unwrap();
    for (wallet, told) in [(made, python), (met, node)] {
        assert_eq!(wallet.generation, 1);
        assert_eq!(told["root"], hex::encode(&wallet.root_public_key));
        let task = told["task"].as_str().unwrap().parse().unwrap();
        let task = cluster.client.task(task).await.unwrap();
        assert_eq!(task.summary.wallet, wallet.key);
    }
}

/// Adds an API key that may administer to the coordinator's configuration. Returns its file.
fn make_admin(cluster: &Cluster) -> PathBuf {
    make_api_key(cluster, "admin", "read,create,admin")
}

fn make_api_key(cluster: &Cluster, name: &str, scopes: &str) -> PathBuf {
    let mut new_key = Command::new(program("countersign-coordinator").unwrap());
    new_key.args(["api-key", "new", name, "--json", "--scope", scopes]);
    let made: Value = serde_json::from_str(&expect_success(&mut new_key).unwrap()).unwrap();
    let config = cluster.coordinator_config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}  - {}\n", made["entry"])).unwrap();
    let file = cluster.dir().join(format!("{name}.key"));
    std::fs::write(&file, made["key"].as_str().unwrap()).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    file
}

/// Lets the cluster's requester in by its signature. Returns a profile without an API key.
fn let_requester_sign(cluster: &Cluster) -> PathBuf {
    let config = cluster.coordinator_config();
    let text = std::fs::read_to_string(&config).unwrap();
    let requester = cluster.client.requester().unwrap();
    let entry = format!("{{name: signer, requester: {requester}, scopes: [read, create]}}");
    std::fs::write(&config, format!("{text}  - {entry}\n")).unwrap();
    let profile = std::fs::read_to_string(cluster.profile()).unwrap();
    let id = format!("coordinator_id: {}", cluster.coordinator_id());
    let signed = cluster.dir().join("signed.yaml");
    std::fs::write(&signed, profile.replace("api_key_file: api.key", &id)).unwrap();
    signed
}

/// Lists an approver at the coordinator, and lets her read and vote. Returns her profile, which
/// trusts the cluster's requester.
fn let_ann_vote(cluster: &Cluster) -> PathBuf {
    make_api_key(cluster, "ann", "read,vote");
    let mut new_key = Command::new(program("countersign").unwrap());
    new_key.args(["approver", "new", "--out"]);
    new_key.arg(cluster.dir().join("ann-votes.key"));
    let told = expect_success(&mut new_key).unwrap();
    let id = told
        .split_whitespace()
        .find(|word| word.starts_with("csv1"))
        .unwrap();
    let config = cluster.coordinator_config();
    let text = std::fs::read_to_string(&config).unwrap();
    let ann = format!("approvers:\n  - {{name: ann, keys: [{id}]}}\n");
    std::fs::write(&config, text + &ann).unwrap();
    let profile = std::fs::read_to_string(cluster.profile()).unwrap();
    let requester = cluster.client.requester().unwrap();
    let hers = profile
        .replace("api_key_file: api.key", "api_key_file: ann.key")
        .replace(
            "requester_key_file: requester.key",
            "approver_key_file: ann-votes.key",
        )
        .replace("wallets.json", "ann.json");
    let file = cluster.dir().join("ann.yaml");
    let text = format!("{hers}trusted_requesters:\n  desk: {requester}\n");
    std::fs::write(&file, text).unwrap();
    file
}

/// Runs a script in the environment that has nothing but the package and what it depends on, and
/// gives it what it asks for.
async fn run(
    program: &str,
    script: &str,
    cluster: &mut Cluster,
    treasury: &KeyDescriptor,
    [admin, signed, ann]: [&Path; 3],
) -> Value {
    let names: Vec<&str> = cluster.nodes.iter().map(|node| &*node.name).collect();
    let told = json!({
        "profile": cluster.profile(), "nodes": names, "treasury": treasury.key, "admin": admin, "signed": signed,
        "ann": ann,
        "evm_path": EVM_PATH, "bitcoin_paths": PATHS, "solana_path": SOLANA_PATH,
    });
    let log = cluster.dir().join(format!("{script}.log"));
    let mut running = command(program, script)
        .arg(told.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut answers = running.stdin.take().unwrap();
    let lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut last = Value::Null;
    for line in lines {
        last = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = match last["ask"].as_str() {
            Some("payments") => payments_for(treasury, &last),
            Some("judge") => judge(treasury, &last),
            Some("restart") => restart(cluster).await,
            _ => continue,
        };
        writeln!(answers, "{answer}").unwrap();
    }
    let ended = running.wait().unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(ended.success(), "{script}: {log}\n{}", cluster.logs());
    last
}

fn command(program: &str, script: &str) -> Command {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let installed = repository.join("dist/clients");
    assert!(
        installed.join("python/bin/python").exists() && installed.join("node").exists(),
        "the clients are not installed; run `just clients`"
    );
    // Node finds packages from the place of the script, which `just clients` copies.
    if program == "node" {
        let mut command = Command::new("node");
        command.arg(installed.join("node").join(script));
        command
    } else {
        let mut command = Command::new(installed.join(program));
        command.arg(repository.join("clients/tests").join(script));
        command
    }
}

/// Ends the coordinator at once, and starts it again.
async fn restart(cluster: &mut Cluster) -> Value {
    cluster.coordinator = None;
    cluster.start_coordinator().unwrap();
    cluster.wait_online().await.unwrap();
    json!({})
}

/// Payments from the addresses that the client derived, which must be those of the wallets.
fn payments_for(treasury: &KeyDescriptor, asked: &Value) -> Value {
    assert_eq!(asked["evm"], evm_address(treasury));
    let keys = PATHS.map(|path| hex::encode(child(treasury, path)));
    assert_eq!(asked["bitcoin"], json!(keys));
    let payer = hex::decode(asked["solana_key"].as_str().unwrap()).unwrap();
    assert_eq!(asked["solana"], address::solana(&payer).unwrap());
    json!({
        "evm": hex::encode(evm_transfer(0)),
        "psbt": hex::encode(spending_by_hash(treasury).serialize()),
        "solana": hex::encode(solana_transfer(&payer, &recipient())),
    })
}

/// The base point of Ed25519: an address is a point of the curve.
fn recipient() -> [u8; 32] {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    point
}

fn evm_address(treasury: &KeyDescriptor) -> String {
    address::evm(&child(treasury, EVM_PATH)).unwrap()
}

/// Has what was signed judged by others, together with copies in which one byte is changed.
fn judge(treasury: &KeyDescriptor, made: &Value) -> Value {
    let bytes = |name: &str| hex::decode(made[name].as_str().unwrap()).unwrap();
    mined_by_anvil(&evm_address(treasury), &bytes("evm"));
    taken_by_bitcoin_core(treasury, &bytes("bitcoin"));
    executed_by_solana(made["payer"].as_str().unwrap(), &bytes("solana"));
    json!({})
}

fn mined_by_anvil(sender: &str, transfer: &[u8]) {
    let raw = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    // Its last 32 bytes are s.
    let altered = changed(transfer, transfer.len() - 5);
    let told = outsider(
        "anvil",
        &json!({
            "anvil": anvil(), "sender": sender, "recipient": format!("0x{}", "5a".repeat(20)),
            "transactions": [raw(&altered), raw(transfer)],
        }),
    );
    assert!(told[0]["refused"].is_string(), "{told}");
    assert_eq!(told[1]["status"], "0x1", "{told}");
    let from = told[1]["from"].as_str().unwrap();
    assert!(from.eq_ignore_ascii_case(sender), "{told}");
    assert_eq!(told[1]["received"], "1000000000000000000", "{told}");
}

fn taken_by_bitcoin_core(treasury: &KeyDescriptor, bytes: &[u8]) {
    let mut altered: Transaction = consensus::deserialize(bytes).unwrap();
    let mut items = altered.input[0].witness.to_vec();
    items[0][20] ^= 1;
    altered.input[0].witness = Witness::from_slice(&items);
    let transactions = [
        hex::encode(bytes),
        consensus::encode::serialize_hex(&altered),
    ];
    let spent = spent(&spending_by_hash(treasury));
    let told = outsider(
        "kernel",
        &json!({"spent": spent, "transactions": transactions}),
    );
    assert_eq!(told, json!([[true, true], [false, true]]));
}

fn executed_by_solana(payer: &str, transaction: &[u8]) {
    let recipient = address::solana(&recipient()).unwrap();
    let told = outsider(
        "litesvm",
        &json!({
            "payer": payer, "recipient": recipient, "funds": 3 * SOL,
            // A count of one byte, then the signature.
            "transactions": [hex::encode(changed(transaction, 40)), hex::encode(transaction)],
        }),
    );
    let failed = told[0]["failed"].as_str().unwrap();
    assert!(failed.contains("SignatureFailure"), "{told}");
    assert_eq!(
        (&told[1]["failed"], &told[1]["recipient"]),
        (&Value::Null, &json!(SOL)),
        "{told}"
    );
}

fn id(told: &Value) -> KeyId {
    told["wallet"].as_str().unwrap().parse().unwrap()
}
