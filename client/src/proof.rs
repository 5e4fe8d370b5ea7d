//! When a result is believed: what the coordinator and the nodes say is checked here from the
//! ground up.
//!
//! Children are derived and signatures checked by libraries that sign nothing. Nothing here talks
//! to anybody.

use countersign_payload::{BitcoinForm, DecodeError, Decoded, FinishError, Finished, Networks};
use countersign_protocol::{
    Announcement, DerivationPath, KeyId, Operation, Payload, Signed, SignedTask, Task, TaskError,
    TaskId,
};
use countersign_verify::{WrongResult, result};

use crate::api::TaskView;
use crate::client::SignOrder;
use crate::error::ClientError;

/// Why something that the coordinator tells is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disbelief {
    /// An order cannot be read.
    #[error(transparent)]
    Order(#[from] TaskError),
    /// An order is not text.
    #[error("its order is not text")]
    NotText,
    /// Nobody stands for an order.
    #[error("the order that made it is not signed by its requester")]
    Unsigned,
    /// A wallet comes from a task that makes none.
    #[error("its task is not a KeyGen")]
    NotAKeyGen,
    /// It is not what was ordered.
    #[error(transparent)]
    Result(#[from] WrongResult),
    /// What is told of a task is not of its order.
    #[error("its {0} is not the one that was ordered")]
    Fact(&'static str),
    /// A generation does not follow from the one before.
    #[error("what is told to follow its generation {0} does not prove that it does")]
    Gap(u32),
    /// Generations lead to another one.
    #[error("its generations do not lead to the one that is told of")]
    OtherEnd,
}

/// Checks a wallet by itself: it has the id that was asked for, a usable root key, and the marks of
/// all its holders.
pub fn check_wallet(id: KeyId, wallet: &Announcement) -> Result<(), ClientError> {
    let bad = |reason: &str| {
        Err(ClientError::Wallet {
            wallet: id,
            reason: reason.into(),
        })
    };
    if wallet.key != id {
        return bad("it has another id than the one that was asked for");
    }
    if result::root_key(wallet).is_err() {
        return bad("its root key is no key of its scheme");
    }
    if !wallet.is_complete() {
        return bad("not every holder's mark is there and verifies");
    }
    Ok(())
}

/// Reads an order and checks that the requester whom it names signed it. Who that is, it does not
/// judge.
pub fn check_requester(order: &SignedTask) -> Result<Task, Disbelief> {
    let task = order.parse()?;
    if !task
        .requester
        .verify(&SignedTask::signed_message(&order.bytes), &order.signature)
    {
        return Err(Disbelief::Unsigned);
    }
    Ok(task)
}

/// Checks that the wallet is what this KeyGen ordered, and that its requester signed that order.
pub fn check_origin(wallet: &Announcement, order: &SignedTask) -> Result<(), Disbelief> {
    let task = check_requester(order)?;
    let Operation::KeyGen(keygen) = &task.operation else {
        return Err(Disbelief::NotAKeyGen);
    };
    Ok(result::created(task.id, order.hash(), keygen, wallet)?)
}

/// Checks what a coordinator tells of a task against the order that it hands out with it: the order
/// is signed, and the summary is of that order. What became of it is still the coordinator's word.
pub fn check_told(id: TaskId, view: &TaskView) -> Result<(), Disbelief> {
    let order = view.order();
    let task = check_requester(&order)?;
    let summary = &view.summary;
    let operation = &task.operation;
    let wallet = match operation {
        Operation::KeyGen(_) => KeyId::of_task(&order.hash()),
        Operation::KeySign(keysign) => keysign.key,
        Operation::KeyReshare(reshare) => reshare.from.key,
        Operation::KeyShareSign(check_up) => check_up.key,
    };
    check_facts(&[
        ("id", task.id == id && summary.id == id),
        ("requester", summary.requester == task.requester),
        ("operation", summary.operation == operation.name()),
        ("wallet", summary.wallet == wallet),
        ("deadline", summary.not_after == task.not_after),
    ])
}

/// What a payload means to a wallet: which signatures it asks for, and what they do.
pub fn decode(
    wallet: &Announcement,
    path: &DerivationPath,
    payload: &Payload,
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    countersign_payload::decode(&wallet.into(), path, payload, networks)
}

/// What signatures make of the payload that they were ordered for.
pub fn finish(
    wallet: &Announcement,
    order: &SignOrder,
    networks: &Networks,
    signed: &Signed,
    form: BitcoinForm,
) -> Result<Finished, FinishError> {
    let signatures: Vec<&[u8]> = signed
        .signatures
        .iter()
        .map(|one| one.signature.as_slice())
        .collect();
    countersign_payload::finish(
        &wallet.into(),
        &order.path,
        &order.payload,
        networks,
        &signatures,
        form,
    )
}

/// Checks that each generation succeeds the one before, from the first, which is believed, to
/// `told`.
pub fn check_chain(
    first: &Announcement,
    rest: &[Announcement],
    told: &Announcement,
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
