//! The proof in a reported outcome: never more than `countersign_verify::result` finds in it.

use countersign_api::TaskResult;
use countersign_payload::{DecodeError, Input, Networks, decode};
use countersign_protocol::{Hash, KeyDescriptor, KeySign, NodeId, Operation, Outcome, Task};
use countersign_verify::WrongResult;
use countersign_verify::result;

/// An order, and the nodes that carry it out.
pub struct Order<'a> {
    /// The ordered task.
    pub task: &'a Task,
    /// The hash of its exact bytes.
    pub hash: Hash,
    /// The wallet that it uses, if any.
    pub wallet: Option<&'a KeyDescriptor>,
    /// The parties, in the order of their ids.
    pub parties: &'a [NodeId],
}

/// Why an outcome is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The result is not what was ordered.
    #[error(transparent)]
    Wrong(#[from] WrongResult),
    /// The payload cannot be decoded, so nobody knows what was to be signed.
    #[error(transparent)]
    Payload(#[from] DecodeError),
}

/// Extracts the proof from an outcome; `None` if the outcome alone proves no result. An error says
/// what is wrong with the claim.
pub fn check(
    order: &Order<'_>,
    from: &NodeId,
    outcome: &Outcome,
) -> Result<Option<TaskResult>, ProofError> {
    let inputs = match &order.task.operation {
        Operation::KeySign(keysign) if matches!(outcome, Outcome::Signed(_)) => {
            inputs(keysign, order.wallet.ok_or(WrongResult::WalletUnknown)?)?
        }
        // Nothing of theirs is signed; a signature as their result is refused below.
        Operation::KeySign(_)
        | Operation::KeyGen(_)
        | Operation::KeyReshare(_)
        | Operation::KeyShareSign(_) => Vec::new(),
    };
    let ordered = result::Order {
        task: order.task,
        hash: order.hash,
        wallet: order.wallet,
        parties: order.parties,
        inputs: &inputs,
    };
    ordered.check(from, outcome)?;
    Ok(match outcome {
        Outcome::Created(made) => Some(TaskResult::Created(Box::new(made.clone()))),
        Outcome::Signed(made) => Some(TaskResult::Signed(made.clone())),
        Outcome::Reshared(made) => Some(TaskResult::Reshared(Box::new(made.clone()))),
        // One of several.
        Outcome::Intact(_) => None,
        Outcome::Refused(_) | Outcome::Failed(_) => None,
    })
}

/// The signatures that a KeySign orders. The networks affect only the meaning, which
/// does not matter here.
pub fn inputs(keysign: &KeySign, wallet: &KeyDescriptor) -> Result<Vec<Input>, DecodeError> {
    let decoded = decode(
        &wallet.into(),
        &keysign.path,
        &keysign.payload,
        &Networks::default(),
    );
    Ok(decoded?.inputs)
}
