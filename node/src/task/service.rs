//! Handles offers. Each task has a [`Machine`] that decides what to do, and an executor here that
//! does it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use countersign_host::{DecisionGuard, Stage as Telling, What};
use countersign_protocol::control::FromNode;
use countersign_protocol::frame::Use;
use countersign_protocol::text::printable;
use countersign_protocol::{
    Authenticated, Committee, Hash, NodeId, Refusal, RefusalCode, SignedTask, TaskId, UnixMillis,
    Vote,
};
use countersign_store::{Journal, LookUp, OperationKind, ReadJournalError, State, TaskChange};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{AdmissionControl, Plan};
use super::aux::AuxMaker;
use super::commit::{Commit, Register};
use super::machine::{
    Admission, AlarmKind, Check, Effect, Found, Input, KeyChange, Machine, NotRecorded, Report,
    SessionEnd, Verdict, World,
};
use super::participant::Participant;
use super::preflight::{Asked, Preflights};
use super::refusal::refusal;
use super::run::{self, Ready, Sessions};
use super::stopwatch::Stopwatch;
use super::telling::{Lines, alarm_text, bug, log_refusal};
use super::throttle::Throttle;
use super::uses::Uses;
use super::{history, quarantine};
use crate::drain::Drain;
use crate::events::{self, Events};
use crate::heavy::{Place, Queue};
use crate::metrics::{Ended, Stage};
use crate::off_thread::with_journal;
use crate::report::Reporter;
use crate::risk::{Approved, Asker, Decision, Guard, voted};
use crate::twins::Twins;
use crate::world::World as NodeWorld;

/// The time for cancelled sessions to tell the others.
pub(crate) const GOODBYE: Duration = Duration::from_secs(5);
/// Offers that may be examined beyond the tasks under way.
const SPARE_OFFERS: usize = 64;

/// A task as the coordinator offers it, with the parties that it names and the votes that it
/// collected.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the type's documentation explains the fields")]
pub struct Offered {
    pub signed: SignedTask,
    pub parties: Vec<NodeId>,
    pub votes: Vec<Vote>,
}

/// The parts of the node that tasks use.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Services {
    pub me: NodeId,
    pub world: NodeWorld,
    pub register: Register,
    pub admission: Arc<AdmissionControl>,
    /// Makes the questions for plugins.
    pub asker: Arc<Asker>,
    /// Decides by asking the plugins.
    pub guard: Arc<Guard>,
    pub sessions: Arc<Sessions>,
    pub participant: Arc<Participant>,
    /// Tells other holders of approved uses of a key.
    pub uses: Arc<Uses>,
    /// Has the queue for auxiliary information.
    pub aux: Arc<AuxMaker>,
    pub reporter: Reporter,
    /// Knows of other processes with this node's identity.
    pub twins: Arc<Twins>,
    /// The time of the last restore from a backup: earlier tasks are refused.
    pub restored: Option<UnixMillis>,
    /// The most tasks under way at a time.
    pub tasks: usize,
    pub drain: Arc<Drain>,
    /// Cancelled when the node is to stop.
    pub stopping: CancellationToken,
}

impl Services {
    fn journal(&self) -> &Journal {
        &self.register.journal
    }

    fn events(&self) -> &Events {
        &self.register.events
    }
}

/// Carries offered tasks from the offer to the report of their outcome.
pub struct TaskService {
    node: Arc<Services>,
    open: Mutex<HashMap<TaskId, Handle>>,
    /// One for each task under way.
    permits: Arc<Semaphore>,
    /// One for each offer being handled, whatever becomes of it.
    offers: Arc<Semaphore>,
    preflights: Arc<Preflights>,
    tracker: TaskTracker,
    dropped: Throttle,
    unauthenticated: Throttle,
    reused: Throttle,
}

/// The coordinator's access to a task under way.
#[derive(Clone)]
struct Handle {
    /// The hash of the exact bytes that were offered.
    hash: Hash,
    /// The same bytes were offered again.
    again: Arc<Notify>,
    /// Other bytes were offered under the same id.
    other: Arc<Notify>,
    start: Arc<Notify>,
    cancelled: CancellationToken,
    line: Arc<InLine>,
}

