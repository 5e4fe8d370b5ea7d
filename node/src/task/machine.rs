//! The state machine of one task: looked up, authenticated, admitted, decided, journalled, started,
//! run, journalled, reported.
//!
//! [`Machine::step`] takes an input and returns effects. It performs none of them: it reads no
//! journal and no clock, asks no plugin and sends nothing. The executor is `super::service`. A task
//! ends only by [`Effect::Commit`], which carries the row, the events and the counter, so none of
//! them can be forgotten. Nothing leaves the node before it is journalled.
//!
//! ```text
//! New ─ LookingUp ─ Admitting ─ Deciding ─ Recording ─ Waiting ─ Checking ─ Running ─ Recording ─ Over
//!                                   └ GivenUp                                             └ Closing ┘
//! ```
//!
//! An input that does not belong to the stage changes nothing.

#![expect(
    clippy::large_enum_variant,
    reason = "a task has one of each at a time"
)]

use std::sync::Arc;
use std::time::Duration;

use countersign_host::{Stage as Telling, What};
use countersign_protocol::{
    Authenticated, Claimed, Committee, Evidence as Proof, Failure, Hash, KeyDescriptor, KeyId,
    NodeId, Operation, Outcome, Passkeys, PluginVerdict, Refusal, RefusalCode, RequesterId,
    UnixMillis,
};
use countersign_store::{Consequences, Decided, Evidence, OperationKind, StateWrite, TaskChange};

use super::commit::{Commit, Told};
use super::quarantine::Tried;
use super::refusal::refusal;
use super::telling::{
    before_restore, busy, cancelled, cancelled_early, no_end, not_started, not_trusted, too_late,
    twin,
};

/// The longest wait of an approved task for the approvals of the other parties.
const START_LIMIT: Duration = Duration::from_secs(300);

/// A task and its stage.
#[derive(Debug)]
pub struct Machine {
    claimed: Arc<Claimed>,
    /// The parties that the coordinator named.
    offered_to: Vec<NodeId>,
    stage: Stage,
    /// Present once its requester is authenticated.
    authentic: Option<Authenticated>,
    /// The parties, once the task is admitted.
    parties: Vec<NodeId>,
    /// The plugins' verdicts, once they are on record.
    verdicts: Vec<PluginVerdict>,
    /// The coordinator started or cancelled the task before this node was ready for it.
    started: bool,
    cancelled: bool,
}

/// The stage of a task.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was done yet.
    New,
    /// The journal is asked what it knows of the task.
    LookingUp,
    /// The node checks the task against its own keys, roster and configuration.
    Admitting,
    /// The plugins are asked.
    Deciding,
    /// Cancelled while the plugins were asked. Their answer is noted, and has no effect.
    GivenUp { recorded: bool, answered: bool },
    /// A commit is under way.
    Recording(Recording),
    /// Approved and on record. The coordinator decides when to start.
    Waiting,
    /// The configuration and the journal are asked if the task may still run.
    Checking,
    /// The session is running.
    Running,
    /// The row is read again to report its outcome, or this one if it has none.
    Closing(Outcome),
    /// Nothing more is done.
    Over,
}

/// The change being journalled, with what follows once it is durable.
#[derive(Debug, PartialEq, Eq)]
enum Recording {
    Refusal {
        refusal: Refusal,
        verdicts: Vec<PluginVerdict>,
    },
    Approval,
    End {
        outcome: Outcome,
        used: bool,
        proof: Option<Proof>,
    },
    /// The new share is stored, and other parties have yet to acknowledge theirs.
    InDoubt {
        failure: Failure,
        proof: Option<Proof>,
    },
}

/// An event that the machine reacts to.
#[derive(Debug)]
pub enum Input {
    /// The coordinator offers the task, perhaps again.
    Offered,
    /// It offers other bytes under the same id.
    OtherBytes,
    /// The answer to [`Effect::LookUp`].
    Found(Found),
    /// The answer to [`Effect::Admit`].
    Admitted(Result<Admission, Refusal>),
    /// The answer to [`Effect::Ask`].
    Decided(Verdict),
    /// The last [`Effect::Commit`] is durable, or could not be written.
    Recorded(Result<(), NotRecorded>),
    /// All parties have approved.
    Start,
    /// The coordinator has cancelled the task.
    Cancel,
    /// The node is stopping.
    Stop,
    /// The time of the last [`Effect::Wait`] is over.
    TimedOut,
    /// The answer to [`Effect::Check`].
    Checked(Result<(), Refusal>),
    /// The session is over.
    Ended(SessionEnd),
}

