//! Votes of people on a task: examined before, made, and counted, by the rules of the Rust client.

use countersign_api::{Collecting, Open, State};
use countersign_protocol::{
    ApproverId, Assertion, Ballot, Choice, Hash, KeyDescriptor, MalformedVote, Operation, Proof,
    SignedTask, TaskId, UnixMillis, Vote,
};
use countersign_requester::count::{Arrival, Count, Finding, Judged, Ordered, People, ToldVotes};
use countersign_requester::known::Acquaintances;
use countersign_requester::profile::Chains;
use countersign_requester::proof::{self, Told};
use countersign_requester::voting::{self, NoVote};
use countersign_vote::low_s;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::order::{AsOrdered, Order, Secret};
use crate::pages::PinnedPages;
use crate::passkey::Passkey;
use crate::payload::{self, Decoded};

impl From<NoVote> for Failure {
    fn from(reason: NoVote) -> Self {
        Self::new(reason.code(), reason)
    }
}

impl From<MalformedVote> for Failure {
    fn from(error: MalformedVote) -> Self {
        not_made(error)
    }
}

fn not_made(error: impl ToString) -> Failure {
    Failure::new("vote-not-made", error)
}

/// A coordinator's view of a task on which somebody is to vote.
#[derive(Deserialize)]
pub struct Examine {
    id: TaskId,
    view: Asked,
    known: Acquaintances,
    #[serde(default)]
    passkeys: PinnedPages,
    now: UnixMillis,
}

#[derive(Deserialize)]
struct Asked {
    state: Open<State>,
    #[serde(flatten)]
    told: Told,
    #[serde(flatten)]
    order: Order,
}

/// Checks that votes are collected on a task, and that its requester is one who is trusted.
pub fn examine(ask: Examine) -> Result<AsOrdered, Failure> {
    let order = SignedTask::from(ask.view.order);
    let pages = ask.passkeys.get()?;
    let task = proof::check_told(ask.id, &ask.view.told, &order, pages)?;
    let (_, collect) = voting::examine(&order, &ask.known.known(), pages, ask.now)?;
    if ask.view.state != State::Pending {
        let message = format!(
            "votes on task {} are not collected any more; look at its state",
            ask.id
        );
        return Err(Failure::new("vote-not-pending", message));
    }
    voting::check_time(&collect, ask.now)?;
    Ok(AsOrdered::new(&order, task))
}

/// An order, and the wallet that it uses, in its newest believed generation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    order: Order,
    wallet: KeyDescriptor,
    #[serde(default)]
    chains: Chains,
    #[serde(default)]
    passkeys: PinnedPages,
}

/// Decodes the effect of an order on its wallet. Nothing if it signs nothing.
pub fn subject(ask: Subject) -> Result<Option<Decoded>, Failure> {
    let order = SignedTask::from(ask.order);
    let task = proof::check_requester(&order, ask.passkeys.get()?)?;
    effect(&task.operation, &ask.wallet, &ask.chains)
}

/// The effect of an operation on this wallet. Nothing if it signs nothing.
pub(crate) fn effect(
    operation: &Operation,
    wallet: &KeyDescriptor,
    chains: &Chains,
) -> Result<Option<Decoded>, Failure> {
    match operation {
        Operation::KeyGen(_) | Operation::KeyShareSign(_) => Ok(None),
        Operation::KeyReshare(reshare) => {
            voting::check_generation(reshare, wallet)?;
            Ok(None)
        }
        Operation::KeySign(sign) if sign.key == wallet.key => {
            payload::decoded(wallet, &sign.path, &sign.payload, chains).map(Some)
        }
        Operation::KeySign(_) => Err(Failure::usage(
            "the order is for another wallet; give the one that it names",
        )),
    }
}

/// The content of a vote. `task` is the hash of the task's exact bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    task: Hash,
    choice: Choice,
    approver: ApproverId,
    time: UnixMillis,
}

impl From<Content> for Ballot {
    fn from(content: Content) -> Self {
        Self {
            task: content.task,
            choice: content.choice,
            approver: content.approver,
            time: content.time,
        }
    }
}

/// A vote that is to be made by a passkey.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    order: Order,
    approver: ApproverId,
    choice: Choice,
    /// The time of the approver's clock.
    time: UnixMillis,
    /// The time of the person's newest vote, in whose place this one comes.
    #[serde(default)]
    after: Option<UnixMillis>,
    #[serde(default)]
    passkeys: PinnedPages,
}

/// The bytes that the vote signs, which are the challenge of the passkey.
#[derive(Serialize)]
pub struct Message {
    #[serde(with = "hex::serde")]
    challenge: [u8; 32],
    ballot: Content,
}

/// The challenge of a vote on an order whose requester signed it.
pub fn message(ask: Ask) -> Result<Message, Failure> {
    let hash = collecting(ask.order, &ask.passkeys, ask.time)?;
    let time = voting::later_than(ask.time, ask.after).map_err(behind)?;
    let content = || Content {
        task: hash,
        choice: ask.choice,
        approver: ask.approver,
        time,
    };
    Ok(Message {
        challenge: Ballot::from(content()).signed_message(),
        ballot: content(),
    })
}

fn behind(voted: UnixMillis) -> Failure {
    let message = format!(
        "your last vote on this task was made at {} ms, which is ahead of this device's clock, so a vote made now would not count; set the clock, then vote again",
        voted.0
    );
    Failure::new("vote-clock", message)
}

/// What an authenticator returned for the challenge of a ballot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    ballot: Content,
    /// The pages that may collect votes.
    passkeys: PinnedPages,
    #[serde(with = "hex::serde")]
    client_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    authenticator_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

