//! The session of an approved task, from its first frame to its last.

use std::sync::Arc;

use countersign_protocol::session::Setup;
use countersign_protocol::{Authenticated, Failure, FailureCode, NodeId, Outcome};
use countersign_verify::{WrongResult, result};
use rand::RngCore;
use tokio_util::sync::CancellationToken;

use super::admission::Plan;
use super::check_up::CheckUpPlan;
use super::keygen::KeyGenPlan;
use super::keysign::KeySignPlan;
use super::machine::{SessionEnd, SessionResult};
use super::reshare::KeyResharePlan;
use super::{Job, Stopped};
use crate::core::Core;
use crate::heavy::Place;
use crate::risk::{Approved, PartOf};
use crate::session::{Router, Run};

/// A task that may run.
pub struct Ready {
    /// The task.
    pub task: Authenticated,
    /// Its approval.
    pub approved: Approved<Plan>,
    /// Ends the session.
    pub cancelled: CancellationToken,
    /// The task's place in the queue for auxiliary information.
    pub place: Option<Place>,
}

/// Runs the session.
pub async fn run(core: Arc<Core>, ready: Ready) -> SessionEnd {
    match ready.approved.plan() {
        Plan::KeyGen(_) => run_as::<KeyGenPlan>(core, ready).await,
        Plan::KeySign(_) => run_as::<KeySignPlan>(core, ready).await,
        Plan::KeyReshare(_) => run_as::<KeyResharePlan>(core, ready).await,
        Plan::CheckUp(_) => run_as::<CheckUpPlan>(core, ready).await,
    }
}

async fn run_as<J: Job + PartOf<Plan>>(core: Arc<Core>, ready: Ready) -> SessionEnd {
    let Ready {
        task,
        approved,
        cancelled,
        place,
    } = ready;
    let begun = match approved.narrowed::<J>() {
        Some(approved) => begin(&core, &task, &approved, cancelled)
            .await
            .map(|run| (run, approved)),
        None => Err(Failure::new(
            FailureCode::SessionOpen,
            "a session was to run another kind of task; report this",
        )),
    };
    let (mut run, approved) = match begun {
        Ok(begun) => begun,
        Err(failure) => return failed(failure, false),
    };
    run.set_place(place);
    let approved = Arc::new(approved);
    let me = core.me;
    let made = J::run(core, approved.clone(), &mut run).await;
    let believed = made.and_then(|outcome| {
        let checked = check(approved.plan(), &task, me, &outcome);
        let unbelieved = |wrong| J::unbelieved(&wrong, run.counterpart());
        checked.map_err(unbelieved).map(|()| outcome)
    });
    match believed {
        Ok(outcome) => {
            run.finish().await;
            SessionEnd {
                result: SessionResult::Completed(outcome),
                proof: None,
            }
        }
        Err(stopped) => {
            let used = run.may_have_signed();
            let proof = run.evidence();
            run.abort(stopped.failure().clone()).await;
            let end = match stopped {
                Stopped::Failed(failure) => failed(failure, used),
                Stopped::Unused(failure) => failed(failure, false),
                Stopped::Unsettled(failure) => SessionEnd {
                    result: SessionResult::InDoubt(failure),
                    proof: None,
                },
            };
            SessionEnd { proof, ..end }
        }
    }
}

/// What the node itself made is believed as little as what others report.
fn check<J: Job>(
    plan: &J,
    task: &Authenticated,
    me: NodeId,
    outcome: &Outcome,
) -> Result<(), WrongResult> {
    let order = result::Order {
        task,
        hash: task.hash(),
        wallet: plan.wallet(),
        parties: plan.parties(),
        inputs: &plan.inputs(),
    };
    order.check(&me, outcome)
}

fn failed(failure: Failure, used: bool) -> SessionEnd {
    SessionEnd {
        result: SessionResult::Failed { failure, used },
        proof: None,
    }
}

async fn begin<J: Job>(
    core: &Arc<Core>,
    task: &Authenticated,
    approved: &Approved<J>,
    cancelled: CancellationToken,
) -> Result<Run, Failure> {
    let plan = approved.plan();
    let rooms = plan.rooms();
    let Some(inbox) = Router::open(&core.router, task.id, plan.parties(), rooms.clone()) else {
        let text = "a session of this task is open already; report this";
        return Err(Failure::new(FailureCode::SessionOpen, text));
    };
    let mut fresh = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut fresh);
    let asked = core.clone();
    let mark = core.journal(move |_| asked.own_mark.look()).await;
    let setup = Setup {
        task: task.id,
        task_hash: task.hash(),
        parties: plan.parties().to_vec(),
        me: core.me,
        fresh,
        holds: plan.holds(core),
        mark: mark.map_err(|error| Failure::new(FailureCode::Store, error.to_string()))?,
        signer: core.signer.clone(),
        limits: core.config.session,
        rooms,
    };
    let progress = core.reporter.progress(task.id);
    Run::begin(setup, core.router.clone(), inbox, progress, cancelled).await
}
