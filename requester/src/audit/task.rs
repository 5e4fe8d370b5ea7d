//! A task across all logs: who ordered it, who voted, how each node decided, and whether the result
//! is what was ordered.

use std::collections::{BTreeMap, BTreeSet};

use countersign_audit::{Record, Row, State, TaskTold};
use countersign_payload::Networks;
use countersign_protocol::text::clean;
use countersign_protocol::{
    ApproverId, Choice, Hash, KeyDescriptor, NodeId, Operation, OperationKind, OrderProof, Outcome,
    RequesterId, SignedTask, Task, TaskError, TaskId, Vote,
};
use countersign_verify::{Input, WrongResult, result};
use countersign_vote::CheckError;

use super::finding::{Fact, Missing, Proven, Report, Source, Subject, Wrong};
use super::{Context, Time};
use crate::proof::PinnedPages;

/// What is told of each task.
#[derive(Default)]
pub(super) struct Tasks<'a> {
    all: BTreeMap<TaskId, Gathered<'a>>,
    /// The nodes whose logs verify.
    logs: BTreeSet<NodeId>,
}

#[derive(Default)]
struct Gathered<'a> {
    told: Vec<&'a TaskTold>,
    seen: Vec<Seen<'a>>,
    absent: Vec<Absent>,
    /// True if a part of it is of the time that is asked about.
    of_time: bool,
}

/// A task as a node has it on record. The node's log vouches for it.
struct Seen<'a> {
    node: NodeId,
    record: &'a Record,
    row: Row,
}

/// A task of which a node's log vouches for a record that is not here.
pub(super) struct Absent {
    pub(super) node: NodeId,
    /// Hash of the order, if the record was deleted.
    pub(super) hash: Option<Hash>,
    /// What there is to say of it; absent if it was said.
    pub(super) why: Option<Result<Missing, Wrong>>,
}

impl<'a> Tasks<'a> {
    /// Adds what a coordinator tells.
    pub(super) fn told(&mut self, told: &'a TaskTold, (from, to): Time, report: &mut Report) {
        match told.order().parse() {
            Ok(task) => {
                let gathered = self.all.entry(task.id).or_default();
                gathered.told.push(told);
                gathered.of_time |= (from..to).contains(&told.submitted);
            }
            Err(error) => report.wrong(Subject::Coordinator, Wrong::Order(error.to_string())),
        }
    }

    /// Notes that a coordinator signed that this task was submitted in the time. False if it tells
    /// nothing else of it.
    pub(super) fn submitted(&mut self, task: &str) -> bool {
        let task = task.parse::<TaskId>().ok();
        let gathered = task.and_then(|task| self.all.get_mut(&task));
        let Some(gathered) = gathered.filter(|one| !one.told.is_empty()) else {
            return false;
        };
        gathered.of_time = true;
        true
    }

    /// Adds a node whose log verifies.
    pub(super) fn verified(&mut self, node: NodeId) {
        self.logs.insert(node);
    }

    /// Adds the record of a node.
    pub(super) fn seen(&mut self, node: NodeId, record: &'a Record, row: Row, of_time: bool) {
        let gathered = self.all.entry(row.task).or_default();
        gathered.of_time |= of_time;
        gathered.seen.push(Seen { node, record, row });
    }

    /// Adds a record that is not here.
    pub(super) fn absent(&mut self, task: TaskId, absent: Absent, of_time: bool) {
        let gathered = self.all.entry(task).or_default();
        gathered.of_time |= of_time;
        gathered.absent.push(absent);
    }

    /// Judges the tasks of the time, once everything was added.
    pub(super) fn verify(self, context: &Context<'_>, report: &mut Report) {
        let Self { all, logs } = self;
        for (id, mut gathered) in all.into_iter().filter(|(_, one)| one.of_time) {
            for absent in &mut gathered.absent {
                let subject = Subject::Node(absent.node);
                match absent.why.take() {
                    None => {}
                    Some(Ok(missing)) => report.missing(subject, missing),
                    Some(Err(wrong)) => report.wrong(subject, wrong),
                }
            }
            let subject = Subject::Task(id);
            let (order, facts) = gathered.order(id, context);
            for fact in facts {
                report.add(subject, fact);
            }
            let Some(order) = order else { continue };
            let case = Case {
                told: gathered.told_as(&order),
                seen: gathered.seen_as(&order),
                gathered: &gathered,
                order: &order,
                logs: &logs,
                context,
                subject,
            };
            case.verify(report);
        }
    }
}

