//! Preflights: would a task be approved, by whom, and why not? The nodes are asked, and nothing is
//! kept: no task is stored, no place is taken, and the id remains unused.
//!
//! The answers are the nodes' word and promise nothing. A plugin with a server is not asked, limits
//! may be used up in the meantime, and files may change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use countersign_api::{Answer, NodeForecast, Preflight, Verdict};
use countersign_protocol::control::ToNode;
use countersign_protocol::{
    Forecast, Hash, KeyDescriptor, NodeId, Operation, OperationKind, RequesterId, SignedTask, Task,
    TaskId, UnixMillis,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Connection, Inner, Presence, QUEUE, SubmitError, TaskRegistry};
use crate::share::has_room;
use crate::task::choose;

/// Preflights at a time.
const AT_ONCE: usize = 32;
/// The time for nodes to answer. A node gives up a little earlier.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no forecast. Each has a stable [code](PreflightError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// The task would not be accepted.
    #[error(transparent)]
    Task(#[from] SubmitError),
    /// The task was submitted.
    #[error("task {0} has been submitted already; look at the task itself")]
    Submitted(TaskId),
    /// Too many preflights at the same time.
    #[error("{0} preflights are under way, which is the limit; ask again in a moment")]
    Busy(usize),
    /// Too many of them are the caller's.
    #[error(
        "{0} of your preflights are under way, and the places left are reserved for others; ask again in a moment"
    )]
    Share(usize),
}

impl PreflightError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Task(error) => error.code(),
            Self::Submitted(_) => "task-submitted",
            Self::Busy(_) | Self::Share(_) => "too-many-preflights",
        }
    }
}

/// A preflight whose nodes are being asked.
#[derive(Debug)]
pub(super) struct Asking {
    requester: RequesterId,
    through: Option<Hash>,
    /// Nodes that have yet to answer. Once there are none, the entry is removed, and with it the
    /// sender.
    waiting: BTreeSet<NodeId>,
    answers: mpsc::Sender<(NodeId, Answer)>,
}

/// The answers to one question. Removes its entry, whatever becomes of the caller.
struct Answers<'r> {
    registry: &'r TaskRegistry,
    ask: u64,
    arriving: mpsc::Receiver<(NodeId, Answer)>,
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        self.registry.lock().preflights.remove(&self.ask);
    }
}

impl TaskRegistry {
    /// Asks every node that could take part how it would decide on the task, and waits a few
    /// seconds for the answers. Applies the checks of [`submit`](Self::submit), and keeps nothing.
    pub async fn preflight(
        &self,
        signed: SignedTask,
        through: Option<Hash>,
        now: UnixMillis,
    ) -> Result<Preflight, PreflightError> {
        let (mut gathered, mut answers) = self.begin(signed, through, now)?;
        let until = Instant::now() + PATIENCE;
        while let Ok(Some((node, answer))) = timeout_at(until, answers.arriving.recv()).await {
            gathered.hear(node, answer);
        }
        Ok(gathered.conclude(now))
    }

    fn begin(
        &self,
        signed: SignedTask,
        through: Option<Hash>,
        now: UnixMillis,
    ) -> Result<(Gathered, Answers<'_>), PreflightError> {
        let claimed = Arc::new(signed.claim().map_err(SubmitError::from)?);
        let id = claimed.task().id;
        let mut inner = self.lock();
        if let Some(record) = self.record_of(&inner, id).map_err(SubmitError::from)? {
            return Err(if record.task.as_bytes() == claimed.signed().bytes {
                PreflightError::Submitted(id)
            } else {
                SubmitError::Conflict(id).into()
            });
        }
        let task = self
            .authenticate(&claimed, now)
            .map_err(SubmitError::from)?;
        let wallet = self.wallet_for(&inner, &task)?;
        inner.check_room(self.rules.load().open_tasks, &task.requester, through)?;
        inner.check_preflights(&task.requester, through)?;
        let gathered = Gathered::new(&inner, &task, wallet.as_ref());
        let (sender, arriving) = mpsc::channel(gathered.answers.len().max(1));
        let ask = inner.next_ask();
        let waiting = inner.ask_all(ask, claimed.signed(), &gathered);
        if !waiting.is_empty() {
            let asking = Asking {
                requester: task.requester,
                through,
                waiting,
                answers: sender,
            };
            inner.preflights.insert(ask, asking);
        }
        let answers = Answers {
            registry: self,
            ask,
            arriving,
        };
        Ok((gathered, answers))
    }