/// A commit could not be written; the text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotRecorded(pub String);

/// The journal's knowledge of a task.
#[derive(Debug)]
pub enum Found {
    /// The task is not on record.
    New,
    /// It was approved and has no end on record.
    Approved {
        /// The next generation, if the task is a reshare in doubt.
        stored: Option<Box<KeyDescriptor>>,
    },
    /// The task is over.
    #[allow(missing_docs, reason = "the other fields are those of the row")]
    Ended {
        outcome: Box<Outcome>,
        verdicts: Vec<PluginVerdict>,
        /// Evidence of cheating that convinces third parties.
        proofs: Vec<Proof>,
        /// A reshare that this node never acknowledged, and never will.
        never_stored: bool,
    },
    /// The task ended long ago, and its record was deleted.
    Spent,
    /// The id is on record with other bytes.
    OtherBytes,
    /// The journal cannot be read.
    Unreadable(String),
}

/// The result of the node's own checks.
#[derive(Debug)]
pub struct Admission {
    /// The parties, ascending by id.
    pub parties: Vec<NodeId>,
    /// The committee for which this node may have to make auxiliary information.
    pub makes_aux_for: Option<Committee>,
}

/// The decision of all plugins together.
#[derive(Debug)]
pub struct Verdict {
    /// `None` if the task is approved.
    pub refusal: Option<Refusal>,
    /// One of each plugin that was asked.
    pub verdicts: Vec<PluginVerdict>,
    /// The plugins' state, written together with the approval.
    pub writes: Vec<StateWrite>,
    /// The inputs that a replay needs.
    pub evidence: Evidence,
}

/// The end of a session.
#[derive(Debug)]
pub struct SessionEnd {
    /// Says also if a share was used.
    pub result: SessionResult,
    /// Proof of a failure that convinces third parties.
    pub proof: Option<Proof>,
}

/// The result of a session.
#[derive(Debug)]
pub enum SessionResult {
    /// A result that this node verified.
    Completed(Outcome),
    /// The session ended without a result.
    #[allow(missing_docs, reason = "the failure is named for what it is")]
    Failed {
        failure: Failure,
        /// A share was used.
        used: bool,
    },
    /// This node has stored and acknowledged a share; the others may yet have a key,
    /// or its next generation.
    InDoubt(Failure),
}

/// An action for the executor, with the input that answers it.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Ask the journal what it knows of the task: [`Input::Found`].
    LookUp,
    /// Check the task against keys, roster and configuration: [`Input::Admitted`].
    Admit(Authenticated),
    /// Let events describe the task as its requester and this node do from here on.
    Describe(Authenticated),
    /// Ask the plugins: [`Input::Decided`].
    Ask(Authenticated),
    /// Write to the journal: [`Input::Recorded`].
    Commit(Box<Commit>),
    /// Alert an operator, in the log and the audit log, and count it. Others can cause it at will.
    Alarm {
        /// The refusal to log.
        refusal: Refusal,
        /// Alarms of one kind share one limit.
        kind: AlarmKind,
    },
    /// Write a note to the audit log.
    Note(String),
    /// Send events to receivers, outside any commit.
    Tell(Vec<What>),
    /// Let the task take a place in the queue for auxiliary information when it is started.
    Queue(Committee),
    /// Tell the other holders of the key.
    TellHolders,
    /// Tell the other holders that the task ended.
    ReleaseHolders {
        /// A share was used.
        used: bool,
    },
    /// Wait for this time: [`Input::TimedOut`].
    Wait(Duration),
    /// Look up whether the configuration in force still permits the task, and the parties are
    /// trusted: [`Input::Checked`].
    Check(Check),
    /// Run the session: [`Input::Ended`].
    Run,
    /// Cancel the running session.
    CancelRun,
    /// Follow up on a new or moved key.
    Follow(KeyChange),
    /// Send this to the coordinator.
    Report(Report),
}

/// Why an alarm was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmKind {
    /// No requester of this node is proven to have ordered the task.
    Unauthenticated,
    /// Its id was used for other bytes.
    Reused,
}

