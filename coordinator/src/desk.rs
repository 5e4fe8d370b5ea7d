//! Where everything meets: who is on line, which tasks are under way, and the store.
//!
//! One lock, held for microseconds and never across an await. Requests and frames come in as method calls with the time;
//! frames for nodes go out through each connection's bounded queue. No socket is known here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    Announcement, KeyGen, KeyId, KeySign, NodeId, Operation, RequesterId, SignedTask, Task, TaskError,
    TaskId, UnixMillis,
};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::clean;
use crate::store::{Store, StoreError, Ticket};
use crate::task::flow::{Change, Effects, Flow, Input, Timings, World};
use crate::task::record::{Proof, TaskRecord};

/// What the desk is told once.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Admitted nodes and their names.
    pub nodes: BTreeMap<NodeId, String>,
    /// Whose tasks are taken; absent: anybody's whose signature fits.
    pub requesters: Option<Vec<RequesterId>>,
    /// How long to wait for what.
    pub timings: Timings,
    /// Tasks under way at most.
    pub open_tasks: usize,
}

/// The meeting place.
#[derive(Debug)]
pub struct Desk {
    rules: Rules,
    store: Store,
    state: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    nodes: BTreeMap<NodeId, Presence>,
    tasks: HashMap<TaskId, Active>,
    last_sequence: u64,
    last_connection: u64,
}

#[derive(Debug)]
struct Presence {
    connection: u64,
    software: String,
    since: UnixMillis,
    queue: mpsc::Sender<ToNode>,
}

#[derive(Debug)]
struct Active {
    flow: Flow,
    revision: watch::Sender<u64>,
}

/// A connection of a node, as the desk knows it. A frame from an older connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    node: NodeId,
    number: u64,
}

/// What a node that is on line says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// Program and version.
    pub software: String,
    /// When it connected.
    pub since: UnixMillis,
}

/// An accepted task.
#[derive(Debug)]
pub struct Submitted {
    /// The task as it stands.
    pub record: TaskRecord,
    /// False if the same bytes had come in before.
    pub new: bool,
    /// What to wait for before saying that it was accepted.
    pub ticket: Ticket,
}

/// Why a task is not accepted. Each has a stable [code](SubmitError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The task itself.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The id means something else.
    #[error("task {0} exists with other bytes; choose a new random id for a new task")]
    Conflict(TaskId),
    /// Nobody made this wallet here.
    #[error("wallet {0} is not known to this coordinator; list the wallets and use one of their ids")]
    UnknownWallet(KeyId),
    /// A node that may not connect here.
    #[error("node {0} is not admitted at this coordinator; add it under `nodes` in its configuration")]
    UnknownNode(NodeId),
    /// The requested signers do not fit the wallet.
    #[error(
        "the signers must be exactly {needed} different members of the wallet's committee; correct the list"
    )]
    Signers {
        /// The wallet's threshold.
        needed: u16,
    },
    /// Too much at once.
    #[error("{0} tasks are under way, which is the limit; wait until some have ended")]
    Busy(usize),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SubmitError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            SubmitError::Task(error) => error.code(),
            SubmitError::Conflict(_) => "task-conflict",
            SubmitError::UnknownWallet(_) => "wallet-unknown",
            SubmitError::UnknownNode(_) => "node-unknown",
            SubmitError::Signers { .. } => "task-signers",
            SubmitError::Busy(_) => "too-many-tasks",
            SubmitError::Store(_) => "store",
        }
    }
}

/// A frame that no node of this protocol sends. The connection ends, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// A second hello.
    #[error("a second hello on one connection")]
    SecondHello,
}

impl Desk {
    /// Takes up the tasks that the store holds.
    pub fn open(rules: Rules, store: Store) -> Result<Desk, StoreError> {
        let mut inner = Inner { last_sequence: store.last_sequence()?, ..Inner::default() };
        for record in store.unfinished()? {
            let flow = restore(&store, record)?;
            inner.tasks.insert(flow.task().id, Active::new(flow));
        }
        info!(unfinished = inner.tasks.len(), "tasks taken up");
        Ok(Desk { rules, store, state: Mutex::new(inner) })
    }

