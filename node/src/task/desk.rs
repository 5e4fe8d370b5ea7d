//! Where offers arrive. Each task has a [`Machine`] that says what to do, and an executor here that
//! does it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use countersign_host::{Stage as Telling, Turn, What};
use countersign_protocol::control::FromNode;
use countersign_protocol::frame::Use;
use countersign_protocol::text::printable;
use countersign_protocol::{
    Authenticated, Claimed, Committee, Hash, NodeId, Refusal, SignedTask, TaskId,
};
use countersign_store::{Journal, LookUp, OperationKind, ReadJournalError, State, TaskChange};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{self, Plan};
use super::commit::Commit;
use super::machine::{
    Admission, AlarmKind, Check, Effect, Found, Input, KeyChange, Machine, NotRecorded, Report,
    SessionEnd, Verdict, World,
};
use super::run::{self, Ready};
use super::telling::{Lines, alarm_text, bug, log_refusal};
use super::throttle::Throttle;
use super::{handover, quarantine};
use crate::core::{Core, now};
use crate::events;
use crate::heavy::{Place, Queue};
use crate::metrics::Ended;
use crate::risk::{Approved, Decision};

/// How long cancelled sessions have to tell the others.
const GOODBYE: Duration = Duration::from_secs(5);
/// Offers that may be looked at beyond the tasks under way.
const SPARE_OFFERS: usize = 64;

/// A task as the coordinator offers it.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The exact task.
    pub signed: SignedTask,
    /// Who is to take part.
    pub parties: Vec<NodeId>,
}

/// Handles offers.
pub struct Desk {
    core: Arc<Core>,
    open: Mutex<HashMap<TaskId, Handle>>,
    /// Tasks that are decided on or run.
    permits: Arc<Semaphore>,
    /// Offers that are looked at, whatever becomes of them.
    offers: Arc<Semaphore>,
    tracker: TaskTracker,
    dropped: Throttle,
    unauthenticated: Throttle,
    reused: Throttle,
}

/// How the coordinator reaches a task under way.
#[derive(Clone)]
struct Handle {
    /// Of the exact bytes that were offered.
    hash: Hash,
    /// The same bytes were offered again.
    again: Arc<Notify>,
    /// Other bytes were offered under the same id.
    other: Arc<Notify>,
    start: Arc<Notify>,
    cancelled: CancellationToken,
    line: Arc<InLine>,
}

/// The task's place in the line of those that may make auxiliary information: taken when the
/// coordinator says to begin, so that all members of a committee have their tasks in the order in
/// which they were started.
#[derive(Default)]
struct InLine {
    /// Whom it makes it for.
    committee: OnceLock<Committee>,
    /// Until the session takes it.
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

impl Desk {
    /// A desk for this node.
    pub fn new(core: Arc<Core>) -> Arc<Self> {
        let tasks = core.config.tasks;
        Arc::new(Self {
            core,
            open: Mutex::default(),
            permits: Arc::new(Semaphore::new(tasks)),
            offers: Arc::new(Semaphore::new(tasks + SPARE_OFFERS)),
            tracker: TaskTracker::new(),
            dropped: Throttle::default(),
            unauthenticated: Throttle::default(),
            reused: Throttle::default(),
        })
    }

    /// Takes an offer; what becomes of it is reported.
    pub fn offer(self: &Arc<Self>, offered: Offered) {
        if self.core.stopping.is_cancelled() {
            return tracing::debug!("an offer was ignored, because the node is stopping");
        }
        let Ok(place) = self.offers.clone().try_acquire_owned() else {
            return self.overrun();
        };
        let desk = self.clone();
        self.tracker.spawn(async move {
            let Ok(claimed) = offered.signed.claim() else {
                return tracing::warn!(
                    "the coordinator offered something that is not a task; compare the versions"
                );
            };
            Box::pin(desk.handle(claimed.into(), offered.parties)).await;
            drop(place);
        });
    }

    fn overrun(&self) {
        if let Some(before) = self.dropped.pass(Instant::now()) {
            tracing::warn!(
                before,
                "the coordinator offers more than limits.tasks allows; an offer was dropped"
            );
        }
    }

    /// All parties have approved.
    pub fn start(&self, task: TaskId) {
        if self.core.twins.is_known() {
            return self.cancel(task, "another process has the identity of this node");
        }
        if let Some(handle) = self.lock().get(&task) {
            handle.line.enter(&self.core.queue);
            handle.start.notify_one();
        }
    }

    /// The coordinator has given the task up.
    pub fn cancel(&self, task: TaskId, reason: &str) {
        if let Some(handle) = self.lock().get(&task) {
            tracing::info!(%task, reason = %printable(reason, 300), "the coordinator cancels the task");
            handle.cancelled.cancel();
        }
    }

