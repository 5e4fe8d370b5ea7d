//! Votes, as bytes and as JSON. None is genuine but those of the keys' owners.

use countersign_protocol::{Choice, Vote};
use countersign_vote::testing::{Key, ORIGIN, Passkey, RP_ID};
use countersign_vote::{RelyingParty, check as genuine};

use super::wire::HASH;
use crate::check;

pub(super) fn run(input: &[u8]) -> bool {
    // Most inputs are no vote, and then there is nothing to hold to.
    let bytes = Vote::from_bytes(input).ok();
    if let Some(vote) = &bytes {
        assert_eq!(vote.to_bytes(), input, "a vote has one encoding");
    }
    let json = Vote::from_json(input).ok();
    if json.is_some() {
        check::json::<Vote>(input).expect("every reader reads it alike");
    }
    let votes: Vec<Vote> = bytes.into_iter().chain(json).collect();
    let pages = RelyingParty::new(RP_ID, [ORIGIN]).expect("the pages of the tests are valid");
    for vote in &votes {
        if genuine(vote, &HASH, Some(&pages)).is_ok() {
            assert!(given().contains(vote), "a forged vote: {vote:?}");
        }
    }
    !votes.is_empty()
}

fn given() -> Vec<Vote> {
    [Choice::Approve, Choice::Reject]
        .into_iter()
        .flat_map(|choice| {
            [
                Key::new(1).vote(HASH, choice, 1_000),
                Passkey::new(2).vote(HASH, choice, 1_000),
            ]
        })
        .collect()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let forms = |vote: &Vote| [vote.to_bytes(), vote.to_json().into_bytes()];
    given().iter().flat_map(forms).collect()
}
