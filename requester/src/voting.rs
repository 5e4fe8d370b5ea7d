//! The rules by which an order is shown to somebody who votes on it.

use countersign_protocol::task::Collect;
use countersign_protocol::{
    Authenticated, KeyDescriptor, KeyReshare, RequesterId, SignedTask, TaskError, UnixMillis,
};

use crate::known::Known;
use crate::proof::PinnedPages;

/// Why nobody should vote on an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoVote {
    /// It collects no votes.
    #[error("the task collects no votes; if people are to approve it, have it ordered anew")]
    NotAsked,
    /// Its time for votes is over.
    #[error("the time for votes on the task is over; have it ordered anew")]
    Over(UnixMillis),
    /// Its requester is unknown.
    #[error(
        "the task was ordered by {0}, whom the profile does not name; do not vote on it, or add the id to the trusted requesters as its owner told it to you"
    )]
    Stranger(RequesterId),
    /// No node would accept it.
    #[error("no node would accept the task ({0}); do not vote on it")]
    Order(TaskError),
    /// It reshares a wallet from a generation that is not the newest believed one.
    #[error(
        "the task reshares the wallet from another generation than the one that is believed here; do not vote on it, and have it ordered anew"
    )]
    OtherGeneration,
}

impl NoVote {
    /// The stable code, for programs (`docs/codes.md`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAsked => "vote-not-asked",
            Self::Over(_) => "vote-over",
            Self::Stranger(_) => "vote-stranger",
            Self::Order(_) => "vote-order",
            Self::OtherGeneration => "vote-generation",
        }
    }
}

/// Checks an order as nodes do, and that it collects votes. Its requester is one of those who are
/// trusted, if there are any names of such, or the approver herself.
pub fn examine(
    order: &SignedTask,
    known: &Known<'_>,
    pages: PinnedPages<'_>,
    now: UnixMillis,
) -> Result<(Authenticated, Collect), NoVote> {
    let names_any = !known.trusted_requesters.is_empty();
    let listed = |requester: &RequesterId| !names_any || known.trusts(requester);
    let order = order
        .authenticate(listed, pages, now)
        .map_err(|error| match error {
            TaskError::UnknownRequester(requester) => NoVote::Stranger(requester),
            error => NoVote::Order(error),
        })?;
    let collect = order.collect.ok_or(NoVote::NotAsked)?;
    Ok((order, collect))
}

/// Checks that votes are still collected at this time.
pub fn check_time(collect: &Collect, now: UnixMillis) -> Result<(), NoVote> {
    if now >= collect.until {
        return Err(NoVote::Over(collect.until));
    }
    Ok(())
}

/// Checks that a reshare begins with the generation of the wallet that is believed.
pub fn check_generation(reshare: &KeyReshare, believed: &KeyDescriptor) -> Result<(), NoVote> {
    if reshare.from.digest() != believed.digest() {
        return Err(NoVote::OtherGeneration);
    }
    Ok(())
}