    /// Handles a node's answer.
    pub(super) fn forecast(&self, connection: Connection, ask: u64, forecast: Forecast) {
        let mut inner = self.lock();
        if inner.is_current(connection) {
            inner.answer(ask, connection.node, forecast.into());
        }
    }
}

impl Inner {
    fn check_preflights(
        &self,
        requester: &RequesterId,
        through: Option<Hash>,
    ) -> Result<(), PreflightError> {
        let open = self.preflights.len();
        if open >= AT_ONCE {
            return Err(PreflightError::Busy(open));
        }
        let count = |theirs: &dyn Fn(&Asking) -> bool| {
            self.preflights
                .values()
                .filter(|asking| theirs(asking))
                .count()
        };
        let own = count(&|asking| asking.requester == *requester);
        let by_key = count(&|asking| through.is_some() && asking.through == through);
        let most = own.max(by_key);
        if has_room(AT_ONCE, open, most) {
            Ok(())
        } else {
            Err(PreflightError::Share(most))
        }
    }

    fn next_ask(&mut self) -> u64 {
        self.last_ask += 1;
        self.last_ask
    }

    /// Sends the question; returns the nodes that are to answer. One whose queue is half full has
    /// more urgent things to read.
    fn ask_all(&mut self, ask: u64, signed: &SignedTask, gathered: &Gathered) -> BTreeSet<NodeId> {
        let mut waiting = BTreeSet::new();
        for (node, parties) in &gathered.parties {
            let reads = |presence: &Presence| presence.queue.capacity() >= QUEUE / 2;
            if self.nodes.get(node).is_some_and(reads) {
                let frame = ToNode::Preflight {
                    ask,
                    task: signed.clone(),
                    parties: parties.clone(),
                };
                self.send(*node, frame);
                waiting.insert(*node);
            }
        }
        waiting.retain(|node| self.nodes.contains_key(node));
        waiting
    }

    fn answer(&mut self, ask: u64, node: NodeId, answer: Answer) {
        let Some(asking) = self.preflights.get_mut(&ask) else {
            return;
        };
        if asking.waiting.remove(&node) {
            // There is room for one answer of each node; nobody listens if the caller has gone.
            drop(asking.answers.try_send((node, answer)));
        }
        if asking.waiting.is_empty() {
            self.preflights.remove(&ask);
        }
    }

    /// Nobody waits for a node that has left.
    pub(super) fn give_up_forecasts(&mut self, node: NodeId) {
        let asks: Vec<u64> = self.preflights.keys().copied().collect();
        for ask in asks {
            self.answer(ask, node, Answer::Offline);
        }
    }
}

/// The answers so far.
struct Gathered {
    task: TaskId,
    operation: OperationKind,
    needed: usize,
    /// The parties that each node that could take part would be offered the task with.
    parties: BTreeMap<NodeId, Vec<NodeId>>,
    /// The nodes that would take part now; absent if they would have to be waited for.
    chosen: Option<Vec<NodeId>>,
    /// The wallet whose signers the coordinator chooses; absent if it does not.
    choice: Option<KeyDescriptor>,
    answers: BTreeMap<NodeId, Answer>,
}

