//! Voting on a task: it is verified and decoded here first, and the vote signs the hash of exactly
//! the bytes that were verified.

use std::time::Duration;

use countersign_payload::Decoded;
use countersign_protocol::task::Collect;
use countersign_protocol::{
    Authenticated, Choice, Hash, KeyDescriptor, MalformedVote, Operation, RequesterId, Task,
    TaskError, TaskId, UnixMillis, Vote,
};
use countersign_requester::count::{Arrival, Count, NotTheVotes, Ordered};
use countersign_requester::proof;
use countersign_requester::voting::{self, NoVote};
use countersign_vote::CheckError;
use tokio::time::Instant;

use super::{AWAY, Client, now, within};
use crate::api::{State, TaskView, ToldVotes};
use crate::error::ClientError;
use crate::utc;
use crate::voting_key::VotingKey;

/// Time to find out whether a vote arrived, unless it is limited further.
const ARRIVAL: Duration = Duration::from_secs(30);

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
        "there is no terminal on which to confirm the vote; look at the task with `countersign task show`, then vote with --yes and the --hash that it shows"
    )]
    NoTerminal,
    /// The newest vote of this key is ahead of the clock, so that no vote of now would count.
    #[error(
        "this key has voted on task {task} at {voted}, which is ahead of the clock of this machine, so a vote made now would not count; set the clock, then vote again",
        voted = utc(*.voted)
    )]
    Behind { task: TaskId, voted: UnixMillis },
    /// The vote was sent, and nobody can tell whether it arrived.
    #[error(
        "whether the vote on task {task} arrived is not known ({reason}), and it may count; look with `countersign task show {task}` before you vote again"
    )]
    Unknown { task: TaskId, reason: Box<str> },
    /// The coordinator lists a newer vote of the same key.
    #[error(
        "the vote on task {0} arrived, but does not count: a newer vote of the same key is listed; find out who else votes with this key, and vote again"
    )]
    NotNewest(TaskId),
    /// The clock shows a time that no vote has.
    #[error(transparent)]
    Clock(#[from] MalformedVote),
    /// The own vote does not verify.
    #[error("the vote made here does not verify ({0}); it was not sent: check this machine")]
    Own(CheckError),
    /// The coordinator took the vote, and does not list it.
    #[error(
        "the coordinator does not list the vote that it took; it may have kept it back, and may still hand it to the nodes: look with `countersign task show {0}`, and if the vote must not count, make the opposite one"
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
            Self::Behind { .. } => "vote-clock",
            Self::Unknown { .. } => "vote-unknown",
            Self::NotNewest(_) => "vote-not-newest",
            Self::Clock(_) | Self::Own(_) => "vote-not-made",
            Self::NotListed(_) => "vote-not-listed",
        }
    }

    /// 3 if something does not verify or a vote that was taken does not count, 4 if nobody knows
    /// whether it arrived, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoKey
            | Self::NotAsked(_)
            | Self::NotPending { .. }
            | Self::Over { .. }
            | Self::NotConfirmed
            | Self::NoTerminal
            | Self::Behind { .. }
            | Self::Clock(_) => 1,
            Self::Unknown { .. } => 4,
            Self::Stranger { .. }
            | Self::Order { .. }
            | Self::OtherGeneration(_)
            | Self::OtherHash(_)
            | Self::Own(_)
            | Self::NotNewest(_)
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
            | Self::Behind { task, .. }
            | Self::Unknown { task, .. }
            | Self::NotNewest(task)
            | Self::NotListed(task) => Some(*task),
            Self::NoKey | Self::NotConfirmed | Self::NoTerminal | Self::Clock(_) | Self::Own(_) => {
                None
            }
        }
    }
}

