//! When a result is believed: what the coordinator and the nodes say is checked here from the ground up.
//!
//! Children are derived and signatures checked by libraries that sign nothing. Nothing here talks to anybody.

use countersign_protocol::{Announcement, KeyGen, KeyId, KeySign, Operation, Signed, SignedTask};

use crate::error::ClientError;

/// Checks a wallet by itself: it has the id that was asked for, a usable root key, and the marks of all its holders.
pub fn check_wallet(id: KeyId, wallet: &Announcement) -> Result<(), ClientError> {
    let bad = |reason: &str| Err(ClientError::Wallet { wallet: id, reason: reason.into() });
    if wallet.key != id {
        return bad("it has another id than the one that was asked for");
    }
    if extended_public_key(wallet).is_err() {
        return bad("its root key is no key of its scheme");
    }
    if !wallet.is_complete() {
        return bad("not every holder's mark is there and verifies");
    }
    Ok(())
}

/// Checks that the wallet is what this KeyGen ordered, and that its requester signed that order.
pub fn check_origin(wallet: &Announcement, order: &SignedTask) -> Result<(), String> {
    let task = order.parse().map_err(|error| error.to_string())?;
    let Operation::KeyGen(keygen) = &task.operation else { return Err("its task is no KeyGen".into()) };
    if !task.requester.verify(&SignedTask::signed_message(&order.bytes), &order.signature) {
        return Err("the order that made it is not signed by its requester".into());
    }
    if wallet.task != task.id || wallet.key != KeyId::of_task(&order.hash()) {
        return Err("it does not belong to its task".into());
    }
    check_as_ordered(wallet, keygen)
}

/// The text of a wallet's root key: `xpub…` or `cpub…`.
pub fn extended_public_key(wallet: &Announcement) -> Result<String, String> {
    let chain_code = wallet.chain_code.as_bytes();
    countersign_verify::extended_public_key(wallet.scheme, &wallet.root_public_key, chain_code)
        .map_err(|error| error.to_string())
}

/// Checks a signature against what was ordered, under the child key derived from the wallet.
pub fn check_signature(order: &KeySign, wallet: &Announcement, signed: &Signed) -> Result<(), String> {
    let (scheme, chain_code) = (wallet.scheme, wallet.chain_code.as_bytes());
    let path = order.path.steps();
    let (child, _) = countersign_verify::derive_public(scheme, &wallet.root_public_key, chain_code, path)
        .map_err(|error| error.to_string())?;
    let bytes = order.payload.signed_bytes(scheme);
    let verified = countersign_verify::verify(scheme, &child, &bytes, &signed.signature)
        .map_err(|error| error.to_string())?;
    let beside = signed.public_key == verified.verification_key() && signed.signed_bytes == bytes;
    if beside {
        Ok(())
    } else {
        Err("the key or the bytes beside the signature are not those ordered".into())
    }
}

fn check_as_ordered(wallet: &Announcement, keygen: &KeyGen) -> Result<(), String> {
    let facts = [
        ("name", wallet.name == keygen.name),
        ("scheme", wallet.scheme == keygen.scheme),
        ("committee", wallet.committee == keygen.committee),
        ("threshold", wallet.threshold == keygen.threshold),
    ];
    match facts.iter().find(|(_, fits)| !fits) {
        Some((fact, _)) => Err(format!("its {fact} is not the one that was ordered")),
        None => Ok(()),
    }
}