impl Gathered {
    fn new(inner: &Inner, task: &Task, wallet: Option<&KeyDescriptor>) -> Self {
        let online = |node: &NodeId| inner.nodes.contains_key(node);
        let free = |node: &NodeId| inner.is_free(node);
        let fixed = choose::fixed(&task.operation);
        let (parties, chosen): (BTreeMap<_, Vec<NodeId>>, _) =
            match (&fixed, &task.operation, wallet) {
                (Some(parties), _, _) => {
                    let all = parties
                        .iter()
                        .map(|node| (*node, parties.clone()))
                        .collect();
                    let chosen = parties.iter().all(free).then(|| parties.clone());
                    (all, chosen)
                }
                (None, Operation::KeyReshare(reshare), _) => {
                    let holders = reshare.from.committee.members().iter();
                    let members = reshare.committee.members().iter().chain(holders);
                    let with =
                        |node: &NodeId| choose::resharers_with(&task.id, reshare, node, online);
                    let all = members.map(|node| (*node, with(node))).collect();
                    (all, choose::resharers(&task.id, reshare, free))
                }
                (None, _, Some(wallet)) => {
                    let members = wallet.committee.members().iter();
                    let with = |node: &NodeId| choose::signers_with(&task.id, wallet, node, online);
                    let all = members.map(|node| (*node, with(node))).collect();
                    (all, choose::signers(&task.id, wallet, free))
                }
                // Only tasks that use a wallet leave the choice of parties open.
                (None, _, None) => (BTreeMap::new(), None),
            };
        let answers = parties.keys().map(|node| {
            let answer = if online(node) {
                Answer::NoAnswer
            } else {
                Answer::Offline
            };
            (*node, answer)
        });
        Self {
            task: task.id,
            operation: OperationKind::from(&task.operation),
            needed: parties.values().map(Vec::len).min().unwrap_or_default(),
            chosen,
            choice: wallet.filter(|_| fixed.is_none()).cloned(),
            answers: answers.collect(),
            parties,
        }
    }

    fn hear(&mut self, node: NodeId, answer: Answer) {
        self.answers.insert(node, answer);
    }

    fn conclude(self, now: UnixMillis) -> Preflight {
        let verdict = self.verdict();
        let chosen: BTreeSet<NodeId> = self.chosen.iter().flatten().copied().collect();
        let nodes = self.answers.into_iter().map(|(node, answer)| NodeForecast {
            node,
            chosen: chosen.contains(&node),
            answer: answer.into(),
        });
        Preflight {
            task: self.task,
            operation: self.operation.into(),
            at: now,
            needed: self.needed,
            verdict: verdict.into(),
            nodes: nodes.collect(),
        }
    }

    fn verdict(&self) -> Verdict {
        let Some(chosen) = &self.chosen else {
            return self.verdict_without_choice();
        };
        let those = |is: fn(&Answer) -> bool| -> Vec<NodeId> {
            let answers = chosen
                .iter()
                .filter_map(|node| self.answers.get_key_value(node));
            answers
                .filter(|(_, answer)| is(answer))
                .map(|(node, _)| *node)
                .collect()
        };
        let refusing = those(Answer::refuses);
        if !refusing.is_empty() {
            let instead = self.instead();
            return Verdict::Refused {
                by: refusing,
                instead,
            };
        }
        let silent = those(Answer::says_nothing);
        if !silent.is_empty() {
            return Verdict::Unknown { of: silent };
        }
        let by = chosen.clone();
        let undecided = those(Answer::is_open);
        if undecided.is_empty() {
            Verdict::Approved { by }
        } else {
            Verdict::Open { by, undecided }
        }
    }

    /// The task would wait, unless a node without which it cannot be done refuses anyway.
    fn verdict_without_choice(&self) -> Verdict {
        let indispensable = |node: &NodeId| self.parties.values().all(|with| with.contains(node));
        let all = self.answers.iter();
        let refusing = all
            .clone()
            .filter(|(node, answer)| answer.refuses() && indispensable(node));
        let by: Vec<NodeId> = refusing.map(|(node, _)| *node).collect();
        if !by.is_empty() {
            let instead = Vec::new();
            return Verdict::Refused { by, instead };
        }
        let missing = all.filter(|(_, answer)| **answer == Answer::Offline);
        Verdict::Waiting {
            missing: missing.map(|(node, _)| *node).collect(),
        }
    }

    /// Signers none of which objects, in place of those that would be chosen.
    fn instead(&self) -> Vec<NodeId> {
        let willing = |node: &NodeId| {
            let answer = self.answers.get(node);
            answer.is_some_and(|answer| matches!(answer, Answer::WouldApprove { .. }))
        };
        let signers = self
            .choice
            .as_ref()
            .and_then(|wallet| choose::signers(&self.task, wallet, willing));
        signers.unwrap_or_default()
    }
}
