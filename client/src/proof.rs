//! When a result is believed: what the coordinator and the nodes say is checked here from the
//! ground up.
//!
//! Children are derived and signatures checked by libraries that sign nothing. Nothing here talks
//! to anybody.

use countersign_payload::{BitcoinForm, DecodeError, Decoded, FinishError, Finished, Networks};
use countersign_protocol::{
    Announcement, DerivationPath, KeyId, Operation, Payload, Signed, SignedTask, Task, TaskId,
};
use countersign_verify::result;

use crate::api::TaskView;
use crate::client::SignOrder;
use crate::error::ClientError;

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
pub fn check_requester(order: &SignedTask) -> Result<Task, String> {
    let task = order.parse().map_err(|error| error.to_string())?;
    if !task
        .requester
        .verify(&SignedTask::signed_message(&order.bytes), &order.signature)
    {
        return Err("the order that made it is not signed by its requester".into());
    }
    Ok(task)
}

/// Checks that the wallet is what this KeyGen ordered, and that its requester signed that order.
pub fn check_origin(wallet: &Announcement, order: &SignedTask) -> Result<(), String> {
    let task = check_requester(order)?;
    let Operation::KeyGen(keygen) = &task.operation else {
        return Err("its task is no KeyGen".into());
    };
    result::created(task.id, order.hash(), keygen, wallet).map_err(|error| error.to_string())
}

/// Checks what a coordinator tells of a task against the order that it hands out with it: the order
/// is signed, and the summary is of that order. What became of it is still the coordinator's word.
pub fn check_told(id: TaskId, view: &TaskView) -> Result<(), String> {
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
) -> Result<(), String> {
    let mut newest = first;
    for next in rest {
        if !next.succeeds(newest) {
            let number = newest.generation;
            return Err(format!(
                "what is told to follow its generation {number} does not prove that it does"
            ));
        }
        newest = next;
    }
    if newest.digest() == told.digest() {
        Ok(())
    } else {
        Err("its generations do not lead to the one that is told of".into())
    }
}

fn check_facts(facts: &[(&str, bool)]) -> Result<(), String> {
    match facts.iter().find(|(_, fits)| !fits) {
        Some((fact, _)) => Err(format!("its {fact} is not the one that was ordered")),
        None => Ok(()),
    }
}