/// The task's place in the queue of those that may make auxiliary information. It is taken
/// when the coordinator starts the task, so that all members of a committee have their tasks
/// in the same order.
#[derive(Default)]
struct InLine {
    /// The committee to make it for.
    committee: OnceLock<Committee>,
    /// Present until the session takes it.
    place: Mutex<Option<Place>>,
    taken: AtomicBool,
}

impl InLine {
    fn enter(&self, queue: &Queue) {
        let Some(committee) = self.committee.get() else {
            return;
        };
        if !self.taken.swap(true, Ordering::Relaxed) {
            *self.lock() = Some(queue.enter(committee.clone()));
        }
    }

    fn take(&self) -> Option<Place> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskService {
    /// Creates the service of a node.
    pub fn new(node: Services) -> Arc<Self> {
        let tasks = node.tasks;
        let node = Arc::new(node);
        let permits = Arc::new(Semaphore::new(tasks));
        Arc::new(Self {
            preflights: Preflights::new(node.clone(), permits.clone()),
            node,
            open: Mutex::default(),
            permits,
            offers: Arc::new(Semaphore::new(tasks + SPARE_OFFERS)),
            tracker: TaskTracker::new(),
            dropped: Throttle::default(),
            unauthenticated: Throttle::default(),
            reused: Throttle::default(),
        })
    }

    /// Handles an offer in the background. The coordinator is told the result.
    pub fn offer(self: &Arc<Self>, offered: Offered) {
        if self.node.stopping.is_cancelled() {
            return tracing::debug!("an offer was ignored, because the node is stopping");
        }
        let Ok(place) = self.offers.clone().try_acquire_owned() else {
            return self.overrun();
        };
        let service = self.clone();
        let counted = self.node.register.counters.offer();
        // As of this moment: the coordinator's answer that ends its offers may come right behind.
        let drained = self.node.drain.refuses();
        self.tracker.spawn(async move {
            let _counted = counted;
            let Ok(claimed) = offered.signed.claim() else {
                return tracing::warn!(
                    "the coordinator offered something that is not a task; compare the versions"
                );
            };
            let machine = Machine::new(claimed.into(), offered.parties);
            Box::pin(service.handle(machine, offered.votes, drained)).await;
            drop(place);
        });
    }

    /// Tells the coordinator how this node would decide on a task. Nothing is kept.
    pub fn preflight(&self, asked: Asked) {
        self.preflights.ask(asked);
    }

    fn overrun(&self) {
        self.node.register.counters.drop_offer();
        if let Some(before) = self.dropped.pass(Instant::now()) {
            tracing::warn!(
                before,
                "the coordinator offers more than limits.tasks allows; an offer was dropped"
            );
        }
    }

    /// Starts a task that all parties have approved.
    pub fn start(&self, task: TaskId) {
        if self.node.twins.is_known() {
            return self.cancel(task, "another process has the identity of this node");
        }
        if let Some(handle) = self.lock().get(&task) {
            handle.line.enter(&self.node.aux.queue);
            handle.start.notify_one();
        }
    }

    /// Cancels a task for the coordinator.
    pub fn cancel(&self, task: TaskId, reason: &str) {
        if let Some(handle) = self.lock().get(&task) {
            tracing::info!(%task, reason = %printable(reason, 300), "the coordinator cancels the task");
            handle.cancelled.cancel();
        }
    }

    /// Cancels all tasks that are under way.
    pub fn cancel_all(&self, reason: &str) {
        for (task, handle) in self.lock().iter() {
            tracing::warn!(%task, reason, "the task is given up");
            handle.cancelled.cancel();
        }
    }

    /// Lets sessions under way finish for a while, then ends them. Takes at most
    /// `grace` and five seconds.
    pub async fn drain(&self, grace: Duration) {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_err()
        {
            self.lock()
                .values()
                .for_each(|handle| handle.cancelled.cancel());
            if tokio::time::timeout(GOODBYE, self.tracker.wait())
                .await
                .is_err()
            {
                tracing::warn!("some sessions did not end in time and are cut off");
            }
        }
    }

    /// Runs a task's machine until it is over. `drained`: it was offered to a node that takes no
    /// new tasks.
    async fn handle(self: Arc<Self>, machine: Machine, votes: Vec<Vote>, drained: bool) {
        let claimed = machine.claimed();
        let Some(entry) = self.enter(claimed.task().id, claimed.hash()) else {
            return;
        };
        let mut executor = Executor::new(&self, entry.handle.clone(), machine);
        executor.votes = votes;
        executor.drained = drained;
        executor.carry_on().await;
        executor.time();
    }

    /// Returns the task's entry, or none if it is under way already and was told of the offer.
    fn enter(&self, task: TaskId, hash: Hash) -> Option<Entry<'_>> {
        let mut open = self.lock();
        if let Some(known) = open.get(&task) {
            if known.hash == hash {
                known.again.notify_one();
            } else {
                known.other.notify_one();
            }
            return None;
        }
        let handle = Handle {
            hash,
            again: Arc::default(),
            other: Arc::default(),
            start: Arc::default(),
            cancelled: CancellationToken::new(),
            line: Arc::default(),
        };
        open.insert(task, handle.clone());
        Some(Entry {
            service: self,
            task,
            handle,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the handle when the task is over.
struct Entry<'a> {
    service: &'a TaskService,
    task: TaskId,
    handle: Handle,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.service.lock().remove(&self.task);
        self.service.node.events().finish(self.task);
    }
}

/// The result of work done while listening to the coordinator.
enum Done {
    Decided(Decision<Plan>),
    Ended(SessionEnd),
}

/// Performs the effects of one task's machine.
struct Executor<'a> {
    service: &'a TaskService,
    handle: Handle,
    machine: Machine,
    /// Inputs that the machine has yet to take.
    happened: VecDeque<Input>,
    work: Option<BoxFuture<'static, Done>>,
    /// When the machine wants to be woken.
    until: Option<tokio::time::Instant>,
    cancel_heard: bool,
    stop_heard: bool,
    permit: Option<OwnedSemaphorePermit>,
    /// Offered to a node that takes no new tasks.
    drained: bool,
    plan: Option<Plan>,
    /// The votes of people, for the plugins to verify.
    votes: Vec<Vote>,
    /// The question for the plugins.
    question: Option<Arc<countersign_host::Task>>,
    approved: Option<Approved<Plan>>,
    /// Kept until the approval is durable.
    guard: Option<DecisionGuard>,
    stopwatch: Stopwatch,
}

impl<'a> Executor<'a> {
    fn new(service: &'a TaskService, handle: Handle, machine: Machine) -> Self {
        Self {
            service,
            handle,
            machine,
            happened: VecDeque::new(),
            work: None,
            until: None,
            cancel_heard: false,
            stop_heard: false,
            permit: None,
            drained: false,
            plan: None,
            votes: Vec::new(),
            question: None,
            approved: None,
            guard: None,
            stopwatch: Stopwatch::start(Instant::now()),
        }
    }

