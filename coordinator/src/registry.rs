//! The state shared by all connections: nodes online, tasks in progress, and the store.
//!
//! One lock, held for microseconds and never across an await. Requests and frames come in as method
//! calls with the time; frames for nodes go out through each connection's bounded queue. Knows no
//! sockets. `admit` checks new tasks, `intake` imports wallets of other coordinators, `claims` asks
//! nodes for them, `moved` sends nodes the generations that they missed, `preflight` asks nodes how
//! they would decide, `nodes` keeps what they say of themselves, `contacts` tells them of each
//! other, `votes` takes votes of people on tasks.

mod admit;
mod claims;
mod contacts;
mod drain;
mod intake;
mod moved;
mod nodes;
mod origin;
mod preflight;
mod queue;
mod twins;
mod votes;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use countersign_api::{EventKind, State, TaskResult};
use countersign_protocol::contact::Contact;
use countersign_protocol::control::{FromNode, MAX_GENERATIONS, MAX_HELD, ToNode};
use countersign_protocol::twin::{Instance, TwinMark};
use countersign_protocol::{
    Authenticated, Claimed, Hash, KeyId, NodeId, Operation, RequesterId, SignedTask, TaskError,
    TaskId, UnixMillis,
};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::api_key::Caller;
use crate::approvers::Approvers;
use crate::clean;
use crate::metrics::Counters;
use crate::share::has_room;
use crate::store::{Act, NewEvent, Store, StoreError, Ticket};
use crate::task::flow::{Change, Flow, Input, Timings, World};
use crate::task::record::TaskRecord;
use crate::webhook::Reachable;
pub use admit::SubmitError;
pub use intake::{IntakeError, TakenIn};
pub use nodes::Seen;
pub use preflight::PreflightError;
use queue::Queued;
pub use votes::{VoteError, Voted};

/// Frames that may wait for one node: more than the tasks that may be open, so
/// that a reconnect fits.
const QUEUE: usize = 2048;
/// Assumed until a node has reported its capacity.
const USUAL_CAPACITY: usize = 64;

/// The operator's settings. They may change while the coordinator runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Admitted nodes, with their names.
    pub nodes: BTreeMap<NodeId, String>,
    /// Requesters whose tasks are accepted; absent: any with a valid signature.
    pub requesters: Option<Vec<RequesterId>>,
    /// Requesters that are proposed to nodes' operators: those that may order here by themselves.
    pub named_requesters: BTreeMap<RequesterId, NamedRequester>,
    /// Time limits for each kind of task.
    pub timings: Timings,
    /// Limit on open tasks.
    pub open_tasks: usize,
    /// Networks that webhooks may reach beside the public one.
    pub webhook_networks: Reachable,
    /// The people whose votes are collected.
    pub approvers: Approvers,
}

/// A requester that is proposed to nodes' operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRequester {
    /// Its name here.
    pub name: String,
    /// Not proposed from this time on.
    pub until: Option<UnixMillis>,
}

/// Everything that the coordinator knows, behind one lock.
#[derive(Debug)]
pub struct TaskRegistry {
    rules: ArcSwap<RegistryConfig>,
    store: Store,
    state: Mutex<Inner>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Inner {
    /// True while no tasks are begun.
    draining: bool,
    nodes: BTreeMap<NodeId, Presence>,
    tasks: HashMap<TaskId, Active>,
    /// Number of tasks that each node works on.
    load: HashMap<NodeId, usize>,
    /// The newest generation of every key that was reshared at least once.
    moved: HashMap<KeyId, u32>,
    wallets: HashSet<KeyId>,
    /// Every node that was online since the start.
    seen: BTreeMap<NodeId, Seen>,
    /// Preflights under way, by the number of the question.
    preflights: HashMap<u64, preflight::Asking>,
    last_ask: u64,
    last_sequence: u64,
    last_connection: u64,
}

#[derive(Debug)]
struct Presence {
    connection: u64,
    software: String,
    since: UnixMillis,
    queue: mpsc::Sender<ToNode>,
    /// Number of tasks that it works on at a time.
    capacity: usize,
    draining: drain::NodeDrain,
    /// Keys reshared without this node, with the generation that it holds; it is told
    /// as its queue allows.
    behind: BTreeMap<KeyId, u32>,
    /// Keys that it holds and that are not known here.
    wanted: claims::Wanted,
    /// Number of its process, if reported, and its last sign of life.
    instance: Option<Instance>,
    alive: watch::Sender<Option<TwinMark>>,
    /// The contacts that it was last told; absent until it asks.
    told_contacts: Option<Vec<Contact>>,
}

#[derive(Debug)]
struct Active {
    flow: Flow,
    /// The API key that submitted it. Unknown after a restart.
    through: Option<Hash>,
    revision: watch::Sender<u64>,
}

/// A node's connection, as known to the registry. Frames from an older connection are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    node: NodeId,
    number: u64,
}