/// A check that no party was quarantined meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub enum Check {
    /// There are no other parties.
    Alone,
    /// These parties, for any key.
    NewKey(Vec<NodeId>),
    /// These parties, for this key, which must not be stopped.
    Key(KeyId, Vec<NodeId>),
}

/// A change of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It can sign, with this auxiliary information.
    Active(Option<Hash>),
    /// Its next generation is in force.
    Moved(KeyId),
}

/// A report to the coordinator.
#[derive(Debug, PartialEq, Eq)]
pub enum Report {
    /// This node's decision on the task.
    Decision {
        /// `None` if the task is approved.
        refusal: Option<Refusal>,
        /// One of each plugin that was asked.
        verdicts: Vec<PluginVerdict>,
    },
    /// The outcome, once it is durable.
    Outcome(Outcome),
    /// Proof that a party cheated.
    Evidence(Box<Proof>),
    /// This node has prepared a reshare, which is in doubt.
    Stored(Box<KeyDescriptor>),
    /// This node votes to abort the reshare.
    NeverStored,
}

/// The facts outside the machine that a step depends on.
#[allow(missing_docs, reason = "the other fields are named for what they hold")]
pub struct World<'a> {
    pub now: UnixMillis,
    /// The time of the last restore from a backup.
    pub restored: Option<UnixMillis>,
    /// Another process has the identity of this node.
    pub has_twin: bool,
    /// The node can take another task.
    pub has_room: bool,
    pub stopping: bool,
    /// True of requesters whose orders count.
    pub requesters: &'a dyn Fn(&RequesterId) -> bool,
    /// The pages that may ask requesters' passkeys to sign.
    pub passkeys: Option<&'a dyn Passkeys>,
}

impl Machine {
    /// A task that the coordinator offers to `parties`.
    pub fn new(claimed: Arc<Claimed>, parties: Vec<NodeId>) -> Self {
        Self {
            claimed,
            offered_to: parties,
            stage: Stage::New,
            authentic: None,
            parties: Vec::new(),
            verdicts: Vec::new(),
            started: false,
            cancelled: false,
        }
    }

    /// The task as claimed, authenticated or not.
    pub fn claimed(&self) -> &Arc<Claimed> {
        &self.claimed
    }

    /// The parties that the coordinator named.
    pub fn offered_to(&self) -> &[NodeId] {
        &self.offered_to
    }

    /// The task, once its requester is authenticated.
    pub fn authentic(&self) -> Option<Authenticated> {
        self.authentic.clone()
    }

    /// True if nothing more will come of it.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Takes an input and returns the effects to perform, in this order.
    pub fn step(&mut self, input: Input, world: &World<'_>) -> Vec<Effect> {
        match input {
            Input::Offered => self.offered(),
            Input::OtherBytes => reused(),
            Input::Found(found) => self.found(found, world),
            Input::Admitted(admission) => self.admitted(admission, world),
            Input::Decided(verdict) => self.decided(verdict, world),
            Input::Recorded(recorded) => self.recorded(recorded, world),
            Input::Start => self.start(world),
            Input::Cancel => self.cancel(world),
            Input::Stop => self.stop(world),
            Input::TimedOut => self.timed_out(world),
            Input::Checked(trusted) => self.checked(trusted, world),
            Input::Ended(end) => self.session_ended(end, world),
        }
    }

    fn offered(&mut self) -> Vec<Effect> {
        match self.stage {
            Stage::New => {
                self.stage = Stage::LookingUp;
                vec![Effect::LookUp]
            }
            // The answer is the recorded one.
            Stage::Waiting
            | Stage::Checking
            | Stage::Running
            | Stage::Recording(Recording::End { .. } | Recording::InDoubt { .. })
            | Stage::Closing(_) => vec![approval(&self.verdicts)],
            Stage::GivenUp { recorded: true, .. } => {
                vec![decision(Some(cancelled_early()), Vec::new())]
            }
            Stage::LookingUp
            | Stage::Admitting
            | Stage::Deciding
            | Stage::GivenUp {
                recorded: false, ..
            }
            | Stage::Recording(Recording::Refusal { .. } | Recording::Approval)
            | Stage::Over => Vec::new(),
        }
    }