    async fn carry_on(&mut self) {
        self.happened.push_back(Input::Offered);
        while !self.machine.is_over() {
            let input = match self.happened.pop_front() {
                Some(input) => input,
                None => {
                    let input = self.next().await;
                    self.reconsidered(input).await
                }
            };
            for effect in self.step(input) {
                self.perform(effect).await;
            }
        }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let node = &self.service.node;
        if self.permit.is_none() && !self.drained {
            // Without a permit, the machine is told that there is no room.
            self.permit = self.service.permits.clone().try_acquire_owned().ok();
        }
        let rules = node.admission.rules();
        let world = World {
            now: node.world.now(),
            restored: node.restored,
            has_twin: node.twins.is_known(),
            has_room: self.permit.is_some(),
            stopping: node.stopping.is_cancelled(),
            requesters: &|id| rules.requesters.contains_key(id),
            passkeys: rules.passkeys(),
        };
        self.machine.step(input, &world)
    }

    /// Waits for the coordinator, the plugins, the session or the time.
    async fn next(&mut self) -> Input {
        let handle = self.handle.clone();
        tokio::select! {
            biased;
            () = handle.start.notified() => Input::Start,
            () = handle.cancelled.cancelled(), if !self.cancel_heard => {
                self.cancel_heard = true;
                Input::Cancel
            }
            () = self.service.node.stopping.cancelled(), if !self.stop_heard => {
                self.stop_heard = true;
                Input::Stop
            }
            () = handle.again.notified() => Input::Offered,
            () = handle.other.notified() => Input::OtherBytes,
            done = finished(&mut self.work) => {
                self.work = None;
                self.input_of(done)
            }
            () = passed(self.until) => {
                self.until = None;
                Input::TimedOut
            }
        }
    }

