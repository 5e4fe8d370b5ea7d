//! The desk where offers arrive: each is handled on its own, once.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use countersign_host::{Stage, What};
use countersign_protocol::control::FromNode;
use countersign_protocol::evidence::Evidence as Proof;
use countersign_protocol::frame::Use;
use countersign_protocol::session::Setup;
use countersign_protocol::text::printable;
use countersign_protocol::{
    Authenticated, Committee, Failure, FailureCode, Hash, NodeId, Operation, Outcome,
    PluginVerdict, Refusal, RefusalCode, SignedTask, Task, TaskId,
};
use countersign_store::{
    Consequences, Decided, Evidence, Journal, LookUp, NewEvent, Row, State, TaskKind,
};
use rand::RngCore;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{self, Plan, refusal};
use super::telling::{
    alarm_text, before_restore, bug, busy, cancelled, cancelled_early, ended, key_of,
    log_consequences, log_outcome, log_refusal, no_end, not_started, not_trusted, too_late, twin,
};
use super::throttle::Throttle;
use super::{Job, Stopped, handover, quarantine};
use crate::core::Core;
use crate::events;
use crate::heavy::{Place, Queue};
use crate::high_water;
use crate::metrics::Ended;
use crate::risk;
use crate::risk::{Approved, Decision};
use crate::session::{Router, Run};

/// How long an approved task waits for the others' approvals.
const START_LIMIT: Duration = Duration::from_secs(300);

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
    permits: Semaphore,
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

/// Whether a task is under way already.
enum Entered<'a> {
    /// It was not, and is now.
    First(Entry<'a>),
    /// It is.
    Again,
    /// Another task under this id is.
    OtherBytes,
}

/// Removes the handle when the task is over.
struct Entry<'a> {
    desk: &'a Desk,
    task: TaskId,
    handle: Handle,
}

