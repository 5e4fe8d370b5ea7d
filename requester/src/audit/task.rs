//! A task across all logs: who ordered it, who voted, how each node decided, and whether the result
//! is what was ordered.

use std::collections::BTreeMap;

use countersign_audit::{NodeLog, Record, Row, State, TaskTold};
use countersign_payload::Networks;
use countersign_protocol::{
    ApproverId, Choice, Hash, KeyDescriptor, NodeId, Operation, OrderProof, Outcome, SignedTask,
    Task, TaskError, TaskId, Vote,
};
use countersign_verify::{Input, result};
use countersign_vote::CheckError;

use super::Context;
use super::finding::{Missing, Proven, Report, Subject, Wrong};

/// What is told of each task.
#[derive(Default)]
pub(super) struct Tasks<'a> {
    all: BTreeMap<TaskId, Gathered<'a>>,
}

#[derive(Default)]
struct Gathered<'a> {
    told: Option<&'a TaskTold>,
    seen: Vec<Seen<'a>>,
    /// True if a part of it is of the time that is asked about.
    of_time: bool,
}

/// A task as a node has it on record. The node's log vouches for it.
struct Seen<'a> {
    node: NodeId,
    record: &'a Record,
    row: Row,
}

impl<'a> Tasks<'a> {
    /// Adds what a coordinator tells.
    pub(super) fn told(&mut self, told: &'a TaskTold, report: &mut Report) {
        match told.order().parse() {
            Ok(task) => {
                let gathered = self.all.entry(task.id).or_default();
                if gathered.told.is_some() {
                    report.wrong(Subject::Task(task.id), Wrong::TwoOrders);
                }
                gathered.told = Some(told);
                gathered.of_time = true;
            }
            Err(error) => report.wrong(Subject::Coordinator, Wrong::Order(error.to_string())),
        }
    }

    /// Adds the record of a node.
    pub(super) fn seen(&mut self, log: &'a NodeLog, record: &'a Record, row: Row, of_time: bool) {
        let gathered = self.all.entry(row.task).or_default();
        gathered.of_time |= of_time;
        gathered.seen.push(Seen {
            node: log.node,
            record,
            row,
        });
    }

    pub(super) fn verify(self, context: &Context<'_>, report: &mut Report) {
        for (id, gathered) in self.all.iter().filter(|(_, one)| one.of_time) {
            let subject = Subject::Task(*id);
            match gathered.order(context) {
                Ok((order, facts)) => {
                    for fact in facts {
                        match fact {
                            Ok(proven) => report.proven(subject, proven),
                            Err(missing) => report.missing(subject, missing),
                        }
                    }
                    gathered.verify(&order, context, subject, report);
                }
                Err(wrong) => report.wrong(subject, wrong),
            }
        }
    }
}

/// The one order that all are about.
struct Order {
    task: Task,
    hash: Hash,
}

type Facts = Vec<Result<Proven, Missing>>;

