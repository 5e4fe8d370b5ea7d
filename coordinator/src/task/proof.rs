//! When the result that a node reports is believed: never on its word.
//!
//! Every signature that the payload asks for must be there and verify under the child key derived here from the wallet's
//! root key; a new key must carry the marks of all its holders and be the one that the task ordered. Libraries that sign nothing do the checking.

use countersign_payload::{Input, Key, Networks, decode};
use countersign_protocol::{
    Announcement, Hash, InputSignature, KeyGen, KeyId, KeySign, Operation, Outcome, Signed, Task,
};
use countersign_verify::{derive_public, verify};

use super::record::Proof;

/// The proof in an outcome, or nothing if the outcome claims no result. An error says what is wrong with the claim.
pub fn check(
    task: &Task,
    hash: Hash,
    wallet: Option<&Announcement>,
    outcome: &Outcome,
) -> Result<Option<Proof>, String> {
    match (&task.operation, outcome) {
        (_, Outcome::Refused(_) | Outcome::Failed(_)) => Ok(None),
        (Operation::KeyGen(keygen), Outcome::Created(announcement)) => {
            check_created(task, keygen, hash, announcement)?;
            Ok(Some(Proof::Created(Box::new(announcement.clone()))))
        }
        (Operation::KeySign(keysign), Outcome::Signed(signed)) => {
            check_signed(keysign, wallet.ok_or("the wallet is not known here")?, signed)?;
            Ok(Some(Proof::Signed(signed.clone())))
        }
        (Operation::KeyGen(_), Outcome::Signed(_)) => Err("a signature for a KeyGen".into()),
        (Operation::KeySign(_), Outcome::Created(_)) => Err("a new key for a KeySign".into()),
    }
}

/// The text of a wallet's root key: `xpub…` or `cpub…`.
pub fn extended_public_key(wallet: &Announcement) -> Result<String, String> {
    countersign_verify::extended_public_key(
        wallet.scheme,
        &wallet.root_public_key,
        wallet.chain_code.as_bytes(),
    )
    .map_err(|error| error.to_string())
}

fn check_created(task: &Task, keygen: &KeyGen, hash: Hash, made: &Announcement) -> Result<(), String> {
    let facts = [
        ("key id", made.key == KeyId::of_task(&hash)),
        ("task", made.task == task.id),
        ("name", made.name == keygen.name),
        ("scheme", made.scheme == keygen.scheme),
        ("committee", made.committee == keygen.committee),
        ("threshold", made.threshold == keygen.threshold),
        ("generation", made.generation == 0),
        ("auxiliary information", made.aux.is_some() == keygen.scheme.needs_aux()),
    ];
    if let Some((fact, _)) = facts.iter().find(|(_, fits)| !fits) {
        return Err(format!("the {fact} of the new key is not the one that was ordered"));
    }
    extended_public_key(made)?;
    if made.is_complete() { Ok(()) } else { Err("not every holder's mark is there and verifies".into()) }
}

/// Every signature that was ordered, in order, each over the bytes that the payload itself gives.
fn check_signed(keysign: &KeySign, wallet: &Announcement, signed: &Signed) -> Result<(), String> {
    let inputs = inputs(keysign, wallet)?;
    if signed.signatures.len() != inputs.len() {
        return Err(format!(
            "{} signatures were ordered and {} reported",
            inputs.len(),
            signed.signatures.len()
        ));
    }
    inputs.iter().zip(&signed.signatures).try_for_each(|(input, made)| check_input(wallet, input, made))
}

fn check_input(wallet: &Announcement, input: &Input, made: &InputSignature) -> Result<(), String> {
    let (scheme, chain_code) = (wallet.scheme, wallet.chain_code.as_bytes());
    let derived = derive_public(scheme, &wallet.root_public_key, chain_code, input.path.steps());
    let (child, _) = derived.map_err(|error| error.to_string())?;
    let verified = verify(scheme, &child, &input.signed_bytes, &made.signature)
        .map_err(|_| "a signature does not verify")?;
    if made.path != input.path {
        return Err("the path beside a signature is not the one that was ordered".into());
    }
    if made.public_key != verified.verification_key() {
        return Err("the public key beside a signature is not the wallet's child key".into());
    }
    if made.signed_bytes != input.signed_bytes {
        return Err("the bytes beside a signature are not those of the task".into());
    }
    Ok(())
}

/// The signatures that a KeySign orders. The networks matter only to what they mean, which is not judged here.
pub fn inputs(keysign: &KeySign, wallet: &Announcement) -> Result<Vec<Input>, String> {
    let key = Key {
        scheme: wallet.scheme,
        root_public_key: &wallet.root_public_key,
        chain_code: wallet.chain_code.as_bytes(),
    };
    let decoded = decode(&key, &keysign.path, &keysign.payload, &Networks::default());
    Ok(decoded.map_err(|error| error.to_string())?.inputs)
}