/// A task that collects votes: its requester's signature and its wallet are verified, its payload
/// is decoded. Made only by [`Client::examine`], so that a vote is on what was examined, and by
/// [`Client::review`].
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

    /// What the votes on it are counted by.
    fn ordered(&self) -> Ordered {
        Ordered {
            task: self.order.id,
            hash: self.order.hash(),
            requester: self.order.requester,
            collect: self.collect,
        }
    }

    /// The generation from which a reshare begins is the newest one believed here.
    fn check_generation(&self) -> Result<(), VoteError> {
        let task = self.order.id;
        match (&self.order.operation, &self.wallet) {
            (Operation::KeyReshare(reshare), Some(wallet)) => {
                voting::check_generation(reshare, wallet)
                    .map_err(|reason| VoteError::of(task, reason))
            }
            (Operation::KeyReshare(_), None) => Err(VoteError::OtherGeneration(task)),
            (Operation::KeyGen(_) | Operation::KeySign(_) | Operation::KeyShareSign(_), _) => {
                Ok(())
            }
        }
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
        let (order, collect) = voting::examine(&view.order(), &known, self.passkeys(), now())
            .map_err(|reason| VoteError::of(id, reason))?;
        if view.summary.state != State::Pending {
            let state = view.summary.state.to_string();
            return Err(VoteError::NotPending { task: id, state }.into());
        }
        let examined = self.examined(order, collect).await?;
        examined.check_generation()?;
        examined.check_time()?;
        Ok(examined)
    }

    /// Examines a task that is only looked at: whoever ordered it, and whether it has ended or not.
    /// `None` if it collects no votes.
    pub async fn review(&self, view: &TaskView) -> Result<Option<Examined>, ClientError> {
        let task = view.summary.id;
        let invalid = |error: TaskError| ClientError::Invalid {
            task,
            reason: error.to_string(),
        };
        let order = view.order();
        let created = order.parse().map_err(invalid)?.created;
        // It may be over by now, so it is judged as of its beginning.
        let order = order
            .authenticate(|_| true, self.passkeys(), created)
            .map_err(invalid)?;
        let Some(collect) = order.collect else {
            return Ok(None);
        };
        self.examined(order, collect).await.map(Some)
    }

    /// Votes on what was examined, and returns the count of all votes. The vote is checked as nodes
    /// check it before it is sent, and is later than all that are listed of this key.
    pub async fn vote(
        &self,
        examined: &Examined,
        key: &VotingKey,
        choice: Choice,
    ) -> Result<Count, ClientError> {
        examined.check_time()?;
        let task = examined.order.id;
        let hash = examined.hash();
        let listed = self.api.votes(task).await?;
        let listed = self.counted(examined.ordered(), listed)?;
        let newest = listed.newest(&key.id());
        // Nobody takes the same vote again so soon, and it would say nothing new.
        let now = now().0;
        let says_it = |(time, said): (UnixMillis, Choice)| {
            let soon = time.0.saturating_add(Vote::PAUSE_MS) > now;
            said == choice && soon && time.0 <= now.saturating_add(Vote::MAX_SKEW_MS)
        };
        if newest.is_some_and(says_it) {
            return Ok(listed);
        }
        let time = later(task, newest.map(|(time, _)| time))?;
        let vote = key.vote(hash, choice, time).map_err(VoteError::Clock)?;
        countersign_vote::check(&vote, &hash, None).map_err(VoteError::Own)?;
        let count = self.hand_in_vote(examined, &vote).await?;
        match count.arrival(&vote) {
            Arrival::Listed => Ok(count),
            Arrival::NotNewest => Err(VoteError::NotNewest(task).into()),
            // No such vote was listed a moment ago.
            Arrival::Known | Arrival::NotListed => Err(VoteError::NotListed(task).into()),
        }
    }

    /// Once the vote may have arrived, hands in the same one again until it is known whether it
    /// did: what is called not voted must not count.
    async fn hand_in_vote(&self, examined: &Examined, vote: &Vote) -> Result<Count, ClientError> {
        let task = examined.order.id;
        let until = Instant::now() + self.timeout.map_or(ARRIVAL, |limit| limit.min(ARRIVAL));
        let mut arrived = false;
        loop {
            let asked = async {
                let told = self.api.vote(task, vote).await?;
                self.counted(examined.ordered(), told)
            };
            let error = match within(until, task, asked).await {
                Ok(count) => return Ok(count),
                Err(error) => error,
            };
            arrived |= vote_may_have_arrived(&error);
            if !arrived {
                return Err(error);
            }
            let refused = matches!(error, ClientError::Api { .. }) && error.is_certainly_undone();
            if refused || Instant::now() >= until {
                let reason = error.to_string().into();
                return Err(VoteError::Unknown { task, reason }.into());
            }
            tokio::time::sleep(AWAY).await;
        }
    }

    fn counted(&self, ordered: Ordered, told: ToldVotes) -> Result<Count, ClientError> {
        let known = (self.pages.as_ref(), self.profile.approvers.as_ref());
        Count::new(ordered, told, known, now()).map_err(unreadable)
    }

    /// Counts the votes on a task whose order is verified, as [`Client::task`] does. `None` if it
    /// collects none.
    pub async fn count(&self, view: &TaskView) -> Result<Option<Count>, ClientError> {
        let order = view.order();
        let task = proof::check_requester(&order, self.passkeys()).map_err(|error| {
            ClientError::Invalid {
                task: view.summary.id,
                reason: error.to_string(),
            }
        })?;
        let Some(collect) = task.collect else {
            return Ok(None);
        };
        let ordered = Ordered {
            task: task.id,
            hash: order.hash(),
            requester: task.requester,
            collect,
        };
        let told = self.api.votes(task.id).await?;
        self.counted(ordered, told).map(Some)
    }

    async fn examined(
        &self,
        order: Authenticated,
        collect: Collect,
    ) -> Result<Examined, ClientError> {
        let (wallet, decoded) = self.subject(&order.operation).await?;
        Ok(Examined {
            order,
            collect,
            wallet,
            decoded,
        })
    }

    /// The wallet of an operation, if it is there already, and the effect of what is signed.
    async fn subject(
        &self,
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
                (Some(self.newest_wallet(reshare.from.key).await?), None)
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

/// The time of a vote that is made now and comes after the newest one of the same key.
fn later(task: TaskId, newest: Option<UnixMillis>) -> Result<UnixMillis, VoteError> {
    voting::later_than(now(), newest).map_err(|voted| VoteError::Behind { task, voted })
}

/// True if the coordinator may have taken the vote although it did not say so. An answer that
/// cannot be read may have said so.
fn vote_may_have_arrived(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Api { .. } => !error.is_certainly_undone(),
        ClientError::Answer(_) | ClientError::TimedOut(_) => true,
        // Found on this machine, before anything was sent.
        ClientError::File { .. }
        | ClientError::Usage(_)
        | ClientError::Payload(_)
        | ClientError::Finish(_) => false,
        // None of these follows from sending a vote. If one ever does, nothing is known.
        ClientError::Rejected { .. }
        | ClientError::Failed { .. }
        | ClientError::Pending { .. }
        | ClientError::UnknownState { .. }
        | ClientError::Invalid { .. }
        | ClientError::Belief(_)
        | ClientError::Vote(_) => true,
    }
}
