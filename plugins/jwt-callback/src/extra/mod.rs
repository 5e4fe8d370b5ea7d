//! `extra_info`: the node's facts in the servers' vocabulary, and the requester's claims.
//!
//! The requester may supply members in the claim `extra-info`, a JSON object. If the node decoded
//! what is signed, and for every operation but a KeySign of bare digests, a claim stays in its
//! place only if it tells who ordered the task and why ([`v1::PASSED`], [`v2::PASSED`]). Every
//! other member of the vocabulary describes what is signed: it is the node's, or it is absent.
//! Readers trust these members as facts, so all other claims go to the member `claims`, whose name
//! shows what they are. A claim that contradicts a fact is logged.
//!
//! The node knows nothing about bare digests, so then the claims stay where the requester put them:
//! a server that is given the raw transaction can hash it itself.
//!
//! Amounts of v1 are in the asset's smallest unit, those of v2 in whole coins; chains and assets
//! have the names of the configuration's `assets`, else CAIP ids.

mod members;
mod v1;
mod v2;

use countersign_sdk::{
    Destination, Failure, Host, Intent, Level, Operation, Task, Transaction, json,
};
use serde_json::{Map, Value};

use crate::config::{Config, Version};
use crate::facts;
use members::Members;

/// Name of the claim with which a requester supplies members of `extra_info`.
const EXTRA_INFO: &str = "extra-info";
/// Name of the claim with the requester's own reference.
pub(crate) const REFERENCE: &str = "reference";
/// The name of the member that only the node writes.
const COUNTERSIGN: &str = "countersign";
/// The name of the member with the requester's other claims.
const CLAIMS: &str = "claims";

/// Builds the object. It is never empty, even if nothing is known, since servers reject that.
pub(crate) fn extra_info(
    config: &Config,
    task: &Task,
    version: Version,
    host: &impl Host,
) -> Result<Value, Failure> {
    let mut extra = Members::new(claimed(task)?);
    match version {
        Version::V1 => v1::write(&mut extra, config, task),
        Version::V2 => v2::write(&mut extra, config, task)?,
    }
    if !is_opaque(task) {
        let passed = match version {
            Version::V1 => v1::PASSED,
            Version::V2 => v2::PASSED,
        };
        extra.set_aside(passed, CLAIMS);
    }
    let facts = config.strict.then(|| facts::facts(task, &extra.overridden));
    extra.fact(COUNTERSIGN, facts);
    if !extra.overridden.is_empty() {
        let names = extra.overridden.join(" ");
        host.log(
            Level::Warn,
            "the requester's extra-info contradicts the node",
            &[("members", &names)],
        );
    }
    Ok(extra.into_value())
}

fn claimed(task: &Task) -> Result<Map<String, Value>, Failure> {
    let Some(supplied) = task.claim(EXTRA_INFO) else {
        return Ok(Map::new());
    };
    json::strict(supplied.as_bytes()).map_err(|error| {
        Failure::Unsupported(format!(
            "the claim `{EXTRA_INFO}` is not a JSON object: {error}"
        ))
    })
}

/// True if bare digests are to be signed, about which the node knows nothing.
fn is_opaque(task: &Task) -> bool {
    match &task.operation {
        Operation::Sign(signing) => match &signing.intent {
            Intent::Opaque => true,
            Intent::Transaction(_) | Intent::Message(_) | Intent::TypedData(_) => false,
        },
        Operation::Keygen(_)
        | Operation::Reshare(_)
        | Operation::KeyShareSign(_)
        | Operation::Other(_) => false,
    }
}

fn only_source(transaction: &Transaction) -> Option<&str> {
    match &transaction.sources[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// Returns the outgoing payments, if nothing else happens and all are of one asset, since these
/// vocabularies can only name one.
fn payments(transaction: &Transaction) -> Option<Vec<&Destination>> {
    let payments = transaction.payments()?;
    let one_asset = payments
        .windows(2)
        .all(|pair| pair[0].asset == pair[1].asset);
    one_asset.then_some(payments)
}
