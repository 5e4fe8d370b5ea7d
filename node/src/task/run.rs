//! The session of an approved task, from its first frame to its last.

use std::sync::Arc;

use countersign_protocol::session::Setup;
use countersign_protocol::{Authenticated, Failure, FailureCode, NodeId, Outcome};
use countersign_verify::{WrongResult, result};
use tokio_util::sync::CancellationToken;

use super::admission::Plan;
use super::check_up::CheckUpPlan;
use super::keygen::KeyGenPlan;
use super::keysign::KeySignPlan;
use super::machine::{SessionEnd, SessionResult};
use super::reshare::KeyResharePlan;
use super::{Job, JobContext, Stopped};
use crate::heavy::Place;
use crate::high_water::OwnMark;
use crate::node_key::NodeKey;
use crate::off_thread::off_thread;
use crate::report::Reporter;
use crate::risk::{Approved, PartOf};
use crate::session::{Router, Run};
use crate::world::World;

/// The parts of the node that every session needs, whatever it computes.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Sessions {
    pub own: NodeKey,
    pub world: World,
    pub router: Arc<Router>,
    /// This node's high-water mark, which the other parties are told.
    pub own_mark: Arc<OwnMark>,
    pub reporter: Reporter,
    pub jobs: Arc<JobContext>,
}

/// A task that may run.
pub struct Ready {
    pub task: Authenticated,
    pub approved: Approved<Plan>,
    pub cancelled: CancellationToken,
    /// The task's place in the queue for auxiliary information.
    pub place: Option<Place>,
}

pub async fn run(node: Arc<Sessions>, ready: Ready) -> SessionEnd {
    match ready.approved.plan() {
        Plan::KeyGen(_) => run_as::<KeyGenPlan>(node, ready).await,
        Plan::KeySign(_) => run_as::<KeySignPlan>(node, ready).await,
        Plan::KeyReshare(_) => run_as::<KeyResharePlan>(node, ready).await,
        Plan::CheckUp(_) => run_as::<CheckUpPlan>(node, ready).await,
    }
}

async fn run_as<J: Job + PartOf<Plan>>(node: Arc<Sessions>, ready: Ready) -> SessionEnd {
    let Ready {
        task,
        approved,
        cancelled,
        place,
    } = ready;
    let begun = match approved.narrowed::<J>() {
        Some(approved) => begin(&node, &task, &approved, cancelled)
            .await
            .map(|run| (run, approved)),
        None => Err(Failure::new(
            FailureCode::SessionOpen,
            "a session was started for another kind of task; report this",
        )),
    };
    let (mut run, approved) = match begun {
        Ok(begun) => begun,
        Err(failure) => return failed(failure, false),
    };
    run.set_place(place);
    let approved = Arc::new(approved);
    let me = node.own.id();
    let made = J::run(node.jobs.clone(), approved.clone(), &mut run).await;
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

/// Verifies the outcome: the node's own results are trusted as little as the reports of others.
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
    node: &Sessions,
    task: &Authenticated,
    approved: &Approved<J>,
    cancelled: CancellationToken,
) -> Result<Run, Failure> {
    let plan = approved.plan();
    let rooms = plan.rooms();
    let Some(inbox) = Router::open(&node.router, task.id, plan.parties(), rooms.clone()) else {
        let text = "a session of this task is open already; report this";
        return Err(Failure::new(FailureCode::SessionOpen, text));
    };
    let own_mark = node.own_mark.clone();
    let mark = off_thread(move || own_mark.look()).await;
    let setup = Setup {
        task: task.id,
        task_hash: task.hash(),
        parties: plan.parties().to_vec(),
        me: node.own.id(),
        fresh: node.world.random(),
        holds: plan.holds(),
        mark: mark.map_err(|error| Failure::new(FailureCode::Store, error.to_string()))?,
        signer: Arc::new(node.own.clone()),
        limits: node.jobs.config.now().session,
        rooms,
    };
    let progress = node.reporter.progress(task.id);
    Run::begin(setup, node.router.clone(), inbox, progress, cancelled).await
}
