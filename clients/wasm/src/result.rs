//! Results of own orders, judged against the exact bytes of the order.

use countersign_protocol::{
    Intact, KeyDescriptor, KeyId, Operation, RequesterId, Scheme, Signed, TaskId,
};
use countersign_requester::profile::Chains;
use countersign_requester::proof;
use countersign_verify::result;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::order::Order;
use crate::pages::PinnedPages;

/// Signatures, as a coordinator reports them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedSigned {
    own: RequesterId,
    order: Order,
    /// The wallet as it is believed.
    wallet: KeyDescriptor,
    signed: Signed,
    #[serde(default)]
    chains: Chains,
    #[serde(default)]
    passkeys: PinnedPages,
}

/// Verified signatures: all that were ordered.
#[derive(Serialize)]
pub struct Verified {
    task: TaskId,
    wallet: KeyId,
    scheme: Scheme,
    signed: Signed,
}

/// Decodes the payload of the order again, and verifies each signature under the child key derived
/// here.
pub fn signed(claimed: ClaimedSigned) -> Result<Verified, Failure> {
    let (_, task) = claimed.order.of(claimed.own, &claimed.passkeys)?;
    let Operation::KeySign(sign) = &task.operation else {
        return Err(Failure::invalid("a signature for another operation"));
    };
    let wallet = claimed.wallet;
    if sign.key != wallet.key {
        return Err(Failure::invalid("the order is for another wallet"));
    }
    let networks = claimed.chains.networks().map_err(Failure::usage)?;
    let decoded = proof::decode(&wallet, &sign.path, &sign.payload, &networks)?;
    result::signed(&wallet, &decoded.inputs, &claimed.signed)?;
    Ok(Verified {
        task: task.id,
        wallet: wallet.key,
        scheme: wallet.scheme,
        signed: claimed.signed,
    })
}

/// A check-up, as a coordinator reports it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedIntact {
    own: RequesterId,
    order: Order,
    wallet: KeyDescriptor,
    intact: Vec<Intact>,
    #[serde(default)]
    passkeys: PinnedPages,
}

/// Verifies the proof of every node that was asked.
pub fn intact(claimed: ClaimedIntact) -> Result<Vec<Intact>, Failure> {
    let (order, task) = claimed.order.of(claimed.own, &claimed.passkeys)?;
    let Operation::KeyShareSign(check_up) = &task.operation else {
        return Err(Failure::invalid("a check-up for another operation"));
    };
    if check_up.key != claimed.wallet.key {
        return Err(Failure::invalid("the order is for another wallet"));
    }
    result::intact(
        &claimed.wallet,
        order.hash(),
        &check_up.nodes,
        &claimed.intact,
    )?;
    Ok(claimed.intact)
}
