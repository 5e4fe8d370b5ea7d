//! Voting on a task: it is verified and decoded here first, and the vote signs the hash of exactly
//! the bytes that were verified.

use countersign_payload::Decoded;
use countersign_protocol::task::Collect;
use countersign_protocol::{
    Authenticated, Choice, Hash, KeyDescriptor, MalformedVote, Operation, RequesterId, Task,
    TaskError, TaskId, UnixMillis,
};
use countersign_requester::count::{Count, NotTheVotes};
use countersign_requester::proof;
use countersign_requester::voting::{self, NoVote};
use countersign_vote::CheckError;

use super::{Client, now};
use crate::api::{State, TaskView};
use crate::error::ClientError;
use crate::utc::utc;
use crate::voting_key::VotingKey;

/// Why there is no vote.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[non_exhaustive]
pub enum VoteError {
    /// No key was named.
    #[error(
        "there is no approver key; name its file with --key, or under `approver_key_file` in the profile"
    )]
    NoKey,
    /// The task does not ask for votes.
    #[error(
        "task {0} collects no votes; if people are to approve it, have it ordered anew with --collect"
    )]
    NotAsked(TaskId),
    /// The coordinator collects no more of them.
    #[error(
        "votes on task {task} are not collected any more: by the coordinator's word it is `{state}`; look with `countersign task show {task}`"
    )]
    NotPending { task: TaskId, state: String },
    /// Their time is over.
    #[error(
        "votes on task {task} were collected until {until}; have it ordered anew",
        until = utc(*.until)
    )]
    Over { task: TaskId, until: UnixMillis },
    /// The requester is not one of the profile.
    #[error(
        "task {task} was ordered by {requester}, who is neither you nor under `trusted_requesters` in the profile; do not vote on it, or add the id as its owner told it to you"
    )]
    Stranger {
        task: TaskId,
        requester: RequesterId,
    },
    /// No node would accept the order.
    #[error("no node would accept task {task} ({error}); do not vote on it")]
    Order { task: TaskId, error: TaskError },
    /// The reshare begins with a generation of the wallet that is not the newest believed one.
    #[error(
        "task {0} reshares the wallet from another generation than the one that is believed here; do not vote on it, and have it ordered anew"
    )]
    OtherGeneration(TaskId),
    /// It is not the task that was looked at before.
    #[error(
        "task {0} has another hash than the one given with --hash; do not vote on it, and look at it again"
    )]
    OtherHash(TaskId),
    /// The person did not confirm it.
    #[error("nothing was voted, since it was not confirmed; run the command again to vote")]
    NotConfirmed,
    /// There is nobody to confirm it.
    #[error(
        "there is no terminal on which to confirm the vote; look at the task, then vote with --yes"
    )]
    NoTerminal,
    /// The clock shows a time that no vote has.
    #[error(transparent)]
    Clock(#[from] MalformedVote),
    /// The own vote does not verify.
    #[error("the vote made here does not verify ({0}); it was not sent: check this machine")]
    Own(CheckError),
    /// The coordinator took the vote, and does not list it.
    #[error(
        "the coordinator does not list the vote that it took; look with `countersign task show {0}`, and vote again"
    )]
    NotListed(TaskId),
}

impl VoteError {
    fn of(task: TaskId, reason: NoVote) -> Self {
        match reason {
            NoVote::NotAsked => Self::NotAsked(task),
            NoVote::Over(until) => Self::Over { task, until },
            NoVote::Stranger(requester) => Self::Stranger { task, requester },
            NoVote::Order(error) => Self::Order { task, error },
            NoVote::OtherGeneration => Self::OtherGeneration(task),
        }
    }

    /// The stable code, for programs (`docs/codes.md`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "vote-no-key",
            Self::NotAsked(_) => "vote-not-asked",
            Self::NotPending { .. } => "vote-not-pending",
            Self::Over { .. } => "vote-over",
            Self::Stranger { .. } => "vote-stranger",
            Self::Order { .. } => "vote-order",
            Self::OtherGeneration(_) => "vote-generation",
            Self::OtherHash(_) => "vote-hash",
            Self::NotConfirmed | Self::NoTerminal => "vote-not-confirmed",
            Self::Clock(_) | Self::Own(_) => "vote-not-made",
            Self::NotListed(_) => "vote-not-listed",
        }
    }

    /// 3 if something does not verify, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoKey
            | Self::NotAsked(_)
            | Self::NotPending { .. }
            | Self::Over { .. }
            | Self::NotConfirmed
            | Self::NoTerminal
            | Self::Clock(_) => 1,
            Self::Stranger { .. }
            | Self::Order { .. }
            | Self::OtherGeneration(_)
            | Self::OtherHash(_)
            | Self::Own(_)
            | Self::NotListed(_) => 3,
        }
    }

    /// The task concerned, if there is one.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::NotAsked(task)
            | Self::NotPending { task, .. }
            | Self::Over { task, .. }
            | Self::Stranger { task, .. }
            | Self::Order { task, .. }
            | Self::OtherGeneration(task)
            | Self::OtherHash(task)
            | Self::NotListed(task) => Some(*task),
            Self::NoKey | Self::NotConfirmed | Self::NoTerminal | Self::Clock(_) | Self::Own(_) => {
                None
            }
        }
    }
}