/// The one order that all are about.
struct Order {
    task: Task,
    bytes: Vec<u8>,
    hash: Hash,
}

/// Somebody's copy of the order.
struct OrderCopy<'a> {
    from: Source,
    bytes: &'a [u8],
    signing: Signing,
}

/// What is known of the signature of a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signing {
    /// There is none.
    Absent,
    /// It is this requester's, whom the order names.
    Genuine(RequesterId),
    /// It is a passkey's, and the auditor does not know its page.
    NoPages,
    /// It is not the requester's.
    False,
}

impl<'a> OrderCopy<'a> {
    fn of(
        from: Source,
        bytes: &'a [u8],
        signature: Option<&OrderProof>,
        pages: PinnedPages<'_>,
    ) -> Self {
        let signing = match signature {
            None => Signing::Absent,
            Some(signature) => signing(bytes, signature, pages),
        };
        Self {
            from,
            bytes,
            signing,
        }
    }

    fn is_signed(&self) -> bool {
        self.is_signed_by(|_| true)
    }

    fn is_signed_by(&self, one_of: impl Fn(&RequesterId) -> bool) -> bool {
        match &self.signing {
            Signing::Genuine(requester) => one_of(requester),
            Signing::Absent | Signing::NoPages | Signing::False => false,
        }
    }
}

fn signing(bytes: &[u8], signature: &OrderProof, pages: PinnedPages<'_>) -> Signing {
    let order = SignedTask {
        bytes: bytes.to_vec(),
        signature: signature.clone(),
    };
    let proven = order.parse().and_then(|task| {
        order.prove(&task.requester, pages)?;
        Ok(task.requester)
    });
    match proven {
        Ok(requester) => Signing::Genuine(requester),
        Err(TaskError::NoPasskeys(_)) => Signing::NoPages,
        Err(_) => Signing::False,
    }
}

impl<'a> Gathered<'a> {
    /// The order: the first copy that a trusted requester has signed, so that nobody else's order
    /// under its id takes its place; else the first one that its requester has signed; else the
    /// first one. Copies that differ from it are named.
    fn order(&self, id: TaskId, context: &Context<'_>) -> (Option<Order>, Vec<Fact>) {
        let pages = context.trust.passkeys();
        let told = self.told.iter().map(|told| {
            let signature = Some(&told.signature);
            OrderCopy::of(Source::Coordinator, told.task.as_bytes(), signature, pages)
        });
        let seen = self.seen.iter().map(|seen| {
            let signature = seen.record.beside.order.as_ref();
            OrderCopy::of(Source::Node(seen.node), &seen.row.bytes, signature, pages)
        });
        let copies: Vec<OrderCopy<'_>> = told.chain(seen).collect();
        let mut facts = Vec::new();
        let known = &context.trust.known;
        let trusted =
            |copy: &&OrderCopy<'_>| copy.is_signed_by(|requester| known.trusts(requester));
        let signed = copies
            .iter()
            .find(trusted)
            .or_else(|| copies.iter().find(|copy| copy.is_signed()));
        let Some(chosen) = signed.or(copies.first()) else {
            // All records were deleted, or are not here.
            let mut hashes = self.absent.iter().filter_map(|absent| absent.hash);
            let first = hashes.next();
            if hashes.any(|other| Some(other) != first) {
                facts.push(Fact::Wrong(Wrong::TwoOrders));
            }
            return (None, facts);
        };
        let task = match parse(chosen.bytes) {
            Ok(task) if task.id == id => task,
            Ok(task) => {
                let task = task.id;
                return (None, vec![Fact::Wrong(Wrong::OtherId { task })]);
            }
            Err(wrong) => return (None, vec![Fact::Wrong(wrong)]),
        };
        let requester = task.requester;
        for copy in &copies {
            let from = copy.from;
            let wrong = match (copy.bytes == chosen.bytes, copy.signing) {
                (true, Signing::Genuine(_) | Signing::Absent | Signing::NoPages) => None,
                (true, Signing::False) => Some(Wrong::Unsigned { from, requester }),
                (false, Signing::Genuine(_)) => Some(Wrong::TwoOrders),
                (false, Signing::Absent | Signing::NoPages | Signing::False) => {
                    Some(Wrong::OtherOrder { from })
                }
            };
            facts.extend(wrong.map(Fact::Wrong));
        }
        let no_pages = |copy: &OrderCopy<'_>| copy.signing == Signing::NoPages;
        facts.push(match signed {
            None if copies.iter().any(no_pages) => Fact::Missing(Missing::OrderPages { requester }),
            None => Fact::Missing(Missing::OrderSignature),
            Some(_) if context.trust.known.trusts(&requester) => {
                Fact::Proven(Proven::Requester { requester })
            }
            Some(_) => Fact::Missing(Missing::Requester { requester }),
        });
        let bytes = chosen.bytes.to_vec();
        let hash = SignedTask::hash_of(&bytes);
        (Some(Order { task, bytes, hash }), facts)
    }