/// Properties of a node that is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// Program name and version, as reported by the node.
    pub software: String,
    /// Time of the connection, by this coordinator's clock.
    pub since: UnixMillis,
}

/// The answer to a submission.
#[derive(Debug)]
pub struct Submitted {
    /// The task's id.
    pub id: TaskId,
    /// The task's current record.
    pub record: TaskRecord,
    /// False if the same bytes were submitted before.
    pub new: bool,
    /// To be waited for before the acceptance is confirmed.
    pub ticket: Ticket,
}

/// Why a task is not cancelled.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// There is no such task.
    #[error("there is no such task; list the tasks")]
    Unknown,
    /// Its parties have been told to begin.
    #[error("all parties have approved and the protocol runs; wait for its outcome")]
    Running,
    /// It has an outcome.
    #[error("the task has ended in another way; look at its outcome")]
    Ended,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A frame that a conforming node never sends. It ends the connection, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The hello was repeated.
    #[error("a second hello on one connection")]
    SecondHello,
    /// A frame lists more keys than allowed.
    #[error("{0} keys in one frame")]
    TooManyHeld(usize),
    /// A frame shows more generations than allowed.
    #[error("{0} generations in one frame")]
    TooManyShown(usize),
}

impl TaskRegistry {
    /// Resumes the tasks in the store.
    pub fn open(rules: RegistryConfig, store: Store) -> Result<Self, StoreError> {
        let mut inner = Inner {
            last_sequence: store.last_sequence()?,
            moved: store.moved()?,
            wallets: store.wallet_ids()?,
            ..Inner::default()
        };
        for record in store.unfinished()? {
            let flow = restore(&store, record)?;
            inner.insert(flow, None);
        }
        info!(unfinished = inner.tasks.len(), "tasks resumed");
        Ok(Self {
            rules: ArcSwap::from_pointee(rules),
            store,
            state: Mutex::new(inner),
            counters: Arc::default(),
        })
    }

    /// Returns the current settings.
    pub fn rules(&self) -> Arc<RegistryConfig> {
        self.rules.load_full()
    }