    /// Reports the times of the stages, if it came to a decision: of a task that is answered from
    /// the journal, or that nobody ordered, they say nothing.
    fn time(&self) {
        let counters = &self.service.node.register.counters;
        let kind = OperationKind::from(&self.machine.claimed().task().operation);
        for (stage, spent) in self.stopwatch.spent(Instant::now()) {
            counters.stage(kind, stage, spent);
        }
    }

    fn input_of(&mut self, done: Done) -> Input {
        self.stopwatch.enter(Stage::Recording, Instant::now());
        match done {
            Done::Ended(end) => Input::Ended(end),
            Done::Decided(Decision::Refused {
                refusal,
                verdicts,
                evidence,
            }) => Input::Decided(Verdict {
                refusal: Some(refusal),
                verdicts,
                writes: Vec::new(),
                evidence,
            }),
            Done::Decided(Decision::Approved {
                approved,
                writes,
                evidence,
                guard,
            }) => {
                let verdicts = approved.verdicts().to_vec();
                self.approved = Some(approved);
                self.guard = Some(guard);
                Input::Decided(Verdict {
                    refusal: None,
                    verdicts,
                    writes,
                    evidence,
                })
            }
        }
    }

    /// An approval counts only if the configuration still permits the task: plugins may have been
    /// asked for minutes, and the row of an approval is the last one before the session.
    async fn reconsidered(&mut self, input: Input) -> Input {
        let Input::Decided(verdict) = input else {
            return input;
        };
        if verdict.refusal.is_some() {
            return Input::Decided(verdict);
        }
        let Err(refusal) = self.permitted().await else {
            return Input::Decided(verdict);
        };
        self.approved = None;
        self.guard = None;
        Input::Decided(Verdict {
            refusal: Some(refusal),
            writes: Vec::new(),
            ..verdict
        })
    }

    /// Whether the configuration in force permits the task that was approved.
    async fn permitted(&mut self) -> Result<(), Refusal> {
        let admission = self.service.node.admission.clone();
        let approved = self.approved.as_ref().map(|it| it.plan().clone());
        let (Some(plan), Some(task)) = (approved, self.machine.authentic()) else {
            return Err(refusal(
                RefusalCode::Bug,
                "a task without an approval was to run; report this",
            ));
        };
        tokio::task::spawn_blocking(move || admission.permits(&task, &plan))
            .await
            .unwrap_or_else(|error| Err(bug(&error)))
    }

    async fn perform(&mut self, effect: Effect) {
        let node = self.service.node.clone();
        let id = self.id();
        if let Some(stage) = stage_of(&effect) {
            self.stopwatch.enter(stage, Instant::now());
        }
        match effect {
            Effect::LookUp => {
                let hash = self.handle.hash;
                let found =
                    with_journal(node.journal(), move |journal| look_up(journal, id, hash)).await;
                let found = found.unwrap_or_else(|error| Found::Unreadable(error.to_string()));
                self.happened.push_back(Input::Found(found));
            }
            Effect::Admit(task) => self.admit(task).await,
            Effect::Describe(task) => self.describe(&task),
            Effect::Ask(task) => self.ask(&task),
            Effect::Commit(commit) => self.commit(*commit).await,
            Effect::Alarm { refusal, kind } => self.alarm(refusal, kind).await,
            Effect::Note(text) => {
                tracing::warn!(task = %id, "{text}");
                self.note(text).await;
            }
            Effect::Tell(what) => node.events().post(node.journal(), id, what),
            Effect::Queue(committee) => drop(self.handle.line.committee.set(committee)),
            Effect::TellHolders => self.tell_holders(),
            Effect::ReleaseHolders { used } => node.uses.ended(self.handle.hash, used),
            Effect::Wait(limit) => self.until = Some(tokio::time::Instant::now() + limit),
            Effect::Check(check) => {
                let checked = match self.permitted().await {
                    Ok(()) => {
                        with_journal(node.journal(), move |journal| trusted(journal, check)).await
                    }
                    Err(refusal) => Err(refusal),
                };
                self.happened.push_back(Input::Checked(checked));
            }
            Effect::Run => self.run(),
            Effect::CancelRun => self.handle.cancelled.cancel(),
            Effect::Follow(KeyChange::Active(aux)) => {
                node.participant.activation.activate(aux).await
            }
            Effect::Follow(KeyChange::Moved(key)) => node.participant.moved(key).await,
            Effect::Report(report) => self.report(report),
        }
    }

