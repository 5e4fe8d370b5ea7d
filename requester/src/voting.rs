//! The rules by which an order is shown to somebody who votes on it.

use countersign_protocol::task::Collect;
use countersign_protocol::{
    Authenticated, KeyDescriptor, KeyReshare, RequesterId, SignedTask, TaskError, UnixMillis, Vote,
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

/// The time of a vote that is made now and takes the place of the voter's newest one: by the clock,
/// and later than that one, since the latest vote of a person counts. Fails with the newest time if
/// nobody would take a later one yet.
pub fn later_than(now: UnixMillis, newest: Option<UnixMillis>) -> Result<UnixMillis, UnixMillis> {
    let Some(newest) = newest else {
        return Ok(now);
    };
    let time = now.0.max(newest.0.saturating_add(1));
    if time > now.0.saturating_add(Vote::MAX_SKEW_MS) {
        return Err(newest);
    }
    Ok(UnixMillis(time))
}

/// Checks that a reshare begins with the generation of the wallet that is believed.
pub fn check_generation(reshare: &KeyReshare, believed: &KeyDescriptor) -> Result<(), NoVote> {
    if reshare.from.digest() != believed.digest() {
        return Err(NoVote::OtherGeneration);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_later_than_the_last_one_or_is_not_made() {
        let now = UnixMillis(1_764_500_000_000);
        let after = |ms: u64| UnixMillis(now.0 + ms);
        let skew = Vote::MAX_SKEW_MS;
        assert_eq!(later_than(now, None), Ok(now));
        assert_eq!(later_than(now, Some(UnixMillis(now.0 - 5))), Ok(now));
        assert_eq!(later_than(now, Some(now)), Ok(after(1)));
        assert_eq!(later_than(now, Some(after(skew - 1))), Ok(after(skew)));
        assert_eq!(later_than(now, Some(after(skew))), Err(after(skew)));
    }
}