    /// What the coordinator tells of this order.
    fn told_as(&self, order: &Order) -> Option<&'a TaskTold> {
        let mut told = self.told.iter();
        told.find(|told| told.task.as_bytes() == order.bytes)
            .copied()
    }

    /// The records of this order.
    fn seen_as(&self, order: &Order) -> Vec<&Seen<'a>> {
        let seen = self.seen.iter();
        seen.filter(|seen| seen.row.bytes == order.bytes).collect()
    }
}

/// A task with everything that is about its one order.
struct Case<'c> {
    order: &'c Order,
    told: Option<&'c TaskTold>,
    seen: Vec<&'c Seen<'c>>,
    gathered: &'c Gathered<'c>,
    logs: &'c BTreeSet<NodeId>,
    context: &'c Context<'c>,
    subject: Subject,
}

/// Why a result is not proven.
enum Unproven {
    Missing(Missing),
    Payload,
    Wrong(WrongResult),
}

impl Case<'_> {
    fn verify(&self, report: &mut Report) {
        let subject = self.subject;
        if self.gathered.told.is_empty() && self.context.bundle.coordinator.is_some() {
            report.missing(subject, Missing::AtCoordinator);
        }
        self.deletions(report);
        for seen in &self.seen {
            self.record(seen, report);
            self.decision(seen, report);
        }
        self.votes(report);
        for seen in &self.seen {
            self.outcome(seen, report);
        }
        self.results(report);
        self.parties(report);
    }

    /// What is left of deleted records is of this order, and of a kind that nodes delete.
    fn deletions(&self, report: &mut Report) {
        let kept = match OperationKind::from(&self.order.task.operation) {
            OperationKind::KeyGen | OperationKind::KeyReshare => true,
            OperationKind::KeySign | OperationKind::KeyShareSign => false,
        };
        for absent in &self.gathered.absent {
            let Some(hash) = absent.hash else { continue };
            if hash != self.order.hash {
                report.wrong(self.subject, Wrong::TwoOrders);
            } else if kept {
                let node = absent.node;
                report.wrong(self.subject, Wrong::NotDeletable { node });
            }
        }
    }

    /// The record says what the order says.
    fn record(&self, seen: &Seen<'_>, report: &mut Report) {
        let node = seen.node;
        let task = &self.order.task;
        if seen.row.kind != OperationKind::from(&task.operation) {
            report.wrong(self.subject, Wrong::Kind { node });
        }
        // A node refuses whatever does not fit.
        if !seen.approved() {
            return;
        }
        if ordered_parties(&task.operation).is_some_and(|ordered| ordered != seen.row.parties) {
            report.wrong(self.subject, Wrong::Parties { node });
        }
        // Plugins may take longer than the order is good for. Then nothing comes of it.
        let end = task.not_after;
        if seen.has_result() && seen.row.received_at > end {
            report.wrong(self.subject, Wrong::Late { node, end });
        }
    }

    fn decision(&self, seen: &Seen<'_>, report: &mut Report) {
        let node = seen.node;
        let approved = seen.approved();
        let against = seen.row.verdicts.iter().find(|verdict| !verdict.approved);
        match against {
            Some(verdict) if approved => {
                let plugin = verdict.plugin.clone();
                report.wrong(self.subject, Wrong::Verdict { node, plugin });
            }
            Some(_) | None => {
                let verdicts = seen.row.verdicts.len();
                let decision = Proven::Decision {
                    node,
                    approved,
                    verdicts,
                };
                report.proven(self.subject, decision);
            }
        }
    }

    /// Every vote that anybody tells proves itself, or does not.
    fn votes(&self, report: &mut Report) {
        let subject = self.subject;
        let told: &[Vote] = self.told.map_or(&[], |told| &told.votes);
        let at_nodes: Vec<&Vote> = self.seen.iter().flat_map(|seen| seen.votes()).collect();
        let mut votes: Vec<&Vote> = told.iter().chain(at_nodes.iter().copied()).collect();
        votes.sort_by_cached_key(|vote| vote.to_bytes());
        votes.dedup();
        for vote in &votes {
            let given = at_nodes.contains(vote);
            match judge(vote, given, &self.order.hash, self.context) {
                Ok(Ok(proven)) => report.proven(subject, proven),
                Ok(Err(missing)) => report.missing(subject, missing),
                Err(wrong) => report.wrong(subject, wrong),
            }
        }
        let collects = self.order.task.collect.is_some();
        if collects && votes.is_empty() && self.was_offered() {
            report.missing(subject, Missing::NoVotes);
        }
        for seen in &self.seen {
            let node = seen.node;
            let Some(given) = &seen.record.beside.votes else {
                if collects || !votes.is_empty() {
                    report.missing(subject, Missing::Votes { node });
                }
                continue;
            };
            // Later votes change no decision, and need not have reached the node.
            let decided = seen.row.received_at.0;
            let early =
                |vote: &&Vote| vote.ballot().time.0.saturating_add(Vote::MAX_SKEW_MS) < decided;
            for vote in told.iter().filter(early) {
                if !given.contains(vote) {
                    let approver = vote.ballot().approver.to_string();
                    report.missing(subject, Missing::VoteAtNode { node, approver });
                }
            }
        }
    }

    /// How it ended at a node, and whether that is what was ordered.
    fn outcome(&self, seen: &Seen<'_>, report: &mut Report) {
        let node = seen.node;
        let Some(outcome) = seen.row.state.outcome() else {
            return report.missing(self.subject, Missing::Outcome { node });
        };
        let ended = Proven::Outcome {
            node,
            outcome: word(outcome),
        };
        report.proven(self.subject, ended);
        if matches!(outcome, Outcome::Refused(_) | Outcome::Failed(_)) {
            return;
        }
        match self.check(&node, &seen.row.parties, outcome) {
            Ok(signatures) => {
                let result = Proven::Result { node, signatures };
                report.proven(self.subject, result);
            }
            Err(Unproven::Missing(missing)) => report.missing(self.subject, missing),
            Err(Unproven::Payload) => report.wrong(self.subject, Wrong::Payload { node }),
            Err(Unproven::Wrong(reason)) => {
                report.wrong(self.subject, Wrong::Result { node, reason });
            }
        }
    }

    /// Verifies a result under keys that are believed. Returns the number of its signatures.
    fn check(
        &self,
        from: &NodeId,
        parties: &[NodeId],
        outcome: &Outcome,
    ) -> Result<usize, Unproven> {
        let Order { task, hash, .. } = self.order;
        let wallet = wallet_of(self.order, outcome, self.context).map_err(Unproven::Missing)?;
        let inputs = inputs(&task.operation, wallet).ok_or(Unproven::Payload)?;
        let ordered = result::Order {
            task,
            hash: *hash,
            wallet,
            parties,
            inputs: &inputs,
        };
        match ordered.check(from, outcome) {
            Ok(()) => Ok(inputs.len()),
            Err(reason) => Err(Unproven::Wrong(reason)),
        }
    }

    /// Nodes, and the coordinator, have the same result.
    fn results(&self, report: &mut Report) {
        let results = self.seen.iter().filter_map(|seen| {
            let outcome = seen.row.state.outcome()?;
            shared(outcome).map(|shared| (seen.node, shared))
        });
        let results: Vec<(NodeId, Vec<u8>)> = results.collect();
        self.told_result(&results, report);
        let Some(((one, first), rest)) = results.split_first() else {
            return;
        };
        if let Some((other, _)) = rest.iter().find(|(_, result)| result != first) {
            let one = *one;
            let other = *other;
            return report.wrong(self.subject, Wrong::Disagreement { one, other });
        }
        let without = self.seen.iter().filter(|seen| {
            matches!(
                seen.row.state.outcome(),
                Some(Outcome::Refused(_) | Outcome::Failed(_))
            )
        });
        for seen in without {
            let node = *one;
            let other = seen.node;
            report.missing(self.subject, Missing::Split { node, other });
        }
        if results.len() > 1 {
            let nodes = results.len();
            report.proven(self.subject, Proven::Agreement { nodes });
        }
    }

    /// What the coordinator tells is what a node has on record. A genuine signature that no node
    /// has is worse than one that is none.
    fn told_result(&self, results: &[(NodeId, Vec<u8>)], report: &mut Report) {
        let told = self.told.and_then(|told| told.result.as_ref());
        let Some((outcome, told)) = told.and_then(|told| Some((told, shared(told)?))) else {
            return;
        };
        if results.iter().any(|(_, result)| *result == told) {
            return;
        }
        let parties = self.all_parties();
        // Only a check-up depends on who tells it, and the nodes do not share those.
        let known = self.context.trust.known.nodes.values();
        let Some(from) = parties.iter().chain(known).next() else {
            return;
        };
        match self.check(from, &parties, outcome) {
            // Whoever may have it is missing, which is said.
            Ok(_) if results.is_empty() && self.has_gaps(&parties) => {}
            Ok(_) => report.wrong(self.subject, Wrong::Unrecorded),
            Err(Unproven::Missing(missing)) => report.missing(self.subject, missing),
            Err(Unproven::Payload | Unproven::Wrong(_)) => {
                report.wrong(self.subject, Wrong::ToldResult);
            }
        }
    }

    /// True if one of these nodes may have an outcome on record that is not here.
    fn has_gaps(&self, parties: &[NodeId]) -> bool {
        let lacks = |node: &NodeId| {
            let mut absent = self.gathered.absent.iter();
            !self.logs.contains(node) || absent.any(|one| one.node == *node)
        };
        let is_open = |seen: &&Seen<'_>| seen.row.state.outcome().is_none();
        parties.iter().any(lacks) || self.seen.iter().any(is_open)
    }

    /// Everybody who was asked has it on record.
    fn parties(&self, report: &mut Report) {
        for node in self.all_parties() {
            let seen = self.gathered.seen.iter().any(|seen| seen.node == node);
            // What became of its record is said of the node.
            let absent = self.gathered.absent.iter().any(|one| one.node == node);
            if seen || absent {
                continue;
            }
            if !self.logs.contains(&node) {
                report.missing(self.subject, Missing::LogOf { node });
            } else if self.was_offered() {
                report.missing(self.subject, Missing::AtNode { node });
            }
        }
    }

    /// All who take part by anybody's word, in the order of their ids.
    fn all_parties(&self) -> Vec<NodeId> {
        let told = self.told.iter().flat_map(|told| &told.parties);
        let seen = self.seen.iter().flat_map(|seen| &seen.row.parties);
        let mut parties: Vec<NodeId> = told.chain(seen).copied().collect();
        parties.sort_unstable();
        parties.dedup();
        parties
    }

    /// True if nodes were asked: one has it on record, or the coordinator tells that it came to
    /// that.
    fn was_offered(&self) -> bool {
        let told = self.told.is_none_or(|told| {
            !matches!(
                told.state.as_str(),
                "pending" | "waiting" | "expired" | "cancelled"
            )
        });
        told || !self.gathered.seen.is_empty()
    }
}