impl Desk {
    /// A desk for this node.
    pub fn new(core: Arc<Core>) -> Arc<Self> {
        let tasks = core.config.tasks;
        Arc::new(Self {
            core,
            open: Mutex::default(),
            permits: Semaphore::new(tasks),
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
            Box::pin(desk.handle(offered)).await;
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

    async fn handle(&self, offered: Offered) {
        let Ok(claimed) = offered.signed.parse() else {
            return tracing::warn!(
                "the coordinator offered something that is no task; compare the versions"
            );
        };
        let hash = offered.signed.hash();
        let entry = match self.enter(claimed.id, hash) {
            Entered::First(entry) => entry,
            Entered::Again => return self.repeat_decision(claimed.id).await,
            Entered::OtherBytes => return self.id_reused(&claimed).await,
        };
        let id = claimed.id;
        match self
            .core
            .journal(move |journal| journal.look_up(&id, &hash))
            .await
        {
            Ok(LookUp::New) => Box::pin(self.consider(&claimed, &entry.handle, offered)).await,
            Ok(LookUp::Same(row)) if row.state == State::Approved => {
                self.repeat_unended(&row).await
            }
            Ok(LookUp::Same(row)) => {
                self.repeat_proof(id).await;
                self.repeat(id, &row);
            }
            Ok(LookUp::Different) => self.id_reused(&claimed).await,
            Err(error) => self.unrecorded(id, &error),
        }
    }

    /// Everything before approval. A refusal is final for the task once it is journalled: one of a
    /// task that nobody authenticated, or that the journal did not take, leaves its id as it was.
    async fn consider(&self, claimed: &Task, handle: &Handle, offered: Offered) {
        let requesters = &self.core.config.requesters;
        let task = match offered
            .signed
            .authenticate(|id| requesters.contains_key(id), self.core.now())
        {
            Ok(task) => task,
            // Not journalled under its id: whoever made this up must not use up a requester's task
            // id.
            Err(error) => {
                let refusal = refusal(error.code().clone(), &error.to_string());
                return self
                    .alarm_and_refuse(claimed, refusal, &self.unauthenticated)
                    .await;
            }
        };
        if self
            .core
            .restored
            .is_some_and(|restored| task.created < restored)
        {
            self.begin_events(&task, &offered, None);
            return self.refuse(&task, &offered, before_restore()).await;
        }
        if self.core.twins.is_known() {
            self.begin_events(&task, &offered, None);
            return self.refuse(&task, &offered, twin()).await;
        }
        let Ok(_permit) = self.permits.try_acquire() else {
            self.begin_events(&task, &offered, None);
            return self.refuse(&task, &offered, busy()).await;
        };
        let admitted = {
            let core = self.core.clone();
            let task = task.clone();
            let parties = offered.parties.clone();
            tokio::task::spawn_blocking(move || admission::admit(&core, &task, &parties)).await
        };
        let admitted = admitted.unwrap_or_else(|error| Err(bug(&error)));
        self.begin_events(&task, &offered, admitted.as_ref().ok());
        match admitted {
            Ok(Plan::KeyGen(plan)) => self.decide(task, handle, offered, plan).await,
            Ok(Plan::KeySign(plan)) => self.decide(task, handle, offered, plan).await,
            Ok(Plan::KeyReshare(plan)) => self.decide(task, handle, offered, plan).await,
            Ok(Plan::CheckUp(plan)) => self.decide(task, handle, offered, plan).await,
            Err(refusal) => self.refuse(&task, &offered, refusal).await,
        }
    }

    /// The task is known by its requester from here on.
    fn begin_events(&self, task: &Authenticated<Task>, offered: &Offered, plan: Option<&Plan>) {
        let events = &self.core.events;
        let kind = TaskKind::from(&task.operation);
        let operation = plan.map_or_else(|| events::unread(kind), Plan::question);
        let facts = plan.map(Plan::facts).unwrap_or_default();
        events.begin(
            task.id,
            kind,
            risk::question(&self.core, task, &offered.signed, operation, facts),
        );
        // A task that is refused at once is told of with its refusal.
        if plan.is_some() {
            events.post(
                &self.core,
                task.id,
                vec![What::Created, What::Updated(Stage::Approving)],
            );
        }
    }

    /// Asks the plugins; what they say is durable before anybody hears of it.
    async fn decide<J: Job>(
        &self,
        task: Authenticated<Task>,
        handle: &Handle,
        offered: Offered,
        job: J,
    ) {
        let decision = {
            let mut deciding = pin!(self.core.guard.decide(
                &self.core,
                &task,
                &offered.signed,
                job
            ));
            tokio::select! {
                () = handle.cancelled.cancelled() => {
                    self.cancel_early(&task, &offered).await;
                    return self.hear_out(&task, deciding).await;
                }
                () = self.core.stopping.cancelled() => return,
                decision = &mut deciding => decision,
            }
        };
        match decision {
            Decision::Refused {
                refusal,
                verdicts,
                evidence,
            } => {
                let row = self.row(&task, &offered, verdicts, evidence);
                self.record_refusal(&task, row, refusal, Vec::new()).await
            }
            Decision::Approved {
                approved,
                writes,
                evidence,
                turn,
            } => {
                let row = self.row(&task, &offered, approved.verdicts().to_vec(), evidence);
                let now = self.core.now();
                let told = self.core.events.tell(
                    &self.core.journal,
                    task.id,
                    What::Updated(Stage::Waiting),
                );
                let write =
                    move |journal: &Journal| journal.telling(told).approve(now, row, writes);
                let written = self.core.journal(write).await;
                turn.end();
                match written {
                    Ok(()) => {
                        self.tell(&task, offered.signed, approved.plan());
                        self.approved(task, handle, approved).await
                    }
                    Err(error) => self.unrecorded(task.id, &error),
                }
            }
        }
    }

    /// Whoever holds the key and does not sign counts it too.
    fn tell(&self, task: &Task, signed: SignedTask, job: &impl Job) {
        let used = Use {
            task: signed,
            signers: job.parties().to_vec(),
        };
        self.core
            .uses
            .approved(&used, job.bystanders(), task.not_after);
    }

    /// The end of a task that the coordinator gives up before the decision is on record: were it
    /// offered again, approvers would be asked again.
    async fn cancel_early(&self, task: &Authenticated<Task>, offered: &Offered) {
        let row = self.row(task, offered, Vec::new(), Evidence::default());
        let refusal = cancelled_early();
        log_refusal(task, &refusal);
        let told = What::Cancelled(format!("{}: {}", refusal.code, refusal.reason));
        let id = task.id;
        let now = self.core.now();
        let recorded = refusal.clone();
        let told = self.core.events.tell(&self.core.journal, id, told);
        match self
            .core
            .journal(move |journal| journal.telling(told).refuse(now, row, recorded))
            .await
        {
            Ok(()) => {
                self.count(task, Ended::Refused);
                self.report_decision(id, Some(refusal), Vec::new());
            }
            Err(error) => self.unrecorded(id, &error),
        }
    }

    /// Whoever was asked may answer yet. Nothing follows from it, but an approval does not vanish
    /// without a trace.
    async fn hear_out<J: Job>(
        &self,
        task: &Task,
        deciding: Pin<&mut impl Future<Output = Decision<J>>>,
    ) {
        let Some(decision) = self.core.stopping.run_until_cancelled(deciding).await else {
            return;
        };
        let verdicts = match decision {
            Decision::Refused { .. } => return,
            Decision::Approved { approved, turn, .. } => {
                turn.end();
                approved.verdicts().to_vec()
            }
        };
        let id = task.id;
        let now = self.core.now();
        let text = too_late(&verdicts);
        tracing::warn!(task = %id, "{text}");
        if let Err(error) = self
            .core
            .journal(move |journal| journal.alarm(now, Some(id), &text))
            .await
        {
            tracing::error!(%error, "the late approval was not recorded");
        }
    }

    async fn approved<J: Job>(
        &self,
        task: Authenticated<Task>,
        handle: &Handle,
        approved: Approved<J>,
    ) {
        if let Some(committee) = approved.plan().makes_aux_for(&self.core.me) {
            handle.line.committee.get_or_init(|| committee.clone());
        }
        self.report_decision(task.id, None, approved.verdicts().to_vec());
        let parties = approved.plan().parties().to_vec();
        let outcome = match self.may_start(&task, handle, &parties).await {
            Ok(()) => self.session(&task, handle, approved).await,
            Err(failure) => (Err(Stopped::Unused(failure)), None),
        };
        let end = |outcome, used, proof| self.end(&task, &parties, outcome, used, proof);
        match outcome {
            (Ok(outcome), proof) => end(outcome, true, proof).await,
            (Err(Stopped::Failed(failure)), proof) => {
                end(Outcome::Failed(failure), true, proof).await
            }
            (Err(Stopped::Unused(failure)), proof) => {
                end(Outcome::Failed(failure), false, proof).await
            }
            (Err(Stopped::Unsettled(failure)), proof) => {
                self.leave_open(&task, &parties, failure, proof).await;
            }
        }
    }

    /// Many approved tasks may have waited while one of them showed who cheats.
    async fn may_start(
        &self,
        task: &Authenticated<Task>,
        handle: &Handle,
        parties: &[NodeId],
    ) -> Result<(), Failure> {
        self.wait_for_start(task, handle).await?;
        let key = key_of(task);
        let parties = parties.to_vec();
        let trusted = match task.operation {
            Operation::KeyGen(_) => {
                self.core
                    .journal(move |journal| quarantine::check_new(journal, &parties))
                    .await
            }
            Operation::KeySign(_) | Operation::KeyReshare(_) => {
                self.core
                    .journal(move |journal| quarantine::check(journal, key, &parties))
                    .await
            }
            // Done alone.
            Operation::KeyShareSign(_) => Ok(()),
        };
        trusted.map_err(not_trusted)
    }

    async fn wait_for_start(&self, task: &Task, handle: &Handle) -> Result<(), Failure> {
        let left = Duration::from_millis(task.not_after.0.saturating_sub(self.core.now().0));
        tokio::select! {
            biased;
            () = handle.start.notified() => self.in_time(task),
            () = handle.cancelled.cancelled() => Err(cancelled("the coordinator cancelled the task before it began")),
            () = self.core.stopping.cancelled() => Err(cancelled("this node is stopping")),
            () = tokio::time::sleep(left.min(START_LIMIT)) => Err(not_started()),
        }
    }

    /// Nothing begins after its time, whatever the coordinator says.
    fn in_time(&self, task: &Task) -> Result<(), Failure> {
        if self.core.now() <= task.not_after {
            Ok(())
        } else {
            Err(not_started())
        }
    }

    /// The session from first to last frame, and what proves its failure.
    async fn session<J: Job>(
        &self,
        task: &Authenticated<Task>,
        handle: &Handle,
        approved: Approved<J>,
    ) -> (Result<Outcome, Stopped>, Option<Proof>) {
        let mut run = match self.begin(task, handle, &approved).await {
            Ok(run) => run,
            Err(failure) => return (Err(Stopped::Unused(failure)), None),
        };
        match J::run(self.core.clone(), Arc::new(approved), &mut run).await {
            Ok(outcome) => {
                run.finish().await;
                (Ok(outcome), None)
            }
            Err(stopped) => {
                let used = run.may_have_signed();
                let proof = run.evidence();
                run.abort(stopped.failure().clone()).await;
                match stopped {
                    Stopped::Failed(failure) if !used => (Err(Stopped::Unused(failure)), proof),
                    stopped => (Err(stopped), proof),
                }
            }
        }
    }

    async fn begin<J: Job>(
        &self,
        task: &Authenticated<Task>,
        handle: &Handle,
        approved: &Approved<J>,
    ) -> Result<Run, Failure> {
        let core = self.core.clone();
        let rooms = approved.plan().rooms();
        let Some(inbox) = Router::open(
            &core.router,
            task.id,
            approved.plan().parties(),
            rooms.clone(),
        ) else {
            let text = "a session of this task is open already; report this";
            return Err(Failure::new(FailureCode::SessionOpen, text));
        };
        let mut fresh = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut fresh);
        core.events
            .post(&core, task.id, vec![What::Updated(Stage::Processing)]);
        let asked = core.clone();
        let mark = core.journal(move |_| high_water::mark(&asked)).await;
        let setup = Setup {
            task: task.id,
            task_hash: task.hash(),
            parties: approved.plan().parties().to_vec(),
            me: core.me,
            fresh,
            holds: approved.plan().holds(&core),
            mark: mark.map_err(|error| Failure::new(FailureCode::Store, error.to_string()))?,
            signer: core.signer.clone(),
            limits: core.config.session,
            rooms,
        };
        let progress = core.reporter.progress(task.id);
        let run = Run::begin(
            setup,
            core.router.clone(),
            inbox,
            progress,
            handle.cancelled.clone(),
        );
        let mut run = run.await?;
        run.set_place(handle.line.take());
        Ok(run)
    }

    /// Journals the outcome and all that follows from it in one commit, then reports it. If no
    /// share was used, plugins forget what they wrote for the task.
    async fn end(
        &self,
        task: &Authenticated<Task>,
        parties: &[NodeId],
        outcome: Outcome,
        used: bool,
        proof: Option<Proof>,
    ) {
        let id = task.id;
        let now = self.core.now();
        let recorded = outcome.clone();
        let what = events::what_of(&self.core.events, id, &outcome, now.0);
        let told = self.core.events.tell(&self.core.journal, id, what);
        let consequences = self.consequences(task, parties, &outcome, used, proof.clone());
        log_consequences(&consequences);
        let write = move |journal: &Journal| {
            journal
                .telling(told)
                .conclude(now, id, recorded, used, consequences)
        };
        if let Err(error) = self.core.journal(write).await {
            return tracing::error!(task = %id, %error, "the outcome was not recorded and is not given out");
        }
        self.core.uses.ended(task.hash(), used);
        log_outcome(task, &outcome);
        self.count(task, ended(&outcome));
        self.report_proof(id, proof);
        match &outcome {
            Outcome::Created(key) => self.core.key_active(key.aux).await,
            Outcome::Reshared(key) => handover::moved(&self.core, key.key).await,
            _ => {}
        }
        let reshare = matches!(task.operation, Operation::KeyReshare(_));
        match self.core.journal(move |journal| journal.row(&id)).await {
            Ok(Some(row)) if reshare => self.repeat(id, &row),
            _ => self
                .core
                .reporter
                .send(FromNode::Outcome { task: id, outcome }),
        }
    }

    fn consequences(
        &self,
        task: &Authenticated<Task>,
        parties: &[NodeId],
        outcome: &Outcome,
        used: bool,
        evidence: Option<Proof>,
    ) -> Consequences {
        let key = key_of(task);
        let now = self.core.now();
        let stopping = self.core.stopping.is_cancelled();
        quarantine::Tried {
            task,
            key,
            parties,
            now,
            used,
            stopping,
            evidence,
        }
        .consequences(outcome)
    }

    /// The new share is stored and may yet be confirmed by all: no end is journalled, but whoever
    /// cheated is kept away, and the coordinator hears how it stands here.
    async fn leave_open(
        &self,
        task: &Authenticated<Task>,
        parties: &[NodeId],
        failure: Failure,
        proof: Option<Proof>,
    ) {
        let id = task.id;
        let outcome = Outcome::Failed(failure.clone());
        let consequences = self.consequences(task, parties, &outcome, true, proof.clone());
        log_consequences(&consequences);
        if let Err(error) = self
            .core
            .journal(move |journal| journal.judge(consequences))
            .await
        {
            tracing::error!(task = %id, %error, "what follows from the failure was not recorded");
        }
        self.report_proof(id, proof);
        match self.core.journal(move |journal| journal.row(&id)).await {
            // Settled while the session still waited.
            Ok(Some(row)) if row.state != State::Approved => self.repeat(id, &row),
            Ok(_) | Err(_) => {
                tracing::warn!(task = %id, code = %failure.code, reason = %failure.text, "what was stored waits for the other parties");
                self.report_failure(id, failure);
            }
        }
    }

    fn report_proof(&self, task: TaskId, proof: Option<Proof>) {
        if let Some(proof) = proof {
            self.core.reporter.send(FromNode::Evidence {
                task,
                evidence: Box::new(proof),
            });
        }
    }

    fn report_failure(&self, task: TaskId, failure: Failure) {
        self.core.reporter.send(FromNode::Outcome {
            task,
            outcome: Outcome::Failed(failure),
        });
    }

    /// Refuses before any plugin was asked.
    async fn refuse(&self, task: &Authenticated<Task>, offered: &Offered, refusal: Refusal) {
        let created = self
            .core
            .events
            .tell(&self.core.journal, task.id, What::Created);
        let row = self.row(task, offered, Vec::new(), Evidence::default());
        self.record_refusal(task, row, refusal, created).await;
    }

    /// `told` is what receivers have yet to hear before the refusal.
    async fn record_refusal(
        &self,
        task: &Task,
        row: Decided,
        refusal: Refusal,
        mut told: Vec<NewEvent>,
    ) {
        log_refusal(task, &refusal);
        let id = task.id;
        let now = self.core.now();
        let recorded = refusal.clone();
        let verdicts = row.verdicts.clone();
        let what = What::Declined {
            code: refusal.code.to_string(),
            reason: refusal.reason.clone(),
        };
        told.extend(self.core.events.tell(&self.core.journal, id, what));
        match self
            .core
            .journal(move |journal| journal.telling(told).refuse(now, row, recorded))
            .await
        {
            Ok(()) => {
                self.count(task, Ended::Refused);
                self.report_decision(id, Some(refusal), verdicts)
            }
            Err(error) => self.unrecorded(id, &error),
        }
    }

    /// Refuses what proves nothing of its maker. The audit log takes one line of this kind in a
    /// second.
    async fn alarm_and_refuse(&self, task: &Task, refusal: Refusal, alarms: &Throttle) {
        log_refusal(task, &refusal);
        self.count(task, Ended::Alarmed);
        let id = task.id;
        if let Some(before) = alarms.pass(Instant::now()) {
            let now = self.core.now();
            let text = alarm_text(&refusal, before);
            if let Err(error) = self
                .core
                .journal(move |journal| journal.alarm(now, Some(id), &text))
                .await
            {
                tracing::error!(%error, "the alarm was not recorded");
            }
        }
        self.report_decision(id, Some(refusal), Vec::new());
    }

    async fn id_reused(&self, task: &Task) {
        let reason = "this task id was used before with other bytes; find out who sends it, and use a new id";
        self.alarm_and_refuse(
            task,
            refusal(RefusalCode::TaskIdReused, reason),
            &self.reused,
        )
        .await;
    }

    /// What the journal did not take does not happen.
    fn unrecorded(&self, task: TaskId, error: &dyn std::error::Error) {
        tracing::error!(%task, %error, "the decision was not recorded, so the task is refused");
        self.report_decision(
            task,
            Some(refusal(RefusalCode::Journal, &error.to_string())),
            Vec::new(),
        );
    }

    /// Approved, not under way, and without an end on record.
    async fn repeat_unended(&self, row: &Row) {
        let task = row.task;
        match self
            .core
            .journal(move |journal| journal.handover(&task))
            .await
        {
            Ok(Some(open)) => handover::report(&self.core, task, &open.announcement),
            Ok(None) => self.report_failure(task, no_end(row.kind)),
            Err(error) => self.unrecorded(task, &error),
        }
    }

    async fn repeat_proof(&self, task: TaskId) {
        match self
            .core
            .journal(move |journal| quarantine::evidence(journal, task))
            .await
        {
            Ok(proofs) => proofs
                .into_iter()
                .for_each(|proof| self.report_proof(task, Some(proof))),
            Err(error) => tracing::error!(%task, %error, "what proves a cheat cannot be read"),
        }
    }

    /// The coordinator asks again: the answer is the recorded one.
    fn repeat(&self, task: TaskId, row: &Row) {
        match &row.state {
            State::Approved => self.report_decision(task, None, row.verdicts.clone()),
            State::Ended { outcome, .. } => match &**outcome {
                Outcome::Refused(refusal) => {
                    self.report_decision(task, Some(refusal.clone()), row.verdicts.clone())
                }
                outcome => {
                    self.core.reporter.send(FromNode::Outcome {
                        task,
                        outcome: outcome.clone(),
                    });
                    handover::report_void(&self.core, row);
                }
            },
        }
    }

    /// Asked again about a task under way.
    async fn repeat_decision(&self, task: TaskId) {
        if let Ok(Some(row)) = self.core.journal(move |journal| journal.row(&task)).await {
            self.repeat(task, &row);
        }
    }

    fn count(&self, task: &Task, ended: Ended) {
        self.core.tally.task(TaskKind::from(&task.operation), ended);
    }

    fn row(
        &self,
        task: &Authenticated<Task>,
        offered: &Offered,
        verdicts: Vec<PluginVerdict>,
        evidence: Evidence,
    ) -> Decided {
        Decided {
            task: task.id,
            hash: task.hash(),
            kind: TaskKind::from(&task.operation),
            received_at: self.core.now(),
            bytes: offered.signed.bytes.clone(),
            parties: offered.parties.clone(),
            verdicts,
            evidence,
        }
    }

    fn report_decision(
        &self,
        task: TaskId,
        refusal: Option<Refusal>,
        verdicts: Vec<PluginVerdict>,
    ) {
        self.core.reporter.send(FromNode::Decision {
            task,
            refusal,
            verdicts,
        });
    }

    fn enter(&self, task: TaskId, hash: Hash) -> Entered<'_> {
        let mut open = self.lock();
        match open.get(&task) {
            Some(known) if known.hash == hash => Entered::Again,
            Some(_) => Entered::OtherBytes,
            None => {
                let start = Arc::default();
                let line = Arc::default();
                let handle = Handle {
                    hash,
                    start,
                    cancelled: CancellationToken::new(),
                    line,
                };
                open.insert(task, handle.clone());
                Entered::First(Entry {
                    desk: self,
                    task,
                    handle,
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.task);
        self.desk.core.events.finish(self.task);
    }
}