    /// Runs off the network's threads: payloads are decoded, keys derived, rows read.
    async fn admit(&mut self, task: Authenticated) {
        let admission = self.service.node.admission.clone();
        let me = admission.me;
        let parties = self.machine.offered_to().to_vec();
        let admitted = tokio::task::spawn_blocking(move || admission.admit(&task, &parties)).await;
        let admitted = admitted.unwrap_or_else(|error| Err(bug(&error)));
        self.happened
            .push_back(Input::Admitted(admitted.map(|plan| {
                let admission = Admission {
                    parties: plan.parties().to_vec(),
                    makes_aux_for: plan.makes_aux_for(&me).cloned(),
                };
                self.plan = Some(plan);
                admission
            })));
    }

    fn describe(&mut self, task: &Authenticated) {
        let node = &self.service.node;
        let kind = OperationKind::from(&task.operation);
        let plan = self.plan.as_ref();
        let operation = plan.map_or_else(|| events::unread(kind), Plan::question);
        let facts = plan.map(Plan::facts).unwrap_or_default();
        // They can be large, and nobody else needs them.
        let votes = std::mem::take(&mut self.votes);
        let facts = facts.into_iter().chain(voted(&votes)).collect();
        let question = node
            .asker
            .question(node.world.now(), task, operation, facts);
        let question = Arc::new(question);
        node.events().begin(task.id, kind, question.clone());
        self.question = Some(question);
    }

    fn ask(&mut self, task: &Authenticated) {
        let Some((plan, question)) = self.plan.take().zip(self.question.take()) else {
            return;
        };
        let node = self.service.node.clone();
        let until = task.not_after;
        self.work = Some(Box::pin(async move {
            let decision = node.guard.decide(&node.world, until, question, plan).await;
            Done::Decided(decision)
        }));
    }

    async fn commit(&mut self, commit: Commit) {
        let node = &self.service.node;
        let id = self.id();
        let kind = OperationKind::from(&self.machine.claimed().task().operation);
        let time = node.world.now();
        let register = node.register.clone();
        let lines = Lines::of(&commit.change);
        let is_approval = matches!(commit.change, TaskChange::Approve { .. });
        let written = with_journal(node.journal(), move |_| {
            register.commit(time, id, kind, commit)
        })
        .await;
        if is_approval && let Some(guard) = self.guard.take() {
            guard.release();
        }
        let recorded = match written {
            Ok(_) => {
                lines.log(self.machine.claimed().task());
                Ok(())
            }
            Err(error) => {
                tracing::error!(task = %id, %error, "a change of the task was not recorded, and is not reported");
                Err(NotRecorded(error.to_string()))
            }
        };
        self.happened.push_back(Input::Recorded(recorded));
    }

    /// The audit log takes one line per kind and second.
    async fn alarm(&mut self, refusal: Refusal, kind: AlarmKind) {
        let task = self.machine.claimed().task();
        log_refusal(task, &refusal);
        let counted = OperationKind::from(&task.operation);
        let counters = &self.service.node.register.counters;
        counters.task(counted, Ended::Alarmed);
        counters.refusal(&refusal);
        let alarms = match kind {
            AlarmKind::Unauthenticated => &self.service.unauthenticated,
            AlarmKind::Reused => &self.service.reused,
        };
        if let Some(before) = alarms.pass(Instant::now()) {
            self.note(alarm_text(&refusal, before)).await;
        }
    }