impl Seen<'_> {
    fn approved(&self) -> bool {
        match &self.row.state {
            State::Approved => true,
            State::Ended { outcome, .. } => !matches!(**outcome, Outcome::Refused(_)),
        }
    }

    fn has_result(&self) -> bool {
        match self.row.state.outcome() {
            None | Some(Outcome::Refused(_) | Outcome::Failed(_)) => false,
            Some(
                Outcome::Created(_)
                | Outcome::Signed(_)
                | Outcome::Reshared(_)
                | Outcome::Intact(_),
            ) => true,
        }
    }

    /// The votes that the node was given, as far as it can tell.
    fn votes(&self) -> &[Vote] {
        self.record.beside.votes.as_deref().unwrap_or_default()
    }
}

/// The nodes that an order names, in the order of their ids.
fn ordered_parties(operation: &Operation) -> Option<Vec<NodeId>> {
    let mut parties = match operation {
        Operation::KeyGen(keygen) => keygen.committee.members().to_vec(),
        Operation::KeySign(keysign) => keysign.signers.clone()?,
        Operation::KeyShareSign(check_up) => check_up.nodes.clone(),
        // Any of the old members that suffice deal.
        Operation::KeyReshare(_) => return None,
    };
    parties.sort_unstable();
    Some(parties)
}

