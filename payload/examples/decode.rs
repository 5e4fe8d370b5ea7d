//! Decodes an Ethereum transaction: what is signed, and what it does.
//! `cargo run -p countersign-payload --example decode`.

use std::error::Error;

use countersign_payload::{Intent, Key, Networks, decode};
use countersign_protocol::{DerivationPath, Payload, PayloadKind, Scheme};
use countersign_verify::ExtendedPublicKey;

/// A wallet's root key.
const ROOT: &str = "xpub661MyMwAqRbcFS7KEDcTyCJPymrPtXLLuQ4Q9HmfSs6MoDQN4JUHisRL3ZWUtn8JjumsaQibtZBALcXkzRHpjsCS4obQaGCGG5qt4anbphu";
/// An unsigned EIP-1559 transaction that pays 0.01 ETH.
const TRANSACTION: &str = "02ef0180843b9aca008504a817c800825208\
                           945dc69b1fbb13bafd09af88a782f0f285772ad5f8872386f26fc1000080c0";

fn main() -> Result<(), Box<dyn Error>> {
    let root: ExtendedPublicKey = ROOT.parse()?;
    let key = Key {
        scheme: Scheme::EcdsaSecp256k1,
        root_public_key: root.public_key(),
        chain_code: root.chain_code(),
    };
    let path: DerivationPath = "m/44/60/0/0/0".parse()?;
    let payload = Payload::new(PayloadKind::EvmTransaction, hex::decode(TRANSACTION)?);

    let decoded = decode(&key, &path, &payload, &Networks::default())?;
    for input in &decoded.inputs {
        println!("{} signs {}", input.path, hex::encode(&input.signed_bytes));
    }
    let Intent::Transaction(transaction) = &decoded.intent else {
        return Err("not a transaction".into());
    };
    println!("chain: {}", transaction.chain);
    for source in &transaction.sources {
        println!("from: {source}");
    }
    for to in &transaction.destinations {
        println!("pays: {} to {}", to.amount, to.address);
    }
    println!(
        "fee: at most {}",
        transaction.fee.as_deref().unwrap_or("unknown")
    );

    // A transaction is not accepted as a message.
    let disguised = Payload::new(PayloadKind::Message, payload.bytes);
    match decode(&key, &path, &disguised, &Networks::default()) {
        Ok(_) => return Err("a transaction was accepted as a message".into()),
        Err(error) => println!("as a message: {} ({error})", error.code()),
    }
    Ok(())
}
