//! Finds the culprits in the errors of the cggmp24 crates, which print them but keep them private.
//!
//! The crates are pinned to one version, so the printed form is stable; where it names
//! nobody, nobody is accused.

use std::collections::BTreeSet;
use std::error::Error;

use crate::{EngineError, PartyIndex, PeerFault};

/// Classifies a protocol run's error by cause and names the culprits that it lists.
pub(crate) fn judge(error: impl Error) -> EngineError {
    let printed = format!("{error:?}");
    if !printed.contains("(Aborted(") {
        return EngineError::Bug(chain(&error));
    }
    // A differing echo accuses its sender, although another party may have sent two versions in the
    // first round. The session layer's signed echo settles that.
    if printed.contains("NotReliable") {
        return EngineError::Peer {
            fault: PeerFault::UnreliableBroadcast,
            culprits: vec![],
        };
    }
    EngineError::Peer {
        fault: PeerFault::Protocol(chain(&error)),
        culprits: named(&printed),
    }
}

/// The messages of the error and of all its sources.
fn chain(error: &dyn Error) -> String {
    let mut messages = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        messages.push_str(&format!(": {error}"));
        source = error.source();
    }
    messages
}

/// Parses indices printed as `faulty_party: 1`, or as `parties: [1, 2]`.
fn named(printed: &str) -> Vec<PartyIndex> {
    let faulty = printed
        .split("faulty_party: ")
        .skip(1)
        .filter_map(leading_number);
    let lists = printed
        .split("parties: [")
        .skip(1)
        .filter_map(|text| text.split(']').next());
    let listed = lists
        .flat_map(|list| list.split(", "))
        .filter_map(|item| item.parse().ok());
    let distinct: BTreeSet<u16> = faulty.chain(listed).collect();
    distinct.into_iter().map(PartyIndex).collect()
}

fn leading_number(text: &str) -> Option<u16> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_printed_forms_are_read() {
        let proofs = "KeygenError(Aborted(InvalidSchnorrProof([AbortBlame { faulty_party: 2, data_message: 12, proof_message: 3 }, \
                      AbortBlame { faulty_party: 0, data_message: 1, proof_message: 1 }])))";
        assert_eq!(named(proofs), [PartyIndex(0), PartyIndex(2)]);
        assert_eq!(
            named("KeygenError(Aborted(InvalidDataSize { parties: [4, 1] }))"),
            [PartyIndex(1), PartyIndex(4)]
        );
        assert_eq!(named("SigningError(Aborted(MismatchedDelta))"), []);
    }
}