/// An outcome in a word, with the code of what kept it from being a result.
fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created(_) => "created".into(),
        Outcome::Signed(_) => "signed".into(),
        Outcome::Reshared(_) => "reshared".into(),
        Outcome::Intact(_) => "intact".into(),
        Outcome::Refused(refusal) => format!("refused [{}]", clean(refusal.code.as_str())),
        Outcome::Failed(failure) => format!("failed [{}]", clean(failure.code.as_str())),
    }
}

fn parse(bytes: &[u8]) -> Result<Task, Wrong> {
    let unsigned = SignedTask {
        bytes: bytes.to_vec(),
        signature: [0; 64].into(),
    };
    unsigned
        .parse()
        .map_err(|error| Wrong::Order(error.to_string()))
}

/// The believed wallet that the task uses, if it uses one.
fn wallet_of<'a>(
    order: &Order,
    outcome: &Outcome,
    context: &Context<'a>,
) -> Result<Option<&'a KeyDescriptor>, Missing> {
    let wallet = match &order.task.operation {
        // The order and the acknowledgements prove these.
        Operation::KeyGen(_) | Operation::KeyReshare(_) => return Ok(None),
        Operation::KeySign(keysign) => keysign.key,
        Operation::KeyShareSign(check_up) => check_up.key,
    };
    let known = context.wallets.get(&wallet);
    let generations = known.ok_or(Missing::Wallet { wallet })?;
    // A check-up is of one generation; all have the same root key.
    let chosen = match outcome {
        Outcome::Intact(made) => generations
            .iter()
            .find(|one| one.generation == made.generation),
        Outcome::Created(_)
        | Outcome::Signed(_)
        | Outcome::Refused(_)
        | Outcome::Failed(_)
        | Outcome::Reshared(_) => generations.last(),
    };
    chosen
        .map(|one| Some(*one))
        .ok_or(Missing::Wallet { wallet })
}