/// A task on which one may vote: its requester and its wallet are believed, its payload is decoded,
/// and it collects votes. Made only by [`Client::examine`], so that a vote is on what was examined.
#[derive(Debug)]
pub struct Examined {
    order: Authenticated,
    collect: Collect,
    wallet: Option<KeyDescriptor>,
    decoded: Option<Decoded>,
}

impl Examined {
    /// The order.
    pub fn task(&self) -> &Task {
        &self.order
    }

    /// The hash of its exact bytes, which a vote signs.
    pub fn hash(&self) -> Hash {
        self.order.hash()
    }

    /// The votes that it asks for.
    pub fn collect(&self) -> &Collect {
        &self.collect
    }

    /// The wallet that it uses. Absent if it makes one.
    pub fn wallet(&self) -> Option<&KeyDescriptor> {
        self.wallet.as_ref()
    }

    /// The effect of what it signs. Absent if it signs nothing.
    pub fn decoded(&self) -> Option<&Decoded> {
        self.decoded.as_ref()
    }

    fn check_time(&self) -> Result<(), VoteError> {
        voting::check_time(&self.collect, now())
            .map_err(|reason| VoteError::of(self.order.id, reason))
    }
}

impl Client {
    /// Fetches a task to vote on, and verifies it as before signing: the order is signed by a
    /// requester whom the profile trusts, if it names any; the wallet is believed; the payload is
    /// decoded. Refuses a task that collects no votes, or none any more.
    pub async fn examine(&self, id: TaskId) -> Result<Examined, ClientError> {
        let view = self.task(id).await?;
        let known = self.profile.known(self.requester());
        let (order, collect) = voting::examine(&view.order(), &known, now())
            .map_err(|reason| VoteError::of(id, reason))?;
        if view.summary.state != State::Pending {
            let state = view.summary.state.to_string();
            return Err(VoteError::NotPending { task: id, state }.into());
        }
        let (wallet, decoded) = self.subject(id, &order.operation).await?;
        let examined = Examined {
            order,
            collect,
            wallet,
            decoded,
        };
        examined.check_time()?;
        Ok(examined)
    }

    /// Votes on what was examined, and returns the count of all votes. The vote is checked as nodes
    /// check it before it is sent.
    pub async fn vote(
        &self,
        examined: &Examined,
        key: &VotingKey,
        choice: Choice,
    ) -> Result<Count, ClientError> {
        examined.check_time()?;
        let task = examined.order.id;
        let hash = examined.hash();
        let vote = key.vote(hash, choice, now()).map_err(VoteError::Clock)?;
        countersign_vote::check(&vote, &hash, None).map_err(VoteError::Own)?;
        let told = self.api.vote(task, &vote).await?;
        let pages = self.pages.as_ref();
        let count =
            Count::new((task, hash), examined.collect, told, pages, now()).map_err(unreadable)?;
        if !count.has(&key.id(), choice) {
            return Err(VoteError::NotListed(task).into());
        }
        Ok(count)
    }

    /// Counts the votes on a task whose order is verified, as [`Client::task`] does. `None` if it
    /// collects none.
    pub async fn count(&self, view: &TaskView) -> Result<Option<Count>, ClientError> {
        let order = view.order();
        let task = proof::check_requester(&order).map_err(|error| ClientError::Invalid {
            task: view.summary.id,
            reason: error.to_string(),
        })?;
        let Some(collect) = task.collect else {
            return Ok(None);
        };
        let told = self.api.votes(task.id).await?;
        let subject = (task.id, order.hash());
        let count = Count::new(subject, collect, told, self.pages.as_ref(), now());
        count.map(Some).map_err(unreadable)
    }

    /// The wallet of an operation, if it is there already, and the effect of what is signed.
    async fn subject(
        &self,
        task: TaskId,
        operation: &Operation,
    ) -> Result<(Option<KeyDescriptor>, Option<Decoded>), ClientError> {
        Ok(match operation {
            Operation::KeyGen(_) => (None, None),
            Operation::KeySign(sign) => {
                let wallet = self.newest_wallet(sign.key).await?;
                let decoded = proof::decode(&wallet, &sign.path, &sign.payload, &self.networks)?;
                (Some(wallet), Some(decoded))
            }
            Operation::KeyReshare(reshare) => {
                let wallet = self.newest_wallet(reshare.from.key).await?;
                voting::check_generation(reshare, &wallet)
                    .map_err(|reason| VoteError::of(task, reason))?;
                (Some(wallet), None)
            }
            Operation::KeyShareSign(check_up) => {
                (Some(self.newest_wallet(check_up.key).await?), None)
            }
        })
    }
}

fn unreadable(error: NotTheVotes) -> ClientError {
    ClientError::Answer(error.to_string())
}
