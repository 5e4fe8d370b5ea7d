//! Wallets in tools of others, unmodified: `countersign connect` between them and the nodes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::bip32::{ChildNumber, Xpub};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{
    Address, Amount, CompressedPublicKey, KnownHrp, NetworkKind, OutPoint, Psbt, ScriptBuf,
    Transaction, TxIn, TxOut, Witness, consensus,
};
use countersign_protocol::KeyDescriptor;
use countersign_tests::Cluster;
use countersign_tests::process::{self, Daemon};
use countersign_verify::address;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::PATH;
use crate::payments::{anvil, child, foundry, installed, origin, outsider};

/// The calls of Bitcoin Core, as its `src/external_signer.cpp` makes them for these RPCs.
const CORE: &str = include_str!("bitcoin-core.json");
/// What each output of the regtest chain's first block is worth.
const VALUE: u64 = 1_000_000_000;

/// Every tool takes the endpoint for a node with an unlocked account.
pub fn tools_of_ethereum_move_a_balance(cluster: &Cluster, wallet: &KeyDescriptor) {
    let folder = cluster.dir();
    let mut chain = Command::new(anvil());
    chain.args(["--host", "127.0.0.1", "--port", "0", "--accounts", "1"]);
    let chain = Daemon::start(&mut chain, &folder.join("anvil.log")).unwrap();
    let listening = find(&chain, |line| line.strip_prefix("Listening on "));
    let chain_url = format!("http://{listening}");
    let mut connect = Command::new(process::program("countersign").unwrap());
    connect.arg("--config").arg(cluster.profile());
    connect.args([
        "connect",
        "evm",
        &wallet.name,
        "--path",
        PATH,
        "--rpc",
        &chain_url,
    ]);
    connect.args(["--listen", "127.0.0.1:0", "--chain-id", "31337"]);
    let mut endpoint = Daemon::start(&mut connect, &folder.join("connect.log")).unwrap();
    let url = find(&endpoint, |line| {
        line.starts_with("http://").then_some(line)
    });
    let account = address::evm(&child(wallet, PATH)).unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/outsiders/tools.cjs");
    let told = outsider(
        "tools",
        &json!({
            "chain": chain_url, "endpoint": url, "from": account, "to": format!("0x{}", "6b".repeat(20)),
            "script": script, "packages": installed(), "cast": foundry("cast"),
        }),
    );
    for (value, tool) in (1..).zip(["ethers", "viem", "web3", "cast"]) {
        let log = || format!("{tool}: {told}\n{}\n{}", endpoint.log(), cluster.logs());
        let of_tool = &told[tool];
        assert_eq!(
            (&of_tool["status"], &of_tool["received"]),
            (&json!(1), &json!(value)),
            "{}",
            log()
        );
        let mut addresses = of_tool["signers"].as_array().unwrap().clone();
        addresses.push(of_tool["account"].clone());
        let ours = |address: &Value| address.as_str().unwrap().eq_ignore_ascii_case(&account);
        assert!(addresses.iter().all(ours), "{}", log());
    }
    assert_eq!(
        (&told["nonce"], &told["page"], &told["without token"]),
        (&json!(4), &json!(403), &json!(401)),
        "{told}"
    );
    let ended = endpoint.terminate(Duration::from_secs(20)).unwrap();
    assert!(ended.success(), "{}", endpoint.log());
}

