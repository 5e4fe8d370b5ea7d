//! Verification of results: everything from the coordinator and the nodes is checked here
//! from the ground up.
//!
//! Children are derived and signatures checked by libraries that cannot sign. No I/O.

use countersign_payload::{BitcoinForm, DecodeError, Decoded, FinishError, Finished, Networks};
use countersign_protocol::{
    DerivationPath, KeyDescriptor, KeyId, Operation, Passkeys, Payload, RequesterId, Signed,
    SignedTask, Task, TaskError, TaskId, UnixMillis,
};
use countersign_verify::{WrongResult, result};
use serde::Deserialize;

use crate::error::BeliefError;

/// Why a statement of the coordinator is not believed.
#[allow(missing_docs, reason = "the messages describe the variants")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disbelief {
    #[error(transparent)]
    Order(#[from] TaskError),
    /// A passkey signed it, and the profile does not say on which pages it may.
    #[error(
        "it was ordered by the passkey {0}, and the profile has no `passkeys`; write there the pages of the organisation that ordered it"
    )]
    NoPasskeys(RequesterId),
    #[error("its order is not text")]
    NotText,
    #[error("the order that made it is not signed by its requester")]
    Unsigned,
    #[error("its task is not a KeyGen")]
    NotAKeyGen,
    /// The result is not what was ordered.
    #[error(transparent)]
    Result(#[from] WrongResult),
    /// The summary does not match its order.
    #[error("its {0} is not the one that was ordered")]
    Fact(&'static str),
    #[error("the generation reported after {0} does not prove that it follows it")]
    Gap(u32),
    #[error("its generations do not lead to the one reported")]
    OtherEnd,
}

/// Checks a wallet by itself: it has the requested id, a usable root key, and the acknowledgements
/// of all its holders.
pub fn check_wallet(id: KeyId, wallet: &KeyDescriptor) -> Result<(), BeliefError> {
    let bad = |reason: &str| Err(BeliefError::wallet(id, reason));
    if wallet.key != id {
        return bad("its id is not the one that was asked for");
    }
    if result::root_key(wallet).is_err() {
        return bad("its root key is not a key of its scheme");
    }
    if !wallet.has_all_acks() {
        return bad("not every holder's acknowledgement is there and verifies");
    }
    Ok(())
}

/// The text of a wallet's root key: `xpub…` (secp256k1) or `cpub…` (ed25519).
pub fn root_key(wallet: &KeyDescriptor) -> Result<String, BeliefError> {
    result::root_key(wallet).map_err(|wrong| BeliefError::wallet(wallet.key, wrong))
}

/// The pages on which passkeys may sign orders. Without any, no passkey's order is believed.
pub type PinnedPages<'a> = Option<&'a dyn Passkeys>;

/// Reads an order and checks that the requester named in it signed it. Does not judge who that is.
pub fn check_requester(order: &SignedTask, pages: PinnedPages<'_>) -> Result<Task, Disbelief> {
    let task = order.parse()?;
    match order.prove(&task.requester, pages) {
        Ok(()) => Ok(task),
        Err(TaskError::BadSignature) => Err(Disbelief::Unsigned),
        Err(TaskError::NoPasskeys(passkey)) => Err(Disbelief::NoPasskeys(passkey)),
        Err(error) => Err(error.into()),
    }
}

/// Checks that the wallet is what this KeyGen ordered, and that its requester signed that order.
pub fn check_origin(
    wallet: &KeyDescriptor,
    order: &SignedTask,
    pages: PinnedPages<'_>,
) -> Result<(), Disbelief> {
    let task = check_requester(order, pages)?;
    let Operation::KeyGen(keygen) = &task.operation else {
        return Err(Disbelief::NotAKeyGen);
    };
    Ok(result::created(task.id, order.hash(), keygen, wallet)?)
}

/// A task as a coordinator summarises it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the coordinator's API")]
pub struct Told {
    pub id: TaskId,
    pub requester: RequesterId,
    pub operation: String,
    pub wallet: KeyId,
    pub not_after: UnixMillis,
}

/// Checks a coordinator's summary of a task against the order that comes with it: the order is
/// signed, and the summary is of that order. The outcome is still the coordinator's word. Returns
/// what was ordered.
pub fn check_told(
    id: TaskId,
    told: &Told,
    order: &SignedTask,
    pages: PinnedPages<'_>,
) -> Result<Task, Disbelief> {
    let task = check_requester(order, pages)?;
    let operation = &task.operation;
    let wallet = match operation {
        Operation::KeyGen(_) => KeyId::of_task(&order.hash()),
        Operation::KeySign(keysign) => keysign.key,
        Operation::KeyReshare(reshare) => reshare.from.key,
        Operation::KeyShareSign(check_up) => check_up.key,
    };
    check_facts(&[
        ("id", task.id == id && told.id == id),
        ("requester", told.requester == task.requester),
        ("operation", told.operation == operation.name()),
        ("wallet", told.wallet == wallet),
        ("deadline", told.not_after == task.not_after),
    ])?;
    Ok(task)
}

/// Decodes a payload for a wallet: the signatures that it asks for, and their effect.
pub fn decode(
    wallet: &KeyDescriptor,
    path: &DerivationPath,
    payload: &Payload,
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    countersign_payload::decode(&wallet.into(), path, payload, networks)
}

/// Completes a payload with its signatures.
pub fn finish(
    wallet: &KeyDescriptor,
    path: &DerivationPath,
    payload: &Payload,
    networks: &Networks,
    signed: &Signed,
    form: BitcoinForm,
) -> Result<Finished, FinishError> {
    let signatures: Vec<&[u8]> = signed
        .signatures
        .iter()
        .map(|one| one.signature.as_slice())
        .collect();
    countersign_payload::finish(&wallet.into(), path, payload, networks, &signatures, form)
}

/// Checks that each generation succeeds the one before, from the first, which
/// is believed, to `told`.
pub fn check_chain(
    first: &KeyDescriptor,
    rest: &[KeyDescriptor],
    told: &KeyDescriptor,
) -> Result<(), Disbelief> {
    let mut newest = first;
    for next in rest {
        if !next.succeeds(newest) {
            return Err(Disbelief::Gap(newest.generation));
        }
        newest = next;
    }
    if newest.digest() == told.digest() {
        Ok(())
    } else {
        Err(Disbelief::OtherEnd)
    }
}

fn check_facts(facts: &[(&'static str, bool)]) -> Result<(), Disbelief> {
    match facts.iter().find(|(_, fits)| !fits) {
        Some((fact, _)) => Err(Disbelief::Fact(fact)),
        None => Ok(()),
    }
}
