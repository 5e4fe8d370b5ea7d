//! The desk where offers arrive: each is handled on its own, once.

use super::Job;
use super::admission::{self, Plan, refusal};
use crate::core::Core;
use crate::risk::{Approved, Decision};
use crate::session::driver::failure;
use crate::session::{Router, Run};
use countersign_protocol::control::FromNode;
use countersign_protocol::session::Setup;
use countersign_protocol::{
    Authenticated, Cause, Failure, NodeId, Outcome, PluginVerdict, Refusal, SignedTask, Task, TaskId,
};
use countersign_store::{Decided, LookUp, Row, State, TaskKind};
use rand::RngCore;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long an approved task waits for the others' approvals.
const START_LIMIT: Duration = Duration::from_secs(300);

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
    permits: Semaphore,
    tracker: TaskTracker,
}

/// How the coordinator reaches a task under way.
#[derive(Clone, Default)]
struct Handle {
    start: Arc<Notify>,
    cancelled: CancellationToken,
}

/// Removes the handle when the task is over.
struct Entry<'a> {
    desk: &'a Desk,
    task: TaskId,
    handle: Handle,
}

impl Desk {
    /// A desk for this node.
    pub fn new(core: Arc<Core>) -> Arc<Desk> {
        let permits = Semaphore::new(core.config.tasks);
        Arc::new(Desk { core, open: Mutex::default(), permits, tracker: TaskTracker::new() })
    }

    /// Takes an offer; what becomes of it is reported.
    pub fn offer(self: &Arc<Self>, offered: Offered) {
        let desk = self.clone();
        self.tracker.spawn(async move { desk.handle(offered).await });
    }

    /// All parties have approved.
    pub fn start(&self, task: TaskId) {
        if let Some(handle) = self.lock().get(&task) {
            handle.start.notify_one();
        }
    }

    /// The coordinator has given the task up.
    pub fn cancel(&self, task: TaskId, reason: &str) {
        if let Some(handle) = self.lock().get(&task) {
            tracing::info!(%task, reason = %printable(reason), "the coordinator cancels the task");
            handle.cancelled.cancel();
        }
    }

