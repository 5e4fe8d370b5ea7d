//! What a known wallet may become: later generations of the same key, never other facts.

use countersign_protocol::KeyDescriptor;

use crate::belief::Introduction;
use crate::error::BeliefError;
use crate::proof;

/// Refuses a wallet that contradicts the known one.
pub fn check_same(known: &KeyDescriptor, told: &KeyDescriptor) -> Result<(), BeliefError> {
    if known.digest() == told.digest() {
        return Ok(());
    }
    let what = if known.root_public_key == told.root_public_key {
        "facts"
    } else {
        "root key"
    };
    let reason = format!("its {what} differs from what this client has seen before");
    Err(BeliefError::wallet(known.key, reason))
}

/// Accepts the known generation, and older ones of the same key.
pub fn check_same_or_newer(known: &KeyDescriptor, told: &KeyDescriptor) -> Result<(), BeliefError> {
    if known.generation > told.generation && known.is_same_key(told) {
        return Ok(());
    }
    check_same(known, told)
}

/// Refuses a coordinator that reports an older generation than the known one, and other facts for
/// the known one. True if `told` is newer, and its generations have to be followed.
pub fn is_newer(known: &KeyDescriptor, told: &KeyDescriptor) -> Result<bool, BeliefError> {
    if told.generation < known.generation {
        return Err(BeliefError::Stale {
            wallet: known.key,
            told: told.generation,
            known: known.generation,
        });
    }
    if told.generation == known.generation {
        return check_same(known, told).map(|()| false);
    }
    Ok(true)
}

/// Follows a wallet from the known generation to `told`. Each generation between them proves that
/// it succeeds the one before. Returns them, oldest first; `all` may contain others.
pub fn follow(
    known: &KeyDescriptor,
    mut all: Vec<KeyDescriptor>,
    told: &KeyDescriptor,
) -> Result<Vec<KeyDescriptor>, BeliefError> {
    if !is_newer(known, told)? {
        return Ok(Vec::new());
    }
    all.retain(|one| (known.generation + 1..=told.generation).contains(&one.generation));
    proof::check_chain(known, &all, told).map_err(|error| BeliefError::wallet(known.key, error))?;
    Ok(all)
}

/// Refuses an introduction of a different wallet than the known one.
pub fn check_includes(introduced: &Introduction, known: &KeyDescriptor) -> Result<(), BeliefError> {
    let newest = introduced.newest();
    if newest.generation < known.generation {
        return Err(BeliefError::Stale {
            wallet: known.key,
            told: newest.generation,
            known: known.generation,
        });
    }
    let same = introduced
        .generations()
        .iter()
        .find(|one| one.generation == known.generation);
    check_same(known, same.unwrap_or(newest))
}