    /// What the desk was told.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes a task in. The same bytes again give the same task again.
    pub fn submit(&self, signed: SignedTask, now: UnixMillis) -> Result<Submitted, SubmitError> {
        let claimed = signed.parse()?;
        let mut inner = self.lock();
        if let Some(record) = self.record_of(&inner, claimed.id)? {
            let same = record.task.as_bytes() == signed.bytes;
            let record = if same { Ok(record) } else { Err(SubmitError::Conflict(claimed.id)) }?;
            return Ok(Submitted { record, new: false, ticket: self.store.now() });
        }
        let task = signed.authenticate(|requester| self.is_listed(requester), now)?;
        let wallet = self.wallet_for(&task)?;
        if inner.tasks.len() >= self.rules.open_tasks {
            return Err(SubmitError::Busy(inner.tasks.len()));
        }
        let flow = Flow::accept(inner.last_sequence + 1, signed, wallet, now)?;
        let ticket = self.store.put_task(task.id, &flow.record)?;
        inner.last_sequence += 1;
        info!(task = %task.id, operation = task.operation.name(), requester = %task.requester, "task accepted");
        inner.tasks.insert(task.id, Active::new(flow));
        self.step(&mut inner, task.id, Input::Tick, now);
        let record = self.record_of(&inner, task.id)?.ok_or(SubmitError::Conflict(task.id))?;
        Ok(Submitted { record, new: true, ticket })
    }

    /// A node's hello. Returns the connection's name and the queue of frames for it.
    pub fn join(
        &self,
        node: NodeId,
        software: &str,
        pending: &[TaskId],
        now: UnixMillis,
    ) -> (Connection, mpsc::Receiver<ToNode>) {
        let (queue, frames) = mpsc::channel(QUEUE);
        let mut inner = self.lock();
        inner.last_connection += 1;
        let number = inner.last_connection;
        let presence = Presence { connection: number, software: clean::text(software), since: now, queue };
        inner.nodes.insert(node, presence);
        self.step_all(&mut inner, now, || Input::Joined(node));
        for task in pending.iter().take(QUEUE / 2) {
            self.settle(&mut inner, node, *task);
        }
        (Connection { node, number }, frames)
    }

    /// The connection ended.
    pub fn leave(&self, connection: Connection, now: UnixMillis) {
        let mut inner = self.lock();
        if inner.is_current(connection) {
            inner.nodes.remove(&connection.node);
            self.step_all(&mut inner, now, || Input::Left(connection.node));
        }
    }

    /// A frame that came in on a connection.
    pub fn receive(
        &self,
        connection: Connection,
        frame: FromNode,
        now: UnixMillis,
    ) -> Result<(), Misbehaviour> {
        let from = connection.node;
        let (task, input) = match clean::frame(frame) {
            FromNode::Hello { .. } => return Err(Misbehaviour::SecondHello),
            FromNode::Decision { task, refusal, verdicts } => {
                (task, Input::Decision { from, refusal, verdicts })
            }
            FromNode::Progress { task, stage, waiting_for } => {
                (task, Input::Progress { from, stage, waiting_for })
            }
            FromNode::Outcome { task, outcome } => (task, Input::Outcome { from, outcome }),
        };
        let mut inner = self.lock();
        if inner.is_current(connection) {
            self.step(&mut inner, task, input, now);
        }
        Ok(())
    }

    /// Time passed.
    pub fn tick(&self, now: UnixMillis) {
        self.step_all(&mut self.lock(), now, || Input::Tick);
    }

    /// A task as it stands.
    pub fn record(&self, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        self.record_of(&self.lock(), id)
    }

    /// Follows the revision of a task that is under way. Ends when the task has ended.
    pub fn watch(&self, id: TaskId) -> Option<watch::Receiver<u64>> {
        self.lock().tasks.get(&id).map(|active| active.revision.subscribe())
    }