/// The signatures that a task orders. The networks affect only the meaning, which does not matter
/// here.
fn inputs(operation: &Operation, wallet: Option<&KeyDescriptor>) -> Option<Vec<Input>> {
    match (operation, wallet) {
        (Operation::KeySign(keysign), Some(wallet)) => {
            let networks = Networks::default();
            let decoded = countersign_payload::decode(
                &wallet.into(),
                &keysign.path,
                &keysign.payload,
                &networks,
            );
            decoded.ok().map(|decoded| decoded.inputs)
        }
        (
            Operation::KeySign(_)
            | Operation::KeyGen(_)
            | Operation::KeyReshare(_)
            | Operation::KeyShareSign(_),
            _,
        ) => Some(Vec::new()),
    }
}

/// The part of a result that is the same at all nodes.
fn shared(outcome: &Outcome) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Signed(signed) => {
            let signatures = signed.signatures.iter().map(|one| &one.signature[..]);
            Some(signatures.collect::<Vec<_>>().concat())
        }
        Outcome::Created(made) | Outcome::Reshared(made) => Some(made.digest().0.to_vec()),
        Outcome::Refused(_) | Outcome::Failed(_) | Outcome::Intact(_) => None,
    }
}

/// Judges a vote. `given`: true if a node was given it.
fn judge(
    vote: &Vote,
    given: bool,
    hash: &Hash,
    context: &Context<'_>,
) -> Result<Result<Proven, Missing>, Wrong> {
    let key = vote.ballot().approver;
    let approves = vote.ballot().choice == Choice::Approve;
    let at = vote.ballot().time;
    match countersign_vote::check(vote, hash, context.trust.pages) {
        Ok(_) => Ok(match owner(context, &key) {
            Some(approver) if given => Ok(Proven::Vote {
                approver,
                approves,
                at,
            }),
            Some(approver) => Ok(Proven::LateVote {
                approver,
                approves,
                at,
            }),
            None => Err(Missing::Approver {
                approver: key.to_string(),
            }),
        }),
        Err(CheckError::NoPasskeys) => Ok(Err(Missing::Passkey)),
        Err(reason) => Err(Wrong::Vote {
            approver: key.to_string(),
            reason,
        }),
    }
}

/// The person whom the profile lists with this key.
fn owner(context: &Context<'_>, key: &ApproverId) -> Option<String> {
    crate::count::owner(context.trust.people?, key)
}
