//! Answers preflights: how would this node decide on a task that nobody has ordered yet?
//!
//! The checks are those of an offer, by the same functions, but nothing remains of them: no row, no
//! counter, no event, no alarm, no write of a plugin, and the task's id is not used up. The result
//! is a [`Forecast`], which no session takes. Plugins that would call their servers are not asked.
//!
//! Real tasks come first: one preflight is examined at a time, none while the node is busy, and
//! what nobody waits for any more is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_host::Task as Question;
use countersign_protocol::control::FromNode;
use countersign_protocol::{
    Authenticated, Forecast, NodeId, Outcome, Refusal, RefusalCode, SignedTask,
};
use countersign_store::{LookUp, Row, State};
use tokio::sync::{Mutex, Semaphore};

use super::allowance::Allowance;
use super::machine::{self, World};
use super::refusal::refusal;
use super::service::Services;
use super::telling::bug;
use super::throttle::Throttle;

/// Preflights that may wait for their turn, with their tasks.
const WAITING: usize = 16;
/// The time from the question to the answer. The coordinator waits a little longer.
const LIMIT: Duration = Duration::from_secs(2);

/// A task that the coordinator asks about.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the other fields are those of an offer")]
pub struct Asked {
    /// The number of the question.
    pub ask: u64,
    pub signed: SignedTask,
    pub parties: Vec<NodeId>,
}

/// Examines tasks without consequences.
pub(super) struct Preflights {
    node: Arc<Services>,
    /// Those of the tasks under way.
    permits: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    turn: Mutex<()>,
    allowance: Allowance,
    dropped: Throttle,
}

impl Preflights {
    pub(super) fn new(node: Arc<Services>, permits: Arc<Semaphore>) -> Arc<Self> {
        let allowance = Allowance::per_minute(node.admission.config.now().preflights.per_minute);
        Arc::new(Self {
            node,
            permits,
            waiting: Arc::new(Semaphore::new(WAITING)),
            turn: Mutex::default(),
            allowance,
            dropped: Throttle::default(),
        })
    }

    /// Answers in the background, unless too many wait already.
    pub(super) fn ask(self: &Arc<Self>, asked: Asked) {
        let Ok(place) = self.waiting.clone().try_acquire_owned() else {
            return self.overrun();
        };
        let deadline = Instant::now() + LIMIT;
        let preflights = self.clone();
        tokio::spawn(async move {
            let stopping = preflights.node.stopping.clone();
            let answered = preflights.answer(asked, deadline);
            stopping.run_until_cancelled(answered).await;
            drop(place);
        });
    }

    fn overrun(&self) {
        if let Some(before) = self.dropped.pass(Instant::now()) {
            tracing::warn!(
                before,
                "the coordinator asks for more preflights than this node answers at a time; one was dropped"
            );
        }
    }

    async fn answer(self: &Arc<Self>, asked: Asked, deadline: Instant) {
        let _turn = self.turn.lock().await;
        if Instant::now() >= deadline {
            return self.overrun();
        }
        let ask = asked.ask;
        let forecast = Box::new(self.forecast(asked, deadline).await);
        self.node
            .reporter
            .send_if_idle(FromNode::Preflight { ask, forecast });
    }

    async fn forecast(self: &Arc<Self>, asked: Asked, deadline: Instant) -> Forecast {
        let preflights = self.clone();
        let examined = tokio::task::spawn_blocking(move || preflights.examine(asked)).await;
        match examined.unwrap_or_else(|error| Err(Forecast::refused(bug(&error)))) {
            Ok(question) => self.node.guard.forecast(&question, deadline).await,
            Err(settled) => settled,
        }
    }

    /// The checks before plugins are asked, in the order of an offer's except that a stranger
    /// learns nothing. An error is the answer.
    fn examine(&self, asked: Asked) -> Result<Question, Forecast> {
        let node = &*self.node;
        let rules = node.admission.rules();
        let world = World {
            now: node.world.now(),
            restored: node.restored,
            has_twin: node.twins.is_known(),
            has_room: self.permits.available_permits() > 0,
            stopping: node.stopping.is_cancelled(),
            requesters: &|id| rules.requesters.contains_key(id),
            passkeys: rules.passkeys(),
        };
        let claimed = asked.signed.claim();
        let claimed = Arc::new(claimed.map_err(|error| {
            Forecast::refused(refusal(error.code().clone(), &error.to_string()))
        })?);
        let task = machine::authenticate(&claimed, &world).map_err(Forecast::refused)?;
        self.check_allowed(&task).map_err(Forecast::refused)?;
        self.look_up(&task)?;
        if let Some(hindrance) = machine::hindrance(&task, &world) {
            return Err(Forecast::refused(hindrance));
        }
        let plan = node.admission.admit(&task, &asked.parties);
        let plan = plan.map_err(Forecast::refused)?;
        Ok(node
            .asker
            .question(world.now, &task, plan.question(), plan.facts()))
    }

    fn check_allowed(&self, task: &Authenticated) -> Result<(), Refusal> {
        let requester = task.requester;
        let config = self.node.admission.config.now();
        let allowed = &config.preflights.allowed;
        if !allowed.contains(&requester) {
            return Err(refusal(
                RefusalCode::PreflightOff,
                "this node's operator has switched preflights off for this requester; order the task, or ask the operator",
            ));
        }
        let is_busy = self.permits.available_permits() < self.node.tasks / 2;
        self.allowance.set(config.preflights.per_minute);
        if is_busy || !self.allowance.take(requester, Instant::now()) {
            return Err(refusal(
                RefusalCode::PreflightRate,
                "this node is busy with tasks, or was asked for too many preflights within a minute; ask again later",
            ));
        }
        Ok(())
    }

    /// An offer of a task that is on record would be answered by the record.
    fn look_up(&self, task: &Authenticated) -> Result<(), Forecast> {
        let journal = &self.node.register.journal;
        let found = journal.look_up(&task.id, &task.hash());
        let found = found.map_err(|error| {
            Forecast::refused(refusal(RefusalCode::Journal, &error.to_string()))
        })?;
        match found {
            LookUp::New => Ok(()),
            LookUp::Spent => Err(Forecast::refused(machine::spent())),
            LookUp::Different => Err(Forecast::refused(machine::id_reused())),
            LookUp::Same(row) => Err(recorded(*row)),
        }
    }
}

fn recorded(row: Row) -> Forecast {
    let refusal = match row.state {
        State::Approved => None,
        State::Ended { outcome, .. } => match *outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Created(_)
            | Outcome::Signed(_)
            | Outcome::Failed(_)
            | Outcome::Reshared(_)
            | Outcome::Intact(_) => None,
        },
    };
    Forecast {
        refusal,
        verdicts: row.verdicts,
        not_asked: Vec::new(),
    }
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