    fn found(&mut self, found: Found, world: &World<'_>) -> Vec<Effect> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::LookingUp => match found {
                Found::New => self.consider(world),
                Found::Approved { stored } => vec![Effect::Report(match stored {
                    Some(next) => Report::Stored(next),
                    None => Report::Outcome(Outcome::Failed(no_end(self.kind()))),
                })],
                Found::Ended { .. } => repeated(found),
                Found::Spent => vec![decision(Some(spent()), Vec::new())],
                Found::OtherBytes => reused(),
                Found::Unreadable(error) => vec![unrecorded(&error)],
            },
            Stage::Closing(outcome) => match found {
                Found::Ended { .. } => repeated(found),
                Found::New
                | Found::Approved { .. }
                | Found::Spent
                | Found::OtherBytes
                | Found::Unreadable(_) => vec![Effect::Report(Report::Outcome(outcome))],
            },
            stage => self.stay(stage),
        }
    }

    /// Authenticates the task, ahead of the node's own checks. A task without a proven requester
    /// leaves no row, so that nobody can use up a requester's task ids with forgeries.
    fn consider(&mut self, world: &World<'_>) -> Vec<Effect> {
        let task = match authenticate(&self.claimed, world) {
            Ok(task) => task,
            Err(refusal) => return alarm(refusal, AlarmKind::Unauthenticated),
        };
        self.authentic = Some(task.clone());
        match hindrance(&task, world) {
            Some(refusal) => self.refuse_unasked(task, refusal, world),
            None => {
                self.stage = Stage::Admitting;
                vec![Effect::Admit(task)]
            }
        }
    }

    fn admitted(
        &mut self,
        admission: Result<Admission, Refusal>,
        world: &World<'_>,
    ) -> Vec<Effect> {
        let Some(task) = self
            .authentic
            .clone()
            .filter(|_| self.stage == Stage::Admitting)
        else {
            return Vec::new();
        };
        let admission = match admission {
            Ok(admission) => admission,
            Err(refusal) => return self.refuse_unasked(task, refusal, world),
        };
        if self.cancelled {
            return self.refuse_unasked(task, cancelled_early(), world);
        }
        self.parties = admission.parties;
        self.stage = Stage::Deciding;
        let queue = admission.makes_aux_for.map(Effect::Queue);
        let told = vec![What::Created, What::Updated(Telling::Approving)];
        let asked = [
            Effect::Describe(task.clone()),
            Effect::Tell(told),
            Effect::Ask(task),
        ];
        queue.into_iter().chain(asked).collect()
    }

    /// Refuses before any plugin was asked.
    fn refuse_unasked(
        &mut self,
        task: Authenticated,
        refusal: Refusal,
        world: &World<'_>,
    ) -> Vec<Effect> {
        let row = self.row(Vec::new(), Evidence::default(), world);
        let mut commit = Commit::refuse(row, refusal.clone());
        commit.events.insert(0, Told::What(What::Created));
        self.stage = Stage::Recording(Recording::Refusal {
            refusal,
            verdicts: Vec::new(),
        });
        vec![Effect::Describe(task), Effect::Commit(commit.into())]
    }

    fn decided(&mut self, verdict: Verdict, world: &World<'_>) -> Vec<Effect> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Deciding => self.record_decision(verdict, world),
            Stage::GivenUp {
                recorded,
                answered: false,
            } => {
                self.given_up(recorded, true);
                match verdict.refusal {
                    Some(_) => Vec::new(),
                    // It has no effect, but leaves a trace.
                    None => vec![Effect::Note(too_late(&verdict.verdicts))],
                }
            }
            stage => self.stay(stage),
        }
    }

    fn record_decision(&mut self, verdict: Verdict, world: &World<'_>) -> Vec<Effect> {
        let Verdict {
            refusal,
            verdicts,
            writes,
            evidence,
        } = verdict;
        let row = self.row(verdicts.clone(), evidence, world);
        let commit = match refusal {
            Some(refusal) => {
                self.stage = Stage::Recording(Recording::Refusal {
                    refusal: refusal.clone(),
                    verdicts,
                });
                Commit::refuse(row, refusal)
            }
            None => {
                self.stage = Stage::Recording(Recording::Approval);
                self.verdicts = verdicts;
                Commit {
                    change: TaskChange::Approve {
                        row: row.into(),
                        state: writes,
                    },
                    events: vec![Told::What(What::Updated(Telling::Waiting))],
                    count: None,
                }
            }
        };
        vec![Effect::Commit(commit.into())]
    }

    fn recorded(&mut self, recorded: Result<(), NotRecorded>, world: &World<'_>) -> Vec<Effect> {
        match (std::mem::replace(&mut self.stage, Stage::Over), recorded) {
            (Stage::Recording(Recording::Refusal { refusal, verdicts }), Ok(())) => {
                vec![decision(Some(refusal), verdicts)]
            }
            (Stage::Recording(Recording::Approval), Ok(())) => self.approved(world),
            (Stage::Recording(Recording::Refusal { .. } | Recording::Approval), Err(error)) => {
                vec![unrecorded(&error.to_string())]
            }
            (
                Stage::GivenUp {
                    recorded: false,
                    answered,
                },
                recorded,
            ) => {
                self.given_up(true, answered);
                vec![match recorded {
                    Ok(()) => decision(Some(cancelled_early()), Vec::new()),
                    Err(error) => unrecorded(&error.to_string()),
                }]
            }
            (
                Stage::Recording(Recording::End {
                    outcome,
                    used,
                    proof,
                }),
                Ok(()),
            ) => self.concluded(outcome, used, proof),
            // Nothing is released unless it was journalled.
            (Stage::Recording(Recording::End { .. }), Err(_)) => Vec::new(),
            (Stage::Recording(Recording::InDoubt { failure, proof }), _) => {
                self.stage = Stage::Closing(Outcome::Failed(failure));
                evidence(proof).chain([Effect::LookUp]).collect()
            }
            (stage, _) => self.stay(stage),
        }
    }

    /// The approval is durable, and may be reported.
    fn approved(&mut self, world: &World<'_>) -> Vec<Effect> {
        self.stage = Stage::Waiting;
        let mut effects = vec![Effect::TellHolders, approval(&self.verdicts)];
        let left = self.task().not_after.0.saturating_sub(world.now.0);
        effects.push(Effect::Wait(Duration::from_millis(left).min(START_LIMIT)));
        if self.started {
            effects.extend(self.start(world));
        } else if self.cancelled {
            effects.extend(self.cancel(world));
        } else if world.stopping {
            effects.extend(self.stop(world));
        }
        effects
    }

    fn start(&mut self, world: &World<'_>) -> Vec<Effect> {
        self.started = true;
        if self.stage != Stage::Waiting {
            return Vec::new();
        }
        // Nothing starts after its time, whatever the coordinator says.
        if world.now > self.task().not_after {
            return self.fail_unused(not_started(), world);
        }
        let parties = self.parties.clone();
        let check = match &self.task().operation {
            Operation::KeyGen(_) => Check::NewKey(parties),
            Operation::KeySign(_) | Operation::KeyReshare(_) => Check::Key(self.key(), parties),
            // This node is the only party.
            Operation::KeyShareSign(_) => Check::Alone,
        };
        self.stage = Stage::Checking;
        vec![Effect::Check(check)]
    }

    fn run(&mut self) -> Vec<Effect> {
        self.stage = Stage::Running;
        vec![Effect::Run]
    }

    /// Many approved tasks may have waited while one of them exposed a cheat, or while an operator
    /// changed the configuration.
    fn checked(&mut self, trusted: Result<(), Refusal>, world: &World<'_>) -> Vec<Effect> {
        if self.stage != Stage::Checking {
            return Vec::new();
        }
        match trusted {
            Err(refusal) => self.fail_unused(not_trusted(refusal), world),
            Ok(()) if self.cancelled => self.fail_unused(given_up(), world),
            Ok(()) => self.run(),
        }
    }

    fn cancel(&mut self, world: &World<'_>) -> Vec<Effect> {
        self.cancelled = true;
        match self.stage {
            Stage::Deciding => {
                self.given_up(false, false);
                let row = self.row(Vec::new(), Evidence::default(), world);
                vec![Effect::Commit(
                    Commit::cancel(row, cancelled_early()).into(),
                )]
            }
            Stage::Waiting => self.fail_unused(given_up(), world),
            Stage::Running => vec![Effect::CancelRun],
            // Remembered, where it matters.
            Stage::New
            | Stage::LookingUp
            | Stage::Admitting
            | Stage::GivenUp { .. }
            | Stage::Recording(_)
            | Stage::Checking
            | Stage::Closing(_)
            | Stage::Over => Vec::new(),
        }
    }

    /// Pending commits are written, and a running session gets its time to end.
    fn stop(&mut self, world: &World<'_>) -> Vec<Effect> {
        match self.stage {
            Stage::New | Stage::LookingUp | Stage::Admitting | Stage::Deciding => {
                self.stage = Stage::Over;
                Vec::new()
            }
            Stage::GivenUp { recorded, .. } => {
                self.given_up(recorded, true);
                Vec::new()
            }
            Stage::Waiting => self.fail_unused(cancelled("this node is stopping"), world),
            Stage::Recording(_)
            | Stage::Checking
            | Stage::Running
            | Stage::Closing(_)
            | Stage::Over => Vec::new(),
        }
    }

    fn timed_out(&mut self, world: &World<'_>) -> Vec<Effect> {
        if self.stage == Stage::Waiting {
            self.fail_unused(not_started(), world)
        } else {
            Vec::new()
        }
    }

    fn session_ended(&mut self, end: SessionEnd, world: &World<'_>) -> Vec<Effect> {
        if self.stage != Stage::Running {
            return Vec::new();
        }
        match end.result {
            SessionResult::Completed(outcome) => self.end(outcome, true, end.proof, world),
            SessionResult::Failed { failure, used } => {
                self.end(Outcome::Failed(failure), used, end.proof, world)
            }
            SessionResult::InDoubt(failure) => self.leave_in_doubt(failure, end.proof, world),
        }
    }

    /// No end is journalled, but a proven cheat is quarantined.
    fn leave_in_doubt(
        &mut self,
        failure: Failure,
        proof: Option<Proof>,
        world: &World<'_>,
    ) -> Vec<Effect> {
        let outcome = Outcome::Failed(failure.clone());
        let consequences = self.consequences(&outcome, true, proof.clone(), world);
        self.stage = Stage::Recording(Recording::InDoubt { failure, proof });
        let commit = Commit {
            change: TaskChange::Judge(consequences.into()),
            events: Vec::new(),
            count: None,
        };
        vec![Effect::Commit(commit.into())]
    }

    /// The task fails before a share was used.
    fn fail_unused(&mut self, failure: Failure, world: &World<'_>) -> Vec<Effect> {
        self.end(Outcome::Failed(failure), false, None, world)
    }

    /// Writes the outcome and all its consequences in one commit. If no share was used, plugins
    /// forget what they wrote for the task.
    fn end(
        &mut self,
        outcome: Outcome,
        used: bool,
        proof: Option<Proof>,
        world: &World<'_>,
    ) -> Vec<Effect> {
        let consequences = self.consequences(&outcome, used, proof.clone(), world);
        let commit = Commit::end(self.task().id, outcome.clone(), used, consequences);
        self.stage = Stage::Recording(Recording::End {
            outcome,
            used,
            proof,
        });
        vec![Effect::Commit(commit.into())]
    }

    /// The end is durable, and may be reported.
    fn concluded(&mut self, outcome: Outcome, used: bool, proof: Option<Proof>) -> Vec<Effect> {
        let change = match &outcome {
            Outcome::Created(key) => Some(KeyChange::Active(key.aux)),
            Outcome::Reshared(key) => Some(KeyChange::Moved(key.key)),
            Outcome::Signed(_) | Outcome::Refused(_) | Outcome::Failed(_) | Outcome::Intact(_) => {
                None
            }
        };
        let mut effects = vec![Effect::ReleaseHolders { used }];
        effects.extend(evidence(proof));
        effects.extend(change.map(Effect::Follow));
        match &self.task().operation {
            // The report includes an abort vote if this node never stored.
            Operation::KeyReshare(_) => {
                self.stage = Stage::Closing(outcome);
                effects.push(Effect::LookUp);
            }
            Operation::KeyGen(_) | Operation::KeySign(_) | Operation::KeyShareSign(_) => {
                effects.push(Effect::Report(Report::Outcome(outcome)));
            }
        }
        effects
    }

    fn consequences(
        &self,
        outcome: &Outcome,
        used: bool,
        evidence: Option<Proof>,
        world: &World<'_>,
    ) -> Consequences {
        Tried {
            task: self.task(),
            key: self.key(),
            parties: &self.parties,
            now: world.now,
            used,
            stopping: world.stopping,
            evidence,
        }
        .consequences(outcome)
    }

    fn row(&self, verdicts: Vec<PluginVerdict>, evidence: Evidence, world: &World<'_>) -> Decided {
        let order = self.claimed.signed().signature.clone();
        Decided {
            task: self.task().id,
            hash: self.claimed.hash(),
            kind: self.kind(),
            received_at: world.now,
            bytes: self.claimed.signed().bytes.clone(),
            parties: self.offered_to.clone(),
            verdicts,
            evidence: Evidence {
                order: Some(order),
                ..evidence
            },
        }
    }

    fn task(&self) -> &countersign_protocol::Task {
        self.claimed.task()
    }

    fn kind(&self) -> OperationKind {
        OperationKind::from(&self.task().operation)
    }

    /// The key that the task uses, or is to make.
    fn key(&self) -> KeyId {
        match &self.task().operation {
            Operation::KeyGen(_) => KeyId::of_task(&self.claimed.hash()),
            Operation::KeySign(keysign) => keysign.key,
            Operation::KeyReshare(reshare) => reshare.from.key,
            Operation::KeyShareSign(check_up) => check_up.key,
        }
    }

    fn given_up(&mut self, recorded: bool, answered: bool) {
        self.stage = if recorded && answered {
            Stage::Over
        } else {
            Stage::GivenUp { recorded, answered }
        };
    }

    fn stay(&mut self, stage: Stage) -> Vec<Effect> {
        self.stage = stage;
        Vec::new()
    }
}