/// Core's calls, in the order in which it makes them; the chain takes what comes of them.
pub fn bitcoin_core_spends_by_its_external_signer(cluster: &Cluster, wallet: &KeyDescriptor) {
    let core = Core::new(cluster, wallet);
    let fingerprint = &core.ask("enumeratesigners", &[])[0]["fingerprint"];
    let fingerprint = fingerprint.as_str().unwrap();
    let account = core.ask("createwallet", &[("$FINGERPRINT", fingerprint)]);
    let keys: Vec<Key> = account["receive"]
        .as_array()
        .unwrap()
        .iter()
        .map(|descriptor| Key::first_of(descriptor.as_str().unwrap()))
        .collect();
    assert_eq!(keys.len(), account["internal"].as_array().unwrap().len());
    for key in &keys {
        let descriptor = key.descriptor(fingerprint);
        let filled = [("$FINGERPRINT", fingerprint), ("$DESCRIPTOR", &descriptor)];
        let shown = core.ask("walletdisplayaddress", &filled);
        assert_eq!(shown["address"], key.address.to_string(), "{descriptor}");
    }
    let psbt = paying(&keys, wallet);
    let text = BASE64.encode(psbt.serialize());
    let filled = [("$FINGERPRINT", fingerprint), ("$PSBT", &text)];
    let signed = core.ask("send", &filled);
    assert_eq!(signed["complete"], true, "{signed}");
    let bytes = BASE64.decode(signed["psbt"].as_str().unwrap()).unwrap();
    let finished = Psbt::deserialize(&bytes).unwrap();
    assert_eq!(finished.unsigned_tx, psbt.unsigned_tx);
    the_chain_takes_it_and_not_its_alteration(&keys, finished.extract_tx().unwrap());
    core.refuses(&[("$FINGERPRINT", "00000000"), ("$PSBT", &text)]);
}

fn the_chain_takes_it_and_not_its_alteration(keys: &[Key], whole: Transaction) {
    let mut altered = whole.clone();
    let last = altered.input.last_mut().unwrap();
    let mut items = last.witness.to_vec();
    items[0][20] ^= 1;
    last.witness = Witness::from_slice(&items);
    let transactions = [&altered, &whole].map(consensus::encode::serialize_hex);
    let told = regtest(keys, &transactions);
    assert_eq!(told["taken"], json!([false, true]));
}

/// Mines a chain whose first block pays to these keys, and offers it the transactions.
fn regtest(keys: &[Key], transactions: &[String]) -> Value {
    let scripts = keys.iter().map(|key| hex::encode(key.script().as_bytes()));
    let scripts: Vec<String> = scripts.collect();
    outsider(
        "regtest",
        &json!({"scripts": scripts, "transactions": transactions}),
    )
}

/// What Core makes for its wallet: all coins of these keys, to somebody else.
fn paying(keys: &[Key], wallet: &KeyDescriptor) -> Psbt {
    let coinbase = regtest(keys, &[])["coinbase"].as_str().unwrap().to_owned();
    let coinbase: Transaction = consensus::encode::deserialize_hex(&coinbase).unwrap();
    let txid = coinbase.compute_txid();
    let input = (0..).zip(keys).map(|(vout, _)| TxIn {
        previous_output: OutPoint { txid, vout },
        ..TxIn::default()
    });
    let spent = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: input.collect(),
        output: vec![TxOut {
            value: Amount::from_sat(VALUE * keys.len() as u64 - 10_000),
            script_pubkey: ScriptBuf::from([&[0, 20], &[0x11; 20][..]].concat()),
        }],
    };
    let mut psbt = Psbt::from_unsigned_tx(spent).unwrap();
    for ((input, key), output) in psbt.inputs.iter_mut().zip(keys).zip(&coinbase.output) {
        input.non_witness_utxo = Some(coinbase.clone());
        if key.form != "pkh" {
            input.witness_utxo = Some(output.clone());
        }
        if key.form == "sh" {
            input.redeem_script = Some(ScriptBuf::new_p2wpkh(&key.public.wpubkey_hash()));
        }
        let source = origin(wallet, &key.path);
        input.bip32_derivation.insert(key.public.0, source);
    }
    psbt
}

/// The first key of a descriptor for receiving, derived by another library.
struct Key {
    /// `pkh`, `sh` or `wpkh`.
    form: String,
    path: String,
    public: CompressedPublicKey,
    address: Address,
}