impl Gathered<'_> {
    /// The order. An error if there are several, or if its requester did not sign it.
    fn order(&self, context: &Context<'_>) -> Result<(Order, Facts), Wrong> {
        let told = self
            .told
            .map(|told| (told.order().bytes, Some(told.signature.clone())));
        let seen = self.seen.iter().map(|seen| {
            let order = seen.record.beside.order.clone();
            (seen.row.bytes.clone(), order)
        });
        let mut orders = told.into_iter().chain(seen);
        // A task is gathered because somebody has it.
        let Some((bytes, mut signature)) = orders.next() else {
            return Err(Wrong::TwoOrders);
        };
        let task = parse(&bytes)?;
        let requester = task.requester;
        let pages = context.trust.passkeys();
        let is_signed = |signature: &OrderProof| {
            let order = SignedTask {
                bytes: bytes.clone(),
                signature: signature.clone(),
            };
            match order.prove(&requester, pages) {
                Ok(()) => Ok(true),
                Err(TaskError::NoPasskeys(_)) => Ok(false),
                Err(_) => Err(Wrong::Requester { requester }),
            }
        };
        let mut verified = true;
        if let Some(signature) = &signature {
            verified &= is_signed(signature)?;
        }
        for (other, also) in orders {
            if other != bytes {
                return Err(Wrong::TwoOrders);
            }
            if let Some(also) = &also {
                verified &= is_signed(also)?;
            }
            signature = signature.or(also);
        }
        let fact = match signature {
            None => Err(Missing::OrderSignature),
            Some(_) if !verified => Err(Missing::OrderPages { requester }),
            Some(_) if context.trust.known.trusts(&requester) => {
                Ok(Proven::Requester { requester })
            }
            Some(_) => Err(Missing::Requester { requester }),
        };
        let hash = SignedTask::hash_of(&bytes);
        Ok((Order { task, hash }, vec![fact]))
    }

    fn verify(&self, order: &Order, context: &Context<'_>, subject: Subject, report: &mut Report) {
        if self.told.is_none() && context.bundle.coordinator.is_some() {
            report.missing(subject, Missing::AtCoordinator);
        }
        self.decisions(subject, report);
        self.votes(order, context, subject, report);
        for seen in &self.seen {
            seen.result(order, context, subject, report);
        }
        self.agreement(subject, report);
        self.parties(order, context, subject, report);
    }

    fn decisions(&self, subject: Subject, report: &mut Report) {
        for seen in &self.seen {
            let node = seen.node;
            let approved = match &seen.row.state {
                State::Approved => true,
                State::Ended { outcome, .. } => !matches!(**outcome, Outcome::Refused(_)),
            };
            let against = seen.row.verdicts.iter().find(|verdict| !verdict.approved);
            match against {
                Some(verdict) if approved => {
                    let plugin = verdict.plugin.clone();
                    report.wrong(subject, Wrong::Verdict { node, plugin });
                }
                Some(_) | None => {
                    let verdicts = seen.row.verdicts.len();
                    let decision = Proven::Decision {
                        node,
                        approved,
                        verdicts,
                    };
                    report.proven(subject, decision);
                }
            }
        }
    }

    /// Every vote that anybody tells proves itself, or does not.
    fn votes(&self, order: &Order, context: &Context<'_>, subject: Subject, report: &mut Report) {
        let told: &[Vote] = self.told.map_or(&[], |told| &told.votes);
        let at_nodes = self
            .seen
            .iter()
            .filter_map(|seen| seen.record.beside.votes.as_ref());
        let mut votes: Vec<&Vote> = told.iter().chain(at_nodes.flatten()).collect();
        votes.sort_by_key(|vote| vote.to_bytes());
        votes.dedup();
        for vote in &votes {
            match judge(vote, &order.hash, context) {
                Ok(Ok(proven)) => report.proven(subject, proven),
                Ok(Err(missing)) => report.missing(subject, missing),
                Err(wrong) => report.wrong(subject, wrong),
            }
        }
        let asked_for = order.task.collect.is_some() || !votes.is_empty();
        for seen in &self.seen {
            let node = seen.node;
            match &seen.record.beside.votes {
                None if asked_for => report.missing(subject, Missing::Votes { node }),
                None => {}
                Some(given) => {
                    // Later votes change no decision, and need not have reached the node.
                    let decided = seen.row.received_at.0;
                    let early = |vote: &&Vote| {
                        vote.ballot().time.0.saturating_add(Vote::MAX_SKEW_MS) < decided
                    };
                    for vote in told.iter().filter(early) {
                        if !given.contains(vote) {
                            let approver = vote.ballot().approver.to_string();
                            report.missing(subject, Missing::VoteAtNode { node, approver });
                        }
                    }
                }
            }
        }
    }

    /// Nodes, and the coordinator, have the same result.
    fn agreement(&self, subject: Subject, report: &mut Report) {
        let results = self.seen.iter().filter_map(|seen| {
            let outcome = seen.row.state.outcome()?;
            shared(outcome).map(|shared| (seen.node, shared))
        });
        let results: Vec<_> = results.collect();
        let Some(((one, first), rest)) = results.split_first() else {
            return;
        };
        if let Some((other, _)) = rest.iter().find(|(_, result)| result != first) {
            let one = *one;
            let other = *other;
            return report.wrong(subject, Wrong::Disagreement { one, other });
        }
        let told = self.told.and_then(|told| told.result.as_ref());
        if told.and_then(shared).is_some_and(|told| told != *first) {
            return report.wrong(subject, Wrong::ToldResult);
        }
        if results.len() > 1 {
            let nodes = results.len();
            report.proven(subject, Proven::Agreement { nodes });
        }
    }

    /// Everybody who was asked has it on record.
    fn parties(&self, order: &Order, context: &Context<'_>, subject: Subject, report: &mut Report) {
        let told = self.told.iter().flat_map(|told| &told.parties);
        let seen = self.seen.iter().flat_map(|seen| &seen.row.parties);
        let mut parties: Vec<NodeId> = told.chain(seen).copied().collect();
        parties.sort_unstable();
        parties.dedup();
        for node in parties {
            if self.seen.iter().any(|seen| seen.node == node) {
                continue;
            }
            let log = context.bundle.nodes.iter().find(|log| log.node == node);
            match log {
                None => report.missing(subject, Missing::LogOf { node }),
                // What became of its record is said of the node.
                Some(log)
                    if log
                        .entries
                        .iter()
                        .any(|one| one.task == Some(order.task.id)) => {}
                Some(_) => report.missing(subject, Missing::AtNode { node }),
            }
        }
    }
}

impl Seen<'_> {
    /// Verifies the result that the node has on record, under keys that are believed.
    fn result(&self, order: &Order, context: &Context<'_>, subject: Subject, report: &mut Report) {
        let node = self.node;
        let Some(outcome) = self.row.state.outcome() else {
            return report.missing(subject, Missing::Outcome { node });
        };
        if matches!(outcome, Outcome::Refused(_) | Outcome::Failed(_)) {
            return;
        }
        let wallet = match wallet_of(order, outcome, context) {
            Ok(wallet) => wallet,
            Err(missing) => return report.missing(subject, missing),
        };
        let Some(inputs) = inputs(&order.task.operation, wallet) else {
            return report.wrong(subject, Wrong::Payload { node });
        };
        let ordered = result::Order {
            task: &order.task,
            hash: order.hash,
            wallet,
            parties: &self.row.parties,
            inputs: &inputs,
        };
        match ordered.check(&node, outcome) {
            Ok(()) => {
                let signatures = inputs.len();
                report.proven(subject, Proven::Result { node, signatures });
            }
            Err(reason) => report.wrong(subject, Wrong::Result { node, reason }),
        }
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

fn judge(
    vote: &Vote,
    hash: &Hash,
    context: &Context<'_>,
) -> Result<Result<Proven, Missing>, Wrong> {
    let key = vote.ballot().approver;
    match countersign_vote::check(vote, hash, context.trust.pages) {
        Ok(_) => Ok(match owner(context, &key) {
            Some(approver) => Ok(Proven::Vote {
                approver,
                approves: vote.ballot().choice == Choice::Approve,
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