    /// Gives up everything that is under way.
    pub fn cancel_all(&self, reason: &str) {
        for (task, handle) in self.lock().iter() {
            tracing::warn!(%task, reason, "the task is given up");
            handle.cancelled.cancel();
        }
    }

    /// Lets sessions under way finish for a while, then ends them. Takes no more than `grace` and
    /// five seconds.
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

    /// Carries a task on until nothing more will come of it.
    async fn handle(self: Arc<Self>, claimed: Arc<Claimed>, parties: Vec<NodeId>) {
        let Some(entry) = self.enter(claimed.task().id, claimed.hash()) else {
            return;
        };
        let mut executor = Executor {
            desk: &self,
            handle: entry.handle.clone(),
            machine: Machine::new(claimed, parties),
            happened: VecDeque::new(),
            work: None,
            until: None,
            cancel_heard: false,
            stop_heard: false,
            permit: None,
            plan: None,
            question: None,
            approved: None,
            turn: None,
        };
        executor.carry_on().await;
    }

    /// The task's entry, or none if it is under way already, which is told of the offer.
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
            desk: self,
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
    desk: &'a Desk,
    task: TaskId,
    handle: Handle,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.task);
        self.desk.core.events.finish(self.task);
    }
}

/// What is done beside listening to the coordinator.
enum Done {
    Decided(Decision<Plan>),
    Ended(SessionEnd),
}

/// Performs what one task's machine says.
struct Executor<'a> {
    desk: &'a Desk,
    handle: Handle,
    machine: Machine,
    /// What the machine has yet to hear.
    happened: VecDeque<Input>,
    work: Option<BoxFuture<'static, Done>>,
    /// When the machine wants to be woken.
    until: Option<tokio::time::Instant>,
    cancel_heard: bool,
    stop_heard: bool,
    permit: Option<OwnedSemaphorePermit>,
    plan: Option<Plan>,
    /// What the plugins are asked.
    question: Option<Arc<countersign_host::Task>>,
    approved: Option<Approved<Plan>>,
    /// Kept until the approval is durable.
    turn: Option<Turn>,
}