/// Makes a vote of it, and checks it as nodes do.
pub fn from_assertion(returned: Returned) -> Result<Vote, Failure> {
    let ballot = Ballot::from(returned.ballot);
    let proof = Proof::Passkey(Assertion {
        client_data: returned.client_data,
        authenticator_data: returned.authenticator_data,
        signature: low_s(&returned.signature).map_err(not_made)?,
    });
    let vote = Vote::new(ballot, proof)?;
    let pages = returned.passkeys.needed()?;
    countersign_vote::check(&vote, &ballot.task, Some(pages)).map_err(not_made)?;
    Ok(vote)
}

/// A vote that is to be made by an Ed25519 key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    key: Secret,
    order: Order,
    choice: Choice,
    time: UnixMillis,
    #[serde(default)]
    passkeys: PinnedPages,
}

/// Votes on an order whose requester signed it.
pub fn sign(parts: Parts) -> Result<Vote, Failure> {
    let hash = collecting(parts.order, &parts.passkeys, parts.time)?;
    let key = parts.key.voting_key()?;
    Ok(key.vote(hash, parts.choice, parts.time)?)
}

/// The hash of an order that its requester signed, and that collects votes at this time.
fn collecting(order: Order, pages: &PinnedPages, time: UnixMillis) -> Result<Hash, Failure> {
    let order = SignedTask::from(order);
    let collect = proof::check_requester(&order, pages.get()?)?.collect;
    voting::check_time(&collect.ok_or(NoVote::NotAsked)?, time)?;
    Ok(order.hash())
}

/// The text form of an approver's key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyText {
    key: Secret,
}

/// The public half of an approver's key.
#[derive(Serialize)]
pub struct Approver {
    approver: ApproverId,
}

/// The id of an approver's key.
pub fn approver(KeyText { key }: KeyText) -> Result<Approver, Failure> {
    let approver = key.voting_key()?.id();
    Ok(Approver { approver })
}

/// The id under which operators list a passkey as an approver.
pub fn passkey(passkey: Passkey) -> Result<Approver, Failure> {
    let approver = ApproverId::new(passkey.key()?).map_err(Failure::usage)?;
    Ok(Approver { approver })
}

/// The votes on a task, as a coordinator tells them.
#[derive(Deserialize)]
pub struct ToldAbout {
    order: Order,
    told: ToldVotes,
    #[serde(default)]
    passkeys: PinnedPages,
    /// The people of the profile, if it lists them.
    #[serde(default)]
    approvers: Option<People>,
    /// The vote that the list answers, if one was handed in.
    #[serde(default)]
    vote: Option<Vote>,
    now: UnixMillis,
}

/// The count of the votes that prove themselves.
#[derive(Serialize)]
pub struct Counted {
    task: TaskId,
    hash: Hash,
    needed: u16,
    until: UnixMillis,
    approved: usize,
    rejected: usize,
    votes: Vec<Found>,
    /// The coordinator's word.
    missing: Vec<String>,
    /// The coordinator's own count.
    told: Option<Collecting>,
    /// What became of the vote that was handed in; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    arrival: Option<&'static str>,
}

/// A vote, and whether it counts.
#[derive(Serialize)]
struct Found {
    /// Absent if it cannot be read, or if its key is nobody's in the profile.
    name: Option<String>,
    finding: &'static str,
    /// Why it does not count.
    problem: Option<&'static str>,
    vote: Option<Vote>,
}

impl From<Judged> for Found {
    fn from(judged: Judged) -> Self {
        let (finding, problem) = match &judged.finding {
            Finding::Genuine => ("genuine", None),
            Finding::Passkey => (
                "passkey",
                Some("by a passkey, without `passkeys` in the profile"),
            ),
            Finding::Unlisted => ("unlisted", Some("of a key that the profile does not list")),
            Finding::Early => ("early", Some("made in the future")),
            Finding::Own => (
                "own",
                Some("of whoever ordered the task, whom nodes do not count unless a rule says so"),
            ),
            Finding::Forged(error) => ("forged", Some(error.name())),
            Finding::Unreadable => (
                "unreadable",
                Some("of a form that this version cannot read"),
            ),
        };
        Self {
            name: judged.name,
            finding,
            problem,
            vote: judged.vote,
        }
    }
}

/// Counts the votes on an order that collects them.
pub fn count(ask: ToldAbout) -> Result<Counted, Failure> {
    let order = SignedTask::from(ask.order);
    let task = proof::check_requester(&order, ask.passkeys.get()?)?;
    let collect = task.collect.ok_or(NoVote::NotAsked)?;
    let ordered = Ordered {
        task: task.id,
        hash: order.hash(),
        requester: task.requester,
        collect,
    };
    let known = (ask.passkeys.relying_party()?, ask.approvers.as_ref());
    let count = Count::new(ordered, ask.told, known, ask.now).map_err(|error| {
        let message = format!("the coordinator's answer is of no use ({error}); check the URL");
        Failure::new("answer", message)
    })?;
    Ok(Counted {
        task: count.task,
        hash: count.hash,
        needed: count.collect.votes,
        until: count.collect.until,
        arrival: ask.vote.as_ref().map(|vote| word(count.arrival(vote))),
        approved: count.approved(),
        rejected: count.rejected(),
        missing: count.missing,
        told: count.told,
        votes: count.votes.into_iter().map(Found::from).collect(),
    })
}

fn word(arrival: Arrival) -> &'static str {
    match arrival {
        Arrival::Listed => "listed",
        Arrival::Known => "known",
        Arrival::NotNewest => "not-newest",
        Arrival::NotListed => "not-listed",
    }
}