    /// Replaces the settings. Tasks already accepted stay.
    pub fn set_rules(&self, rules: RegistryConfig) {
        self.rules.store(Arc::new(rules));
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The counters of the coordinator.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The number of tasks of which more is expected.
    pub fn open_tasks(&self) -> usize {
        self.lock().tasks.len()
    }

    /// Accepts a task submitted with an API key. The same bytes again return the same task.
    pub fn submit(
        &self,
        signed: SignedTask,
        caller: Option<&Caller>,
        now: UnixMillis,
    ) -> Result<Submitted, SubmitError> {
        let through = caller.map(|caller| caller.key);
        let claimed = Arc::new(signed.claim()?);
        let id = claimed.task().id;
        let mut inner = self.lock();
        if let Some(record) = self.record_of(&inner, id)? {
            let same = record.task.as_bytes() == claimed.signed().bytes;
            let record = if same {
                Ok(record)
            } else {
                Err(SubmitError::Conflict(id))
            }?;
            return Ok(Submitted {
                id,
                record,
                new: false,
                ticket: self.store.now(),
            });
        }
        let task = self.authenticate(&claimed, now)?;
        let wallet = self.wallet_for(&inner, &task)?;
        let places = self.rules.load().open_tasks;
        inner.check_room(places, &task.requester, through)?;
        if task.collect.is_some() {
            inner.check_pending(places)?;
        }
        let mut flow = Flow::accept(inner.last_sequence + 1, claimed, wallet, now)?;
        flow.record.submitted_by = caller.map(Caller::submitter);
        let accepted = vec![flow.entered(now)];
        let target = task.id.to_string();
        let act = flow.record.submitted_by.as_ref().map(|by| Act {
            at: now,
            by,
            action: "task.submit",
            target: &target,
        });
        let ticket =
            self.store
                .put_audited_task(task.id, &flow.subject(), &flow.record, accepted, act)?;
        inner.last_sequence += 1;
        info!(task = %task.id, operation = task.operation.name(), requester = %task.requester, "task accepted");
        inner.insert(flow, through);
        self.step(&mut inner, task.id, Input::Tick, now);
        let record = self
            .record_of(&inner, task.id)?
            .ok_or(SubmitError::Conflict(task.id))?;
        Ok(Submitted {
            id,
            record,
            new: true,
            ticket,
        })
    }

    /// Ends a task before its protocol begins. A task that was cancelled before stays so.
    pub fn cancel(&self, id: TaskId, by: &str, now: UnixMillis) -> Result<TaskRecord, CancelError> {
        let mut inner = self.lock();
        let known = self.record_of(&inner, id)?.ok_or(CancelError::Unknown)?;
        if !known.state.is_final() {
            self.step(&mut inner, id, Input::Cancel { by: by.into() }, now);
        }
        let record = self.record_of(&inner, id)?.ok_or(CancelError::Unknown)?;
        match record.state {
            State::Cancelled => Ok(record),
            State::Running => Err(CancelError::Running),
            State::Pending
            | State::Waiting
            | State::Approving
            | State::Completed
            | State::Rejected
            | State::Failed
            | State::Expired => Err(CancelError::Ended),
        }
    }

    /// True if the node is in the configuration, or joined.
    pub fn admits(&self, node: &NodeId) -> bool {
        self.rules.load().nodes.contains_key(node)
    }

    /// Handles a node's hello, with the number of its process if it has one. Returns the connection
    /// and its queue of frames, or nothing to a node that is not admitted any more.
    pub fn join(
        &self,
        node: NodeId,
        instance: Option<Instance>,
        software: &str,
        pending: &[TaskId],
        now: UnixMillis,
    ) -> Option<(Connection, mpsc::Receiver<ToNode>)> {
        let (queue, frames) = mpsc::channel(QUEUE);
        let mut inner = self.lock();
        // The rules may have changed since the hello. Later, `dismiss` finds the node by its place.
        if !self.admits(&node) {
            return None;
        }
        inner.last_connection += 1;
        let number = inner.last_connection;
        let software = clean::text(software);
        inner.arrived(node, &software, now);
        let presence = Presence {
            connection: number,
            software,
            since: now,
            queue,
            capacity: USUAL_CAPACITY,
            draining: drain::NodeDrain::default(),
            behind: BTreeMap::new(),
            wanted: claims::Wanted::default(),
            instance,
            alive: watch::Sender::new(None),
            told_contacts: None,
        };
        inner.nodes.insert(node, presence);
        self.step_all(&mut inner, now, || Input::Joined(node));
        for task in pending.iter().take(QUEUE / 2) {
            self.step(&mut inner, *task, Input::Pending(node), now);
        }
        Some((Connection { node, number }, frames))
    }

    /// Handles the end of a connection.
    pub fn leave(&self, connection: Connection, now: UnixMillis) {
        let mut inner = self.lock();
        if inner.is_current(connection) {
            inner.heard(connection, now);
            inner.nodes.remove(&connection.node);
            inner.give_up_forecasts(connection.node);
            self.step_all(&mut inner, now, || Input::Left(connection.node));
        }
    }

    /// Handles a frame of a connection.
    pub fn receive(
        &self,
        connection: Connection,
        frame: FromNode,
        now: UnixMillis,
    ) -> Result<(), Misbehaviour> {
        let from = connection.node;
        self.lock().heard(connection, now);
        let (task, input) = match clean::frame(frame) {
            FromNode::Hello { .. } | FromNode::HelloAs { .. } | FromNode::Join { .. } => {
                return Err(Misbehaviour::SecondHello);
            }
            FromNode::AskContacts => {
                self.follow_contacts(connection, now);
                return Ok(());
            }
            FromNode::Alive { mark } => {
                self.alive(connection, mark);
                return Ok(());
            }
            FromNode::Decision {
                task,
                refusal,
                verdicts,
            } => (
                task,
                Input::Decision {
                    from,
                    refusal,
                    verdicts,
                },
            ),
            FromNode::Progress {
                task,
                stage,
                waiting_for,
            } => (
                task,
                Input::Progress {
                    from,
                    stage,
                    waiting_for,
                    pace: None,
                },
            ),
            FromNode::Working {
                task,
                stage,
                waiting_for,
                pace,
            } => (
                task,
                Input::Progress {
                    from,
                    stage,
                    waiting_for,
                    pace: Some(pace),
                },
            ),
            FromNode::Outcome { task, outcome } => (task, Input::Outcome { from, outcome }),
            FromNode::Stored { task, descriptor } => (task, Input::Stored { from, descriptor }),
            FromNode::AbortVote { task, ack } => (task, Input::AbortVote { from, ack }),
            FromNode::Evidence { task, evidence } => (task, Input::Evidence { from, evidence }),
            FromNode::Holds { keys } if keys.len() > MAX_HELD => {
                return Err(Misbehaviour::TooManyHeld(keys.len()));
            }
            FromNode::Generations { generations } if generations.len() > MAX_GENERATIONS => {
                return Err(Misbehaviour::TooManyShown(generations.len()));
            }
            FromNode::Generations { generations } => {
                self.shown(connection, &generations, now);
                return Ok(());
            }
            FromNode::Holds { keys } => {
                self.compare(connection, &keys);
                return Ok(());
            }
            FromNode::Capacity { tasks } => {
                self.lock().set_capacity(connection, tasks);
                return Ok(());
            }
            FromNode::Draining { draining } => {
                // Tasks that wait for the node are begun at the next tick, if it takes them again.
                self.lock().set_draining(connection, draining, now);
                return Ok(());
            }
            FromNode::Preflight { ask, forecast } => {
                self.forecast(connection, ask, *forecast);
                return Ok(());
            }
            FromNode::Status { status } | FromNode::StatusWithBundles { status } => {
                self.lock().described(connection, *status, now);
                return Ok(());
            }
        };
        let mut inner = self.lock();
        if inner.is_current(connection) {
            self.step(&mut inner, task, input, now);
        }
        Ok(())
    }

    /// Advances all open tasks to `now`.
    pub fn tick(&self, now: UnixMillis) {
        let mut inner = self.lock();
        self.step_all(&mut inner, now, || Input::Tick);
        self.catch_up_all(&mut inner);
    }

    /// Returns a task's current record, if the task exists.
    pub fn record(&self, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        self.record_of(&self.lock(), id)
    }

    /// Follows the revision of an open task. Ends when nothing more is expected of the task.
    pub fn watch(&self, id: TaskId) -> Option<watch::Receiver<u64>> {
        self.lock()
            .tasks
            .get(&id)
            .map(|active| active.revision.subscribe())
    }

    /// Returns the nodes that are online.
    pub fn online(&self) -> BTreeMap<NodeId, Online> {
        let online = |(node, presence): (&NodeId, &Presence)| {
            (
                *node,
                Online {
                    software: presence.software.clone(),
                    since: presence.since,
                },
            )
        };
        self.lock().nodes.iter().map(online).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks by the rules in force that a requester whose tasks are accepted ordered this one.
    fn authenticate(
        &self,
        claimed: &Arc<Claimed>,
        now: UnixMillis,
    ) -> Result<Authenticated, TaskError> {
        let rules = self.rules.load();
        let listed = |requester: &RequesterId| {
            let requesters = rules.requesters.as_ref();
            requesters.is_none_or(|listed| listed.contains(requester))
        };
        claimed.authenticate(listed, rules.approvers.passkeys(), now)
    }

    fn record_of(&self, inner: &Inner, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        match inner.tasks.get(&id) {
            Some(active) => Ok(Some(active.flow.record.clone())),
            None => self.store.task(id),
        }
    }

    fn step_all(&self, inner: &mut Inner, now: UnixMillis, input: impl Fn() -> Input) {
        let queued = inner.tasks.values().map(|active| active.queued()).collect();
        for id in queue::fair_order(queued) {
            self.step(inner, id, input(), now);
        }
    }

    /// Advances one task by one step, even one that has ended, since late outcomes count.
    fn step(&self, inner: &mut Inner, id: TaskId, input: Input, now: UnixMillis) {
        let mut late = None;
        let is_moving = inner.is_moving(id);
        let flow = match inner.tasks.get_mut(&id) {
            Some(active) => &mut active.flow,
            None => match self.load(id) {
                Some(flow) => late.insert(flow),
                None => return warn!(task = %id, "a node reported on a task that is unknown here"),
            },
        };
        let had_result = flow.record.result.is_some();
        let before = flow.record.state;
        let occupied = flow.occupies();
        let nodes = &inner.nodes;
        let load = &inner.load;
        let draining = inner.draining;
        let online = |node: &NodeId| nodes.contains_key(node);
        let free = |node: &NodeId| !draining && is_free(nodes, load, node);
        let rules = self.rules.load();
        let effects = flow.step(
            input,
            &World {
                now,
                online: &online,
                free: &free,
                timings: &rules.timings,
                approvers: &rules.approvers,
                is_moving,
            },
        );
        for alarm in &effects.alarms {
            error!(task = %id, "{alarm}");
        }
        let newest = effects.change == Change::Stored
            && self.keep(flow, before, !had_result, effects.voted, now);
        let moved = if newest { moved::Moved::by(flow) } else { None };
        let made = if newest {
            flow.record
                .result
                .as_ref()
                .and_then(TaskResult::wallet)
                .map(|made| made.key)
        } else {
            None
        };
        let revision = flow.record.revision;
        let open = flow.record.is_open();
        let occupies = flow.occupies();
        if let Some(active) = inner.tasks.get(&id) {
            active
                .revision
                .send_if_modified(|known| std::mem::replace(known, revision) != revision);
        }
        match late {
            // A party is in doubt about a reshare that was believed to have failed everywhere.
            Some(flow) if open => inner.insert(flow, None),
            Some(_) => {}
            None => {
                inner.moved_on(&occupied, &occupies);
                if !open {
                    inner.tasks.remove(&id);
                }
            }
        }
        for (node, frame) in effects.send {
            inner.send(node, frame);
        }
        if let Some(key) = made {
            inner.wallets.insert(key);
        }
        if let Some(moved) = moved {
            inner.tell(moved);
        }
    }

    fn load(&self, id: TaskId) -> Option<Flow> {
        let loaded = self.store.task(id);
        let loaded = loaded.and_then(|record| {
            record
                .map(|record| restore(&self.store, record))
                .transpose()
        });
        loaded.unwrap_or_else(|error| {
            error!(task = %id, %error, "the task cannot be loaded");
            None
        })
    }

    /// Stores the record. A broken store shows in `/ready` and refuses new tasks; open tasks
    /// continue, since nodes keep their own journals. Returns true if the task created what is now
    /// the newest generation of its key.
    fn keep(
        &self,
        flow: &Flow,
        before: State,
        new_result: bool,
        voted: bool,
        now: UnixMillis,
    ) -> bool {
        let id = flow.task().id;
        let record = &flow.record;
        let wallet = record
            .result
            .as_ref()
            .and_then(TaskResult::wallet)
            .filter(|_| new_result);
        let entered = record.state != before;
        // A late outcome may replace an end by another.
        if record.state.is_final() && !before.is_final() {
            self.counters.ended(flow.subject().operation, record);
        }
        let vote = voted.then(|| NewEvent::of_vote(id, flow.summary(), now));
        let events = vote.into_iter().chain(entered.then(|| flow.entered(now)));
        let newest = wallet.map_or(Ok(false), |wallet| {
            let kind = match wallet.generation {
                0 => EventKind::WalletCreated,
                _ => EventKind::WalletReshared,
            };
            let event = NewEvent::of_wallet(kind, wallet, now);
            self.store.put_wallet(wallet, Some(event))
        });
        if let Err(error) = newest.as_ref().map_err(Clone::clone).and_then(|_| {
            self.store
                .put_task(id, &flow.subject(), record, events.collect())
        }) {
            error!(task = %id, %error, "the task cannot be stored");
        }
        info!(task = %id, state = ?record.state, reason = record.reason.as_ref().map(|r| r.code.as_str()), "task changed");
        newest.unwrap_or(false)
    }
}

impl Inner {
    fn insert(&mut self, flow: Flow, through: Option<Hash>) {
        self.moved_on(&[], &flow.occupies());
        self.tasks
            .insert(flow.task().id, Active::new(flow, through));
    }

    /// Checks that there is room for one more task of this requester and this API key.
    fn check_room(
        &self,
        limit: usize,
        requester: &RequesterId,
        through: Option<Hash>,
    ) -> Result<(), SubmitError> {
        let open = self.tasks.len();
        if open >= limit {
            return Err(SubmitError::Busy(open));
        }
        let count = |theirs: &dyn Fn(&Active) -> bool| {
            self.tasks.values().filter(|task| theirs(task)).count()
        };
        let own = count(&|active| active.flow.task().requester == *requester);
        let by_key = count(&|active| through.is_some() && active.through == through);
        let most = own.max(by_key);
        if has_room(limit, open, most) {
            Ok(())
        } else {
            Err(SubmitError::Share(most))
        }
    }

    /// True of a pending reshare if another one of its wallet is under way.
    fn is_moving(&self, id: TaskId) -> bool {
        let flow = self.tasks.get(&id).map(|active| &active.flow);
        let pending = flow.filter(|flow| flow.record.state == State::Pending);
        let reshare = pending.and_then(Flow::moves);
        reshare.is_some_and(|reshare| self.moving(reshare.from.key).is_some())
    }

    /// Checks that tasks that wait for people leave half of the places to others.
    fn check_pending(&self, limit: usize) -> Result<(), SubmitError> {
        let pending = |active: &&Active| active.flow.record.state == State::Pending;
        let count = self.tasks.values().filter(pending).count();
        if count >= limit.div_ceil(2) {
            return Err(SubmitError::Busy(count));
        }
        Ok(())
    }

    /// Moves the load of a task from some nodes to others.
    fn moved_on(&mut self, before: &[NodeId], after: &[NodeId]) {
        for node in before {
            if let Some(load) = self.load.get_mut(node) {
                *load = load.saturating_sub(1);
            }
        }
        after
            .iter()
            .for_each(|node| *self.load.entry(*node).or_default() += 1);
    }

    /// True if another task may be begun with the node.
    fn is_free(&self, node: &NodeId) -> bool {
        !self.draining && is_free(&self.nodes, &self.load, node)
    }

    fn set_capacity(&mut self, connection: Connection, tasks: u32) {
        if self.is_current(connection)
            && let Some(presence) = self.nodes.get_mut(&connection.node)
        {
            presence.capacity = tasks.max(1) as usize;
        }
    }

    fn is_current(&self, connection: Connection) -> bool {
        self.nodes
            .get(&connection.node)
            .is_some_and(|presence| presence.connection == connection.number)
    }

    /// Queues a frame. A node whose queue is full does not read; dropping the queue ends its
    /// connection, and it is offered its tasks again when it returns.
    fn send(&mut self, node: NodeId, frame: ToNode) {
        let Some(presence) = self.nodes.get(&node) else {
            return;
        };
        if presence.queue.try_send(frame).is_err() {
            warn!(%node, "the node does not read its frames; disconnecting it");
            self.nodes.remove(&node);
        }
    }
}

/// True if the node is online and has room for another task.
fn is_free(
    nodes: &BTreeMap<NodeId, Presence>,
    load: &HashMap<NodeId, usize>,
    node: &NodeId,
) -> bool {
    let presence = nodes.get(node);
    presence.is_some_and(|presence| presence.takes_another(load.get(node)))
}

impl Presence {
    /// A node counts a task for a moment longer than it is reported to, so an eighth of its places
    /// is left free. It refuses for good any offer beyond its places.
    fn takes_another(&self, load: Option<&usize>) -> bool {
        let load = load.map_or(0, |load| *load);
        !self.draining.is_on() && load < self.capacity - self.capacity / 8
    }
}

impl Active {
    fn new(flow: Flow, through: Option<Hash>) -> Self {
        let revision = watch::Sender::new(flow.record.revision);
        Self {
            flow,
            through,
            revision,
        }
    }

    fn queued(&self) -> Queued {
        let task = self.flow.task();
        let key = match &task.operation {
            Operation::KeyGen(_) => KeyId::of_task(&self.flow.hash()),
            Operation::KeySign(keysign) => keysign.key,
            Operation::KeyReshare(reshare) => reshare.from.key,
            Operation::KeyShareSign(check_up) => check_up.key,
        };
        Queued {
            id: task.id,
            sequence: self.flow.record.sequence,
            requester: task.requester,
            key,
        }
    }
}

fn restore(store: &Store, record: TaskRecord) -> Result<Flow, StoreError> {
    let unreadable = |error: TaskError| StoreError::Row {
        table: "tasks",
        reason: error.to_string(),
    };
    let mut flow = Flow::restore(record).map_err(unreadable)?;
    if let Some(key) = flow.uses() {
        flow.set_wallet(store.wallet(key)?);
    }
    Ok(flow)
}