    async fn note(&mut self, text: String) {
        let node = &self.service.node;
        let id = self.id();
        let time = node.world.now();
        if let Err(error) = with_journal(node.journal(), move |journal| {
            journal.alarm(time, Some(id), &text)
        })
        .await
        {
            tracing::error!(%error, "the alarm was not recorded");
        }
    }

    /// Holders of the key that do not sign count the use too.
    fn tell_holders(&self) {
        let Some(approved) = &self.approved else {
            return;
        };
        let claimed = self.machine.claimed();
        let used = Use {
            task: claimed.signed().clone(),
            signers: approved.plan().parties().to_vec(),
        };
        let holders = approved.plan().bystanders();
        self.service
            .node
            .uses
            .approved(&used, holders, claimed.task().not_after);
    }

    fn run(&mut self) {
        let Some((approved, task)) = self.approved.take().zip(self.machine.authentic()) else {
            return;
        };
        let node = self.service.node.clone();
        node.events().post(
            node.journal(),
            task.id,
            vec![What::Updated(Telling::Processing)],
        );
        let ready = Ready {
            task,
            approved,
            cancelled: self.handle.cancelled.clone(),
            place: self.handle.line.take(),
        };
        self.work = Some(Box::pin(async move {
            Done::Ended(Box::pin(run::run(node.sessions.clone(), ready)).await)
        }));
    }

    fn report(&self, report: Report) {
        let node = &self.service.node;
        let task = self.id();
        match report {
            Report::Decision { refusal, verdicts } => node.reporter.send(FromNode::Decision {
                task,
                refusal,
                verdicts,
            }),
            Report::Outcome(outcome) => node.reporter.send(FromNode::Outcome { task, outcome }),
            Report::Evidence(evidence) => {
                node.reporter.send(FromNode::Evidence { task, evidence });
            }
            Report::Stored(next) => node.participant.report(task, &next),
            Report::NeverStored => node.participant.report_abort_vote(task, self.handle.hash),
        }
    }

    fn id(&self) -> TaskId {
        self.machine.claimed().task().id
    }
}

/// The stage that begins with an effect.
fn stage_of(effect: &Effect) -> Option<Stage> {
    match effect {
        Effect::Ask(_) => Some(Stage::Approving),
        Effect::Wait(_) => Some(Stage::Waiting),
        Effect::Run => Some(Stage::Running),
        Effect::LookUp
        | Effect::Admit(_)
        | Effect::Describe(_)
        | Effect::Commit(_)
        | Effect::Alarm { .. }
        | Effect::Note(_)
        | Effect::Tell(_)
        | Effect::Queue(_)
        | Effect::TellHolders
        | Effect::ReleaseHolders { .. }
        | Effect::Check(_)
        | Effect::CancelRun
        | Effect::Follow(_)
        | Effect::Report(_) => None,
    }
}

async fn finished(work: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn passed(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn look_up(journal: &Journal, task: TaskId, hash: Hash) -> Result<Found, ReadJournalError> {
    let row = match journal.look_up(&task, &hash)? {
        LookUp::New => return Ok(Found::New),
        LookUp::Spent => return Ok(Found::Spent),
        LookUp::Different => return Ok(Found::OtherBytes),
        LookUp::Same(row) => row,
    };
    let never_stored = history::never_stored(journal, &row)?;
    Ok(match row.state {
        State::Approved => Found::Approved {
            stored: journal.prepared(&task)?.map(|open| open.descriptor.into()),
        },
        State::Ended { outcome, .. } => Found::Ended {
            outcome,
            verdicts: row.verdicts,
            proofs: quarantine::evidence(journal, task)?,
            never_stored,
        },
    })
}

fn trusted(journal: &Journal, check: Check) -> Result<(), Refusal> {
    match check {
        Check::Alone => Ok(()),
        Check::NewKey(parties) => quarantine::check_new(journal, &parties),
        Check::Key(key, parties) => quarantine::check(journal, key, &parties),
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