/// Proves that a listed requester ordered the task, and that its time has come and is not over.
pub(super) fn authenticate(
    claimed: &Arc<Claimed>,
    world: &World<'_>,
) -> Result<Authenticated, Refusal> {
    let authentic = claimed.authenticate(world.requesters, world.passkeys, world.now);
    authentic.map_err(|error| refusal(error.code().clone(), &error.to_string()))
}

/// The reason for which the node takes no tasks, or not this one, whatever it orders.
pub(super) fn hindrance(task: &Authenticated, world: &World<'_>) -> Option<Refusal> {
    if world
        .restored
        .is_some_and(|restored| task.created < restored)
    {
        Some(before_restore())
    } else if world.has_twin {
        Some(twin())
    } else if !world.has_room {
        Some(busy())
    } else {
        None
    }
}

fn given_up() -> Failure {
    cancelled("the coordinator cancelled the task before it began")
}

fn decision(refusal: Option<Refusal>, verdicts: Vec<PluginVerdict>) -> Effect {
    Effect::Report(Report::Decision { refusal, verdicts })
}

fn approval(verdicts: &[PluginVerdict]) -> Effect {
    decision(None, verdicts.to_vec())
}

/// Nothing takes effect unless it was journalled.
fn unrecorded(error: &str) -> Effect {
    decision(Some(refusal(RefusalCode::Journal, error)), Vec::new())
}

