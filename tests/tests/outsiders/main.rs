//! Signatures of real nodes, accepted by programs of others: anvil mines them, Bitcoin Core's
//! script verification passes them, Solana's runtime executes them. With one byte of a signature
//! changed none of them does.
//!
//! `just outsiders` installs them; `outsiders.py` passes the signatures on and reports the results.

mod connect;
#[path = "../shared/payments.rs"]
mod payments;

use bitcoin::hashes::Hash as _;
use bitcoin::{CompressedPublicKey, Psbt, ScriptBuf, TapNodeHash, Transaction, Witness, consensus};
use countersign_client::{BitcoinForm, SignOrder};
use countersign_protocol::{KeyDescriptor, Payload, PayloadKind, Scheme};
use countersign_tests::{Blueprint, Cluster, PrimeSource};
use countersign_verify::address;
use serde_json::{Value, json};

use payments::{
    CHAIN, PATHS, SOL, anvil, changed, child, evm_head, evm_transfer, list, number, origin,
    outsider, rlp, solana_transfer, spending, spending_by_hash, spent,
};

const PATH: &str = "m/44/60/0/0/7";

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_for_ecdsa_pays_on_anvil_by_the_rules_of_bitcoin_core_and_in_tools_of_others() {
    let (cluster, wallet) = wallet(PrimeSource::Fixture, Scheme::EcdsaSecp256k1).await;
    anvil_mines_a_transfer_and_a_delegation(&cluster, &wallet).await;
    let psbt = spending_by_hash(&wallet);
    the_kernel_takes_both_inputs(&cluster, &wallet, psbt).await;
    connect::tools_of_ethereum_move_a_balance(&cluster, &wallet);
    connect::bitcoin_core_spends_by_its_external_signer(&cluster, &wallet);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_for_taproot_pays_by_the_rules_of_bitcoin_core() {
    let (cluster, wallet) = wallet(PrimeSource::None, Scheme::Taproot).await;
    let keys = PATHS.map(|path| {
        CompressedPublicKey::from_slice(&child(&wallet, path))
            .unwrap()
            .0
            .into()
    });
    // The second output has scripts; the first has none.
    let roots = [None, Some(TapNodeHash::from_byte_array([9; 32]))];
    let secp = bitcoin::secp256k1::Secp256k1::verification_only();
    let scripts = std::array::from_fn(|at| ScriptBuf::new_p2tr(&secp, keys[at], roots[at]));
    let mut psbt = spending(&scripts);
    for (index, (input, path)) in psbt.inputs.iter_mut().zip(PATHS).enumerate() {
        (input.tap_internal_key, input.tap_merkle_root) = (Some(keys[index]), roots[index]);
        input
            .tap_key_origins
            .insert(keys[index], (vec![], origin(&wallet, path)));
    }
    the_kernel_takes_both_inputs(&cluster, &wallet, psbt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_for_ed25519_pays_in_solanas_runtime() {
    let (cluster, wallet) = wallet(PrimeSource::None, Scheme::Ed25519).await;
    let path = "m/44/501/0";
    let payer = child(&wallet, path);
    let recipient = child(&wallet, "m/44/501/1");
    let message = solana_transfer(&payer, &recipient);
    let signed = signed(&cluster, &wallet, path, PayloadKind::SolanaMessage, message).await;
    let told = outsider(
        "litesvm",
        &json!({
            "payer": address::solana(&payer).unwrap(),
            "recipient": address::solana(&recipient).unwrap(),
            "funds": 3 * SOL,
            // A count of one byte, then the signature.
            "transactions": [hex::encode(changed(&signed, 40)), hex::encode(&signed)],
        }),
    );
    assert!(
        told[0]["failed"]
            .as_str()
            .unwrap()
            .contains("SignatureFailure"),
        "{told}"
    );
    assert_eq!(
        (&told[0]["payer"], &told[0]["recipient"]),
        (&json!(3 * SOL), &Value::Null),
        "{told}"
    );
    assert_eq!(told[1]["failed"], Value::Null, "{told}");
    // The fee of one signature is 5,000 lamports.
    assert_eq!(
        (&told[1]["payer"], &told[1]["recipient"]),
        (&json!(2 * SOL - 5000), &json!(SOL)),
        "{told}"
    );
}

async fn anvil_mines_a_transfer_and_a_delegation(cluster: &Cluster, wallet: &KeyDescriptor) {
    let sender = address::evm(&child(wallet, PATH)).unwrap();
    let recipient = format!("0x{}", "5a".repeat(20));
    let sign = |kind, bytes| signed(cluster, wallet, PATH, kind, bytes);
    let transfer = sign(PayloadKind::EvmTransaction, evm_transfer(0)).await;
    // The account itself brings its authorisation, so that one is for the
    // nonce after the transaction's.
    let authorization = sign(PayloadKind::Eip7702, evm_authorization(2)).await;
    let delegation = sign(
        PayloadKind::EvmTransaction,
        evm_delegation(1, &authorization),
    )
    .await;
    // Its last 32 bytes are s.
    let altered = changed(&transfer, transfer.len() - 5);
    let raw = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let told = outsider(
        "anvil",
        &json!({
            "anvil": anvil(),
            "sender": sender,
            "recipient": recipient,
            "transactions": [raw(&altered), raw(&transfer), raw(&delegation)],
        }),
    );
    // Such a signature is by somebody else, who has nothing.
    assert!(told[0]["refused"].is_string(), "{told}");
    assert_eq!(
        (&told[0]["received"], &told[0]["nonce"]),
        (&json!("0"), &json!(0)),
        "{told}"
    );
    assert_eq!(
        (&told[1]["status"], &told[1]["nonce"]),
        (&json!("0x1"), &json!(1)),
        "{told}"
    );
    assert_eq!(told[1]["received"], "1000000000000000000", "{told}");
    assert!(
        told[1]["from"]
            .as_str()
            .unwrap()
            .eq_ignore_ascii_case(&sender),
        "{told}"
    );
    assert_eq!(
        (&told[2]["status"], &told[2]["nonce"]),
        (&json!("0x1"), &json!(3)),
        "{told}"
    );
    assert_eq!(
        told[2]["code"],
        format!("0xef0100{}", "77".repeat(20)),
        "{told}"
    );
}

/// Signs and finishes a payment from two outputs, and lets Bitcoin Core's rules judge
/// it and its alterations.
async fn the_kernel_takes_both_inputs(cluster: &Cluster, wallet: &KeyDescriptor, psbt: Psbt) {
    let bytes = signed(cluster, wallet, "m", PayloadKind::Psbt, psbt.serialize()).await;
    let whole: Transaction = consensus::deserialize(&bytes).unwrap();
    let altered = |index: usize| {
        let mut transaction = whole.clone();
        let mut items = whole.input[index].witness.to_vec();
        items[0][20] ^= 1;
        transaction.input[index].witness = Witness::from_slice(&items);
        consensus::encode::serialize_hex(&transaction)
    };
    let transactions = [hex::encode(&bytes), altered(0), altered(1)];
    let told = outsider(
        "kernel",
        &json!({"spent": spent(&psbt), "transactions": transactions}),
    );
    assert_eq!(told, json!([[true, true], [false, true], [true, false]]));
}

async fn wallet(primes: PrimeSource, scheme: Scheme) -> (Cluster, KeyDescriptor) {
    let cluster = Cluster::start(Blueprint {
        primes,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster.create_wallet("outsiders", scheme, 2).await.unwrap();
    (cluster, wallet)
}

/// Signs the payload and returns it in the form that its chain takes.
async fn signed(
    cluster: &Cluster,
    wallet: &KeyDescriptor,
    path: &str,
    kind: PayloadKind,
    bytes: Vec<u8>,
) -> Vec<u8> {
    let order = SignOrder::new(wallet.key, path.parse().unwrap(), Payload::new(kind, bytes));
    let made = cluster.client.sign(&order, |_| {}).await;
    let made = made.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
    let finished = cluster
        .client
        .finish(&order, &made, BitcoinForm::Transaction)
        .await
        .unwrap();
    assert_eq!(finished.missing, 0);
    finished.bytes
}

/// EIP-7702: the account acts by the code of 0x7777….
fn evm_authorization(nonce: u8) -> Vec<u8> {
    [
        &[5][..],
        &list(&[rlp(&CHAIN), rlp(&[0x77; 20]), rlp(&number(nonce))].concat()),
    ]
    .concat()
}

/// A transaction of type 4 that brings a signed authorisation and nothing else.
fn evm_delegation(nonce: u8, authorization: &[u8]) -> Vec<u8> {
    let rest = [
        rlp(&[0x5a; 20]),
        rlp(&[]),
        rlp(&[]),
        vec![0xc0],
        list(authorization),
    ]
    .concat();
    [&[4][..], &list(&[evm_head(nonce, 200_000), rest].concat())].concat()
}
