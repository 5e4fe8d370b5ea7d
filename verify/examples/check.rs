//! Derives a child key and its address from an extended public key, and verifies a signature:
//! `cargo run -p countersign-verify --example check`.

use std::error::Error;

use countersign_protocol::{DerivationPath, Scheme};
use countersign_verify::{ChildKey, ExtendedPublicKey, address};

/// A wallet's root key, as `countersign wallet show` prints it.
const ROOT: &str = "xpub661MyMwAqRbcFS7KEDcTyCJPymrPtXLLuQ4Q9HmfSs6MoDQN4JUHisRL3ZWUtn8JjumsaQibtZBALcXkzRHpjsCS4obQaGCGG5qt4anbphu";
/// RFC 8032, section 7.1, test 2: the signature of the single byte 0x72.
const PUBLIC_KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

fn main() -> Result<(), Box<dyn Error>> {
    let root: ExtendedPublicKey = ROOT.parse()?;
    let path: DerivationPath = "m/44/60/0/0/0".parse()?;
    let child = root.derive(path.steps())?;
    println!("{path}: {child}");
    println!("address: {}", address::evm(child.public_key())?);

    let public_key = hex::decode(PUBLIC_KEY)?;
    let signature = hex::decode(SIGNATURE)?;
    let key = ChildKey::new(Scheme::Ed25519, &public_key);
    let verified = key.verify(&[0x72], &signature)?;
    println!("valid: {}", hex::encode(verified.signature()));
    match key.verify(&[0x73], &signature) {
        Ok(_) => return Err("a signature of another message was accepted".into()),
        Err(error) => println!("another message: {error}"),
    }
    Ok(())
}