    /// Who is on line.
    pub fn online(&self) -> BTreeMap<NodeId, Online> {
        let online = |(node, presence): (&NodeId, &Presence)| {
            (*node, Online { software: presence.software.clone(), since: presence.since })
        };
        self.lock().nodes.iter().map(online).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_listed(&self, requester: &RequesterId) -> bool {
        self.rules.requesters.as_ref().is_none_or(|listed| listed.contains(requester))
    }

    fn record_of(&self, inner: &Inner, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        match inner.tasks.get(&id) {
            Some(active) => Ok(Some(active.flow.record.clone())),
            None => self.store.task(id),
        }
    }

    /// Checks what a task refers to, and returns the wallet that it uses.
    fn wallet_for(&self, task: &Task) -> Result<Option<Announcement>, SubmitError> {
        match &task.operation {
            Operation::KeyGen(KeyGen { committee, .. }) => {
                let unknown = committee.members().iter().find(|node| !self.rules.nodes.contains_key(node));
                unknown.map_or(Ok(None), |node| Err(SubmitError::UnknownNode(*node)))
            }
            Operation::KeySign(keysign) => {
                let wallet = self.store.wallet(keysign.key)?;
                let wallet = wallet.ok_or(SubmitError::UnknownWallet(keysign.key))?;
                check_signers(keysign, &wallet)?;
                Ok(Some(wallet))
            }
        }
    }

    fn step_all(&self, inner: &mut Inner, now: UnixMillis, input: impl Fn() -> Input) {
        let mut ids: Vec<(u64, TaskId)> =
            inner.tasks.iter().map(|(id, active)| (active.flow.record.sequence, *id)).collect();
        ids.sort_unstable();
        for (_, id) in ids {
            self.step(inner, id, input(), now);
        }
    }

    /// One step of one task; of one that has ended, too, since late outcomes count.
    fn step(&self, inner: &mut Inner, id: TaskId, input: Input, now: UnixMillis) {
        let mut late = None;
        let flow = match inner.tasks.get_mut(&id) {
            Some(active) => &mut active.flow,
            None => match self.load(id) {
                Some(flow) => late.insert(flow),
                None => return warn!(task = %id, "a node spoke of a task that is not known here"),
            },
        };
        let had_result = flow.record.result.is_some();
        let nodes = &inner.nodes;
        let online = |node: &NodeId| nodes.contains_key(node);
        let effects = flow.step(input, &World { now, online: &online, timings: &self.rules.timings });
        let (change, send) = (effects.change, effects.send);
        if change == Change::Stored {
            self.keep(flow, !had_result);
        }
        let (revision, ended) = (flow.record.revision, flow.record.state.is_final());
        if let Some(active) = inner.tasks.get(&id) {
            active.revision.send_if_modified(|known| std::mem::replace(known, revision) != revision);
        }
        if ended {
            inner.tasks.remove(&id);
        }
        for (node, frame) in send {
            inner.send(node, frame);
        }
    }

    fn load(&self, id: TaskId) -> Option<Flow> {
        let loaded = self.store.task(id);
        let loaded = loaded.and_then(|record| record.map(|record| restore(&self.store, record)).transpose());
        loaded.unwrap_or_else(|error| {
            error!(task = %id, %error, "the task cannot be loaded");
            None
        })
    }

    /// A store that is broken shows in `/ready` and refuses new tasks; tasks under way go on, since nodes keep their own
    /// journals.
    fn keep(&self, flow: &Flow, new_result: bool) {
        let (id, record) = (flow.task().id, &flow.record);
        let wallet = match &record.result {
            Some(Proof::Created(announcement)) if new_result => Some(announcement),
            _ => None,
        };
        let kept = wallet.map_or(Ok(()), |wallet| self.store.put_wallet(wallet).map(drop));
        if let Err(error) = kept.and_then(|()| self.store.put_task(id, record).map(drop)) {
            error!(task = %id, %error, "the task cannot be stored");
        }
        info!(task = %id, state = ?record.state, reason = record.reason.as_ref().map(|r| r.code.as_str()), "task changed");
    }

    fn settle(&self, inner: &mut Inner, node: NodeId, task: TaskId) {
        let Some(flow) = self.load(task) else { return };
        let member = flow.record.parties.iter().any(|party| party.node == node);
        let mut effects = Effects::default();
        if member {
            flow.settle(node, &mut effects);
        }
        for (node, frame) in effects.send {
            inner.send(node, frame);
        }
    }
}

impl Inner {
    fn is_current(&self, connection: Connection) -> bool {
        self.nodes.get(&connection.node).is_some_and(|presence| presence.connection == connection.number)
    }

    /// A node whose queue is full does not read; dropping the queue ends its connection, and it is offered its tasks again
    /// when it returns.
    fn send(&mut self, node: NodeId, frame: ToNode) {
        let Some(presence) = self.nodes.get(&node) else { return };
        if presence.queue.try_send(frame).is_err() {
            warn!(%node, "the node does not read its frames; disconnecting it");
            self.nodes.remove(&node);
        }
    }
}

impl Active {
    fn new(flow: Flow) -> Active {
        let revision = watch::Sender::new(flow.record.revision);
        Active { flow, revision }
    }
}

fn restore(store: &Store, record: TaskRecord) -> Result<Flow, StoreError> {
    let unreadable = |error: TaskError| StoreError::Row { table: "tasks", reason: error.to_string() };
    let mut flow = Flow::restore(record).map_err(unreadable)?;
    if let Operation::KeySign(keysign) = &flow.task().operation {
        let wallet = store.wallet(keysign.key)?;
        flow.set_wallet(wallet);
    }
    Ok(flow)
}

fn check_signers(keysign: &KeySign, wallet: &Announcement) -> Result<(), SubmitError> {
    let Some(signers) = &keysign.signers else { return Ok(()) };
    let needed = wallet.threshold.get();
    let members = signers.iter().all(|node| wallet.committee.index_of(node).is_some());
    if members && signers.len() == usize::from(needed) {
        Ok(())
    } else {
        Err(SubmitError::Signers { needed })
    }
}

/// Frames that wait for one node. More than the tasks that may be under way, so that a reconnect fits.
const QUEUE: usize = 2048;