impl Key {
    fn first_of(descriptor: &str) -> Self {
        let form = descriptor.split('(').next().unwrap().to_owned();
        let (before, after) = descriptor.split_once(']').unwrap();
        let account = before.split_once('/').unwrap().1;
        let xpub: Xpub = after.split('/').next().unwrap().parse().unwrap();
        let steps = [0, 0].map(|index| ChildNumber::Normal { index });
        let child = xpub.derive_pub(&Secp256k1::verification_only(), &steps);
        let public = CompressedPublicKey(child.unwrap().public_key);
        let address = match form.as_str() {
            "pkh" => Address::p2pkh(public.pubkey_hash(), NetworkKind::Test),
            "sh" => Address::p2shwpkh(&public, NetworkKind::Test),
            "wpkh" => Address::p2wpkh(&public, KnownHrp::Regtest),
            other => panic!("{other} is no form of an ECDSA wallet"),
        };
        Self {
            form,
            path: format!("m/{account}/0/0"),
            public,
            address,
        }
    }

    fn script(&self) -> ScriptBuf {
        self.address.script_pubkey()
    }

    /// As Core infers it from the script.
    fn descriptor(&self, fingerprint: &str) -> String {
        let steps = self.path.trim_start_matches('m');
        let key = format!("[{fingerprint}{steps}]{}", self.public);
        let text = match self.form.as_str() {
            "sh" => format!("sh(wpkh({key}))"),
            form => format!("{form}({key})"),
        };
        let sum = countersign_verify::descriptor::checksum(&text).unwrap();
        format!("{text}#{sum}")
    }
}

#[derive(Deserialize)]
struct Call {
    by: String,
    args: Vec<String>,
    stdin: String,
}

/// Bitcoin Core with our program under `-signer`.
struct Core {
    profile: PathBuf,
    wallet: String,
    calls: BTreeMap<String, Call>,
}

impl Core {
    fn new(cluster: &Cluster, wallet: &KeyDescriptor) -> Self {
        let profile = cluster.dir().join("regtest.yaml");
        let text = std::fs::read_to_string(cluster.profile()).unwrap();
        std::fs::write(&profile, text + "chains: { bitcoin: regtest }\n").unwrap();
        let calls: Vec<Call> = serde_json::from_str(CORE).unwrap();
        Self {
            profile,
            wallet: wallet.name.clone(),
            calls: calls
                .into_iter()
                .map(|call| (call.by.clone(), call))
                .collect(),
        }
    }

    /// The first line of its output, as Core reads it.
    fn ask(&self, rpc: &str, filled: &[(&str, &str)]) -> Value {
        let (code, out, err) = self.run(rpc, filled);
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str(out.lines().next().unwrap()).unwrap()
    }

    /// Core shows the first line on stderr if there is another exit code than 0.
    fn refuses(&self, filled: &[(&str, &str)]) {
        let (code, out, err) = self.run("send", filled);
        let told: Value = serde_json::from_str(&out).unwrap();
        let reason = told["error"].as_str().unwrap();
        assert_eq!(code, 1, "{out}{err}");
        assert_eq!(
            err.lines().next(),
            Some(format!("error: {reason}").as_str())
        );
    }

    fn run(&self, rpc: &str, filled: &[(&str, &str)]) -> (i32, String, String) {
        let call = &self.calls[rpc];
        let fill = |text: &String| {
            filled.iter().fold(text.clone(), |text, (name, value)| {
                text.replace(name, value)
            })
        };
        let mut program = Command::new(process::program("countersign").unwrap());
        program.arg("--config").arg(&self.profile);
        program.args(["connect", "bitcoin", &self.wallet]);
        let mut program = program
            .args(call.args.iter().map(fill))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = program.stdin.take().unwrap();
        input.write_all(fill(&call.stdin).as_bytes()).unwrap();
        drop(input);
        let output = program.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

/// Waits for a line in a program's output.
fn find(program: &Daemon, wanted: impl Fn(&str) -> Option<&str>) -> String {
    for _ in 0..1200 {
        let log = program.log();
        if let Some(found) = log.lines().find_map(&wanted) {
            return found.trim().to_owned();
        }
        assert!(!program.has_ended(), "{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it does not start:\n{}", program.log())
}