impl Executor<'_> {
    async fn carry_on(&mut self) {
        self.happened.push_back(Input::Offered);
        while !self.machine.is_over() {
            let input = match self.happened.pop_front() {
                Some(input) => input,
                None => self.next().await,
            };
            for effect in self.step(input) {
                self.perform(effect).await;
            }
        }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let core = &self.desk.core;
        if self.permit.is_none() {
            self.permit = self.desk.permits.clone().try_acquire_owned().ok();
        }
        let world = World {
            now: core.now(),
            restored: core.restored,
            has_twin: core.twins.is_known(),
            has_room: self.permit.is_some(),
            stopping: core.stopping.is_cancelled(),
            requesters: &|id| core.config.requesters.contains_key(id),
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
            () = self.desk.core.stopping.cancelled(), if !self.stop_heard => {
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

    fn input_of(&mut self, done: Done) -> Input {
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
                turn,
            }) => {
                let verdicts = approved.verdicts().to_vec();
                self.approved = Some(approved);
                self.turn = Some(turn);
                Input::Decided(Verdict {
                    refusal: None,
                    verdicts,
                    writes,
                    evidence,
                })
            }
        }
    }

    async fn perform(&mut self, effect: Effect) {
        let core = self.desk.core.clone();
        let id = self.id();
        match effect {
            Effect::LookUp => {
                let hash = self.handle.hash;
                let found = core
                    .journal(move |journal| look_up(journal, id, hash))
                    .await;
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
            Effect::Tell(what) => core.events.post(&core.journal, id, what),
            Effect::Queue(committee) => drop(self.handle.line.committee.set(committee)),
            Effect::TellHolders => self.tell_holders(),
            Effect::ReleaseHolders { used } => core.uses.ended(self.handle.hash, used),
            Effect::Wait(limit) => self.until = Some(tokio::time::Instant::now() + limit),
            Effect::Check(check) => {
                let trusted = core.journal(move |journal| trusted(journal, check)).await;
                self.happened.push_back(Input::Checked(trusted));
            }
            Effect::Run => self.run(),
            Effect::CancelRun => self.handle.cancelled.cancel(),
            Effect::Follow(KeyChange::Active(aux)) => core.key_active(aux).await,
            Effect::Follow(KeyChange::Moved(key)) => handover::moved(&core, key).await,
            Effect::Report(report) => self.report(report),
        }
    }

    /// Off the network's threads: payloads are decoded, keys derived, rows read.
    async fn admit(&mut self, task: Authenticated) {
        let core = self.desk.core.clone();
        let me = core.me;
        let parties = self.machine.offered_to().to_vec();
        let admitted =
            tokio::task::spawn_blocking(move || admission::admit(&core, &task, &parties)).await;
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
        let core = &self.desk.core;
        let kind = OperationKind::from(&task.operation);
        let plan = self.plan.as_ref();
        let operation = plan.map_or_else(|| events::unread(kind), Plan::question);
        let facts = plan.map(Plan::facts).unwrap_or_default();
        let question = core.asker.question(core.now(), task, operation, facts);
        let question = Arc::new(question);
        core.events.begin(task.id, kind, question.clone());
        self.question = Some(question);
    }

    fn ask(&mut self, task: &Authenticated) {
        let Some((plan, question)) = self.plan.take().zip(self.question.take()) else {
            return;
        };
        let core = self.desk.core.clone();
        let until = task.not_after;
        self.work = Some(Box::pin(async move {
            let decision = core.guard.decide(now, until, question, plan).await;
            Done::Decided(decision)
        }));
    }

    async fn commit(&mut self, commit: Commit) {
        let core = &self.desk.core;
        let id = self.id();
        let kind = OperationKind::from(&self.machine.claimed().task().operation);
        let time = core.now();
        let register = core.register.clone();
        let lines = Lines::of(&commit.change);
        let is_approval = matches!(commit.change, TaskChange::Approve { .. });
        let written = core
            .journal(move |_| register.commit(time, id, kind, commit))
            .await;
        if is_approval && let Some(turn) = self.turn.take() {
            turn.end();
        }
        let recorded = match written {
            Ok(_) => {
                lines.log(self.machine.claimed().task());
                Ok(())
            }
            Err(error) => {
                tracing::error!(task = %id, %error, "what became of the task was not recorded, and is not given out");
                Err(NotRecorded(error.to_string()))
            }
        };
        self.happened.push_back(Input::Recorded(recorded));
    }

    /// The audit log takes one line of a kind in a second.
    async fn alarm(&mut self, refusal: Refusal, kind: AlarmKind) {
        let task = self.machine.claimed().task();
        log_refusal(task, &refusal);
        let counted = OperationKind::from(&task.operation);
        self.desk.core.tally.task(counted, Ended::Alarmed);
        let alarms = match kind {
            AlarmKind::Unauthenticated => &self.desk.unauthenticated,
            AlarmKind::Reused => &self.desk.reused,
        };
        if let Some(before) = alarms.pass(Instant::now()) {
            self.note(alarm_text(&refusal, before)).await;
        }
    }

    async fn note(&mut self, text: String) {
        let core = &self.desk.core;
        let id = self.id();
        let time = core.now();
        if let Err(error) = core
            .journal(move |journal| journal.alarm(time, Some(id), &text))
            .await
        {
            tracing::error!(%error, "the alarm was not recorded");
        }
    }

    /// Whoever holds the key and does not sign counts it too.
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
        self.desk
            .core
            .uses
            .approved(&used, holders, claimed.task().not_after);
    }

    fn run(&mut self) {
        let Some((approved, task)) = self.approved.take().zip(self.machine.authentic()) else {
            return;
        };
        let core = self.desk.core.clone();
        core.events.post(
            &core.journal,
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
            Done::Ended(Box::pin(run::run(core, ready)).await)
        }));
    }

    fn report(&self, report: Report) {
        let core = &self.desk.core;
        let task = self.id();
        match report {
            Report::Decision { refusal, verdicts } => core.reporter.send(FromNode::Decision {
                task,
                refusal,
                verdicts,
            }),
            Report::Outcome(outcome) => core.reporter.send(FromNode::Outcome { task, outcome }),
            Report::Evidence(evidence) => {
                core.reporter.send(FromNode::Evidence { task, evidence });
            }
            Report::Stored(next) => handover::report(core, task, &next),
            Report::NeverStored => handover::report_void(core, task, self.handle.hash),
        }
    }

    fn id(&self) -> TaskId {
        self.machine.claimed().task().id
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
        LookUp::Different => return Ok(Found::OtherBytes),
        LookUp::Same(row) => row,
    };
    let never_stored = handover::never_stored(journal, &row)?;
    Ok(match row.state {
        State::Approved => Found::Approved {
            stored: journal
                .handover(&task)?
                .map(|open| open.announcement.into()),
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
        Check::NewKey(parties) => quarantine::check_new(journal, &parties),
        Check::Key(key, parties) => quarantine::check(journal, key, &parties),
    }
}