fn alarm(refusal: Refusal, kind: AlarmKind) -> Vec<Effect> {
    let reported = decision(Some(refusal.clone()), Vec::new());
    vec![Effect::Alarm { refusal, kind }, reported]
}

fn reused() -> Vec<Effect> {
    alarm(id_reused(), AlarmKind::Reused)
}

pub(super) fn id_reused() -> Refusal {
    let reason =
        "this task id was used before with other bytes; find out who sends it, and use a new id";
    refusal(RefusalCode::TaskIdReused, reason)
}

/// The refusal of a task whose record was deleted for its age.
pub(super) fn spent() -> Refusal {
    let reason = "this task ended long ago, and its record was deleted; order it again as a new task if it is still wanted";
    refusal(RefusalCode::TaskExpired, reason)
}

fn evidence(proof: Option<Proof>) -> impl Iterator<Item = Effect> {
    proof
        .into_iter()
        .map(|proof| Effect::Report(Report::Evidence(proof.into())))
}

/// The coordinator asks again: the answer is the recorded one.
fn repeated(found: Found) -> Vec<Effect> {
    let Found::Ended {
        outcome,
        verdicts,
        proofs,
        never_stored,
    } = found
    else {
        return Vec::new();
    };
    let mut effects: Vec<Effect> = proofs
        .into_iter()
        .flat_map(|proof| evidence(Some(proof)))
        .collect();
    match *outcome {
        Outcome::Refused(refusal) => effects.push(decision(Some(refusal), verdicts)),
        outcome => {
            effects.push(Effect::Report(Report::Outcome(outcome)));
            effects.extend(never_stored.then_some(Effect::Report(Report::NeverStored)));
        }
    }
    effects
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
