//! The key of an approver: its holder votes on tasks.
//!
//! As text it is one line, `csv-secret1…`, of the form of a
//! [requester's key](crate::requester_key). Where the text is kept is left to the caller.

use std::fmt;

use countersign_protocol::evidence::Signature;
use countersign_protocol::{
    ApproverId, ApproverKey, Ballot, Choice, Hash, MalformedVote, Proof, UnixMillis, Vote,
};
use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use crate::secret;

/// Prefix of the key's text form.
const PREFIX: &str = "csv-secret";

/// Signs votes. Not `Clone`, not printable; its memory is wiped on drop.
pub struct VotingKey {
    key: SigningKey,
    id: ApproverId,
}

/// A text that is not the key of an approver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not an approver key; restore it from a backup, or make a new one with `countersign approver new`"
)]
pub struct NotAVotingKey;

impl VotingKey {
    /// Reads the text form. White space after it does not matter.
    pub fn parse(text: &str) -> Result<Self, NotAVotingKey> {
        let seed = secret::seed(PREFIX, text).ok_or(NotAVotingKey)?;
        Self::from_seed(&seed)
    }

    /// The key of a seed, 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, NotAVotingKey> {
        let key = SigningKey::from_bytes(seed);
        let public = ApproverKey::Ed25519(key.verifying_key().to_bytes());
        let id = ApproverId::new(public).map_err(|_| NotAVotingKey)?;
        Ok(Self { key, id })
    }

    /// The text form of a seed, without a line end.
    pub fn text_of(seed: &[u8; 32]) -> Result<Zeroizing<String>, NotAVotingKey> {
        secret::text_of(PREFIX, seed).ok_or(NotAVotingKey)
    }

    /// The public half, which operators of nodes list under `approvers`.
    pub fn id(&self) -> ApproverId {
        self.id
    }

    /// Votes on the task with this [hash](countersign_protocol::SignedTask::hash). Fails if `time`
    /// is one that no clock shows.
    pub fn vote(
        &self,
        task: Hash,
        choice: Choice,
        time: UnixMillis,
    ) -> Result<Vote, MalformedVote> {
        let ballot = Ballot {
            task,
            choice,
            approver: self.id,
            time,
        };
        let signature = self.key.sign(&ballot.signed_message()).to_bytes();
        Vote::new(ballot, Proof::Ed25519(Signature(signature)))
    }
}

impl fmt::Debug for VotingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VotingKey({}, ..)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequesterKey;

    const SEED: [u8; 32] = [7; 32];

    #[test]
    fn the_key_of_one_role_is_refused_as_that_of_the_other() {
        let voting = VotingKey::text_of(&SEED).unwrap();
        let requester = RequesterKey::text_of(&SEED).unwrap();
        assert!(voting.starts_with("csv-secret1") && requester.starts_with("csr-secret1"));
        assert!(VotingKey::parse(&voting).is_ok() && RequesterKey::parse(&requester).is_ok());
        assert_eq!(VotingKey::parse(&requester).unwrap_err(), NotAVotingKey);
        assert!(RequesterKey::parse(&voting).is_err());
        // Renaming the text does not change its role.
        let renamed = requester.replacen("csr", "csv", 1);
        assert_eq!(VotingKey::parse(&renamed).unwrap_err(), NotAVotingKey);
    }

    #[test]
    fn a_key_survives_its_text_and_is_never_shown() {
        let text = VotingKey::text_of(&SEED).unwrap();
        let key = VotingKey::parse(&format!("{}\n", text.as_str())).unwrap();
        assert_eq!(key.id(), VotingKey::from_seed(&SEED).unwrap().id());
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("VotingKey({}, ..)", key.id()));
        assert!(!shown.contains(&hex::encode(SEED)) && !shown.contains(text.as_str()));
    }

    /// The vote that is frozen in `docs/quorum.md`, made with another library.
    #[test]
    fn a_vote_is_the_one_of_the_specification() {
        let key = VotingKey::from_seed(&SEED).unwrap();
        let time = UnixMillis(1_764_500_000_000);
        let vote = key.vote(Hash([0xab; 32]), Choice::Approve, time).unwrap();
        let page = include_str!("../../docs/quorum.md");
        let example = page.split("```json\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        assert_eq!(Vote::from_json(example.as_bytes()).unwrap(), vote);
    }

    #[test]
    fn a_time_that_no_clock_shows_is_not_signed() {
        let key = VotingKey::from_seed(&SEED).unwrap();
        let late = key.vote(Hash([1; 32]), Choice::Reject, UnixMillis(1 << 53));
        assert!(matches!(late, Err(MalformedVote::Time(_))));
    }
}