    /// Lets sessions under way finish for a while, then ends them.
    pub async fn drain(&self, grace: Duration) {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            self.lock().values().for_each(|handle| handle.cancelled.cancel());
            self.tracker.wait().await;
        }
    }

    async fn handle(&self, offered: Offered) {
        let Ok(claimed) = offered.signed.parse() else {
            return tracing::warn!("the coordinator offered something that is no task; compare the versions");
        };
        let Some(entry) = self.enter(claimed.id) else { return self.repeat_decision(claimed.id).await };
        let hash = offered.signed.hash();
        match self.core.journal(move |journal| journal.look_up(&claimed.id, &hash)).await {
            Ok(LookUp::New) => self.consider(claimed.id, &entry.handle, offered).await,
            Ok(LookUp::Same(row)) => self.repeat(claimed.id, &row),
            Ok(LookUp::Different) => self.id_reused(claimed.id).await,
            Err(error) => self.unwritable(claimed.id, &error),
        }
    }

    /// Everything before approval. A refusal here is final for the task.
    async fn consider(&self, id: TaskId, handle: &Handle, offered: Offered) {
        let requesters = &self.core.config.requesters;
        let task = match offered.signed.authenticate(|id| requesters.contains_key(id), self.core.now()) {
            Ok(task) => task,
            // Not journalled under its id: whoever made this up must not use up a requester's task id.
            Err(error) => return self.alarm_and_refuse(id, refusal(error.code(), &error.to_string())).await,
        };
        let Ok(_permit) = self.permits.try_acquire() else {
            return self.refuse(&task, &offered, busy(), Vec::new()).await;
        };
        let admitted = {
            let (core, task, parties) = (self.core.clone(), task.clone(), offered.parties.clone());
            tokio::task::spawn_blocking(move || admission::admit(&core, &task, &parties)).await
        };
        match admitted.unwrap_or_else(|error| Err(refusal("bug", &error.to_string()))) {
            Ok(Plan::KeyGen(plan)) => self.decide(task, handle, offered, plan).await,
            Ok(Plan::KeySign(plan)) => self.decide(task, handle, offered, plan).await,
            Err(refusal) => self.refuse(&task, &offered, refusal, Vec::new()).await,
        }
    }

    /// Asks the plugins; what they say is durable before anybody hears of it.
    async fn decide<J: Job>(&self, task: Authenticated<Task>, handle: &Handle, offered: Offered, job: J) {
        let decision = tokio::select! {
            () = handle.cancelled.cancelled() => return,
            () = self.core.stopping.cancelled() => return,
            decision = self.core.guard.decide(&self.core, &task, &offered.signed, job) => decision,
        };
        match decision {
            Decision::Refused { refusal, verdicts } => self.refuse(&task, &offered, refusal, verdicts).await,
            Decision::Approved { approved, writes, turn } => {
                let row = self.row(&task, &offered, approved.verdicts().to_vec());
                let now = self.core.now();
                let written = self.core.journal(move |journal| journal.approve(now, row, writes)).await;
                turn.end();
                match written {
                    Ok(()) => self.approved(task, handle, approved).await,
                    Err(error) => self.unwritable(task.id, &error),
                }
            }
        }
    }

    async fn approved<J: Job>(&self, task: Authenticated<Task>, handle: &Handle, approved: Approved<J>) {
        self.report_decision(task.id, None, approved.verdicts().to_vec());
        let outcome = match self.wait_for_start(&task, handle).await {
            Ok(()) => self.session(&task, handle, approved).await,
            Err(failure) => Err(failure),
        };
        self.end(task.id, outcome.unwrap_or_else(Outcome::Failed)).await;
    }

    async fn wait_for_start(&self, task: &Task, handle: &Handle) -> Result<(), Failure> {
        let left = Duration::from_millis(task.not_after.0.saturating_sub(self.core.now().0));
        tokio::select! {
            biased;
            () = handle.start.notified() => Ok(()),
            () = handle.cancelled.cancelled() => Err(cancelled("the coordinator cancelled the task before it began")),
            () = self.core.stopping.cancelled() => Err(cancelled("this node is stopping")),
            () = tokio::time::sleep(left.min(START_LIMIT)) => Err(not_started()),
        }
    }

    /// The session from first to last frame.
    async fn session<J: Job>(
        &self,
        task: &Authenticated<Task>,
        handle: &Handle,
        approved: Approved<J>,
    ) -> Result<Outcome, Failure> {
        let core = self.core.clone();
        let Some(inbox) = Router::open(&core.router, task.id, approved.plan().parties()) else {
            return Err(failure(
                Cause::Bug,
                "session-open",
                "a session of this task is open already; report this",
            ));
        };
        let mut fresh = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut fresh);
        let setup = Setup {
            task: task.id,
            task_hash: task.hash(),
            parties: approved.plan().parties().to_vec(),
            me: core.me,
            fresh,
            holds: approved.plan().holds(&core),
            signer: core.signer.clone(),
            limits: core.config.session,
        };
        let progress = core.reporter.progress(task.id);
        let mut run =
            Run::begin(setup, core.router.clone(), inbox, progress, handle.cancelled.clone()).await?;
        match J::run(core, Arc::new(approved), &mut run).await {
            Ok(outcome) => {
                run.finish().await;
                Ok(outcome)
            }
            Err(failure) => Err(run.abort(failure).await),
        }
    }

    /// Journals the outcome, then reports it.
    async fn end(&self, task: TaskId, outcome: Outcome) {
        let recorded = outcome.clone();
        let now = self.core.now();
        log_outcome(task, &outcome);
        match self.core.journal(move |journal| journal.end(now, task, recorded)).await {
            Ok(_) => self.core.reporter.send(FromNode::Outcome { task, outcome }),
            Err(error) => {
                tracing::error!(%task, %error, "the outcome could not be journalled and is not given out")
            }
        }
    }

    async fn refuse(
        &self,
        task: &Authenticated<Task>,
        offered: &Offered,
        refusal: Refusal,
        verdicts: Vec<PluginVerdict>,
    ) {
        tracing::warn!(task = %task.id, code = %refusal.code, plugin = ?refusal.plugin, reason = %refusal.reason, "refused");
        let row = self.row(task, offered, verdicts.clone());
        let (id, now, recorded) = (task.id, self.core.now(), refusal.clone());
        match self.core.journal(move |journal| journal.refuse(now, row, recorded)).await {
            Ok(()) => self.report_decision(id, Some(refusal), verdicts),
            Err(error) => self.unwritable(id, &error),
        }
    }

    async fn alarm_and_refuse(&self, task: TaskId, refusal: Refusal) {
        tracing::warn!(%task, code = %refusal.code, reason = %refusal.reason, "refused");
        let (now, text) = (self.core.now(), format!("{}: {}", refusal.code, refusal.reason));
        if let Err(error) = self.core.journal(move |journal| journal.alarm(now, Some(task), &text)).await {
            tracing::error!(%error, "the journal cannot be written");
        }
        self.report_decision(task, Some(refusal), Vec::new());
    }

    async fn id_reused(&self, task: TaskId) {
        let reason = "this task id was used before with other bytes; find out who sends it, and use a new id";
        self.alarm_and_refuse(task, refusal("task-id-reused", reason)).await;
    }

    /// A journal that cannot be written: nothing is signed.
    fn unwritable(&self, task: TaskId, error: &dyn std::error::Error) {
        tracing::error!(%task, %error, "the journal cannot be written; nothing is signed until it can");
        self.report_decision(task, Some(refusal("journal", &error.to_string())), Vec::new());
    }

    /// The coordinator asks again: the answer is the recorded one.
    fn repeat(&self, task: TaskId, row: &Row) {
        match &row.state {
            State::Approved => self.report_decision(task, None, row.verdicts.clone()),
            State::Ended { outcome, .. } => match &**outcome {
                Outcome::Refused(refusal) => {
                    self.report_decision(task, Some(refusal.clone()), row.verdicts.clone())
                }
                outcome => self.core.reporter.send(FromNode::Outcome { task, outcome: outcome.clone() }),
            },
        }
    }

    /// Asked again about a task under way.
    async fn repeat_decision(&self, task: TaskId) {
        if let Ok(Some(row)) = self.core.journal(move |journal| journal.row(&task)).await {
            self.repeat(task, &row);
        }
    }

    fn row(&self, task: &Authenticated<Task>, offered: &Offered, verdicts: Vec<PluginVerdict>) -> Decided {
        Decided {
            task: task.id,
            hash: task.hash(),
            kind: TaskKind::from(&task.operation),
            received_at: self.core.now(),
            bytes: offered.signed.bytes.clone(),
            parties: offered.parties.clone(),
            verdicts,
        }
    }

    fn report_decision(&self, task: TaskId, refusal: Option<Refusal>, verdicts: Vec<PluginVerdict>) {
        self.core.reporter.send(FromNode::Decision { task, refusal, verdicts });
    }

    fn enter(&self, task: TaskId) -> Option<Entry<'_>> {
        let mut open = self.lock();
        if open.contains_key(&task) {
            return None;
        }
        let handle = Handle::default();
        open.insert(task, handle.clone());
        Some(Entry { desk: self, task, handle })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.task);
    }
}

fn log_outcome(task: TaskId, outcome: &Outcome) {
    match outcome {
        Outcome::Created(key) => tracing::info!(%task, key = %key.key, scheme = %key.scheme, "key created"),
        Outcome::Signed(_) => tracing::info!(%task, "signed"),
        Outcome::Refused(refusal) => tracing::warn!(%task, code = %refusal.code, "refused"),
        Outcome::Failed(failure) => {
            tracing::warn!(%task, code = %failure.code, cause = ?failure.cause, reason = %failure.text, "failed");
        }
    }
}

/// Words of others, fit for a log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

fn busy() -> Refusal {
    refusal("busy", "this node handles as many tasks as limits.tasks allows; try again later with a new task")
}

fn cancelled(text: &str) -> Failure {
    failure(Cause::Environment, "cancelled", &format!("{text}; try again with a new task"))
}

fn not_started() -> Failure {
    failure(
        Cause::Environment,
        "not-started",
        "the other parties did not approve in time; see whom the task waits for, then make a new one",
    )
}
