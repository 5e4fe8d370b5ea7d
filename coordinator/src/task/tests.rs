//! The life of a task, step by step, as scripts.

mod check_up;
mod reshare;
mod votes;

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_api::{State, TaskResult};
use countersign_protocol::control::{Pace, Stage, ToNode};
use countersign_protocol::evidence::{Evidence, Misconduct};
use countersign_protocol::frame::Ready;
use countersign_protocol::{
    Hash, KeyDescriptor, KeyId, NodeId, Operation, Outcome, SignedAck, Task, UnixMillis,
};
use ed25519_dalek::Signer;

use super::flow::{Effects, Flow, Input, Timings, World};
use crate::approvers::Approvers;
use crate::testkit::*;

const T0: u64 = 1_000_000;
const OFFERS: [(usize, &str); 2] = [(0, "offer"), (1, "offer")];
const STARTS: [(usize, &str); 2] = [(0, "start"), (1, "start")];

/// A flow with a clock and a set of nodes online.
struct Play {
    flow: Flow,
    online: BTreeSet<NodeId>,
    now: u64,
    approvers: Approvers,
    sent: Vec<(usize, &'static str)>,
    alarms: Vec<String>,
}

/// A step of a script; nodes are numbered as in the crowd, those of the wallet in the
/// order of their ids.
enum Act {
    On(usize),
    Off(usize),
    Yes(usize),
    No(usize),
    Says(usize, Box<Outcome>),
    Stored(usize, Box<KeyDescriptor>),
    AbortVote(usize, SignedAck),
    Pending(usize),
    Wait(u64),
}
use Act::{No, Off, On, Wait, Yes};

fn says(node: usize, outcome: Outcome) -> Act {
    Act::Says(node, Box::new(outcome))
}

impl Play {
    fn new(operation: Operation, wallet: Option<KeyDescriptor>) -> Self {
        Self::of(&task(1, UnixMillis(T0), operation), wallet)
    }

    fn of(task: &Task, wallet: Option<KeyDescriptor>) -> Self {
        let signed = sign_task(task);
        let flow =
            Flow::accept(1, Arc::new(signed.claim().unwrap()), wallet, UnixMillis(T0)).unwrap();
        Self {
            flow,
            online: BTreeSet::new(),
            now: T0,
            approvers: Approvers::default(),
            sent: Vec::new(),
            alarms: Vec::new(),
        }
    }

    fn keygen() -> Self {
        Self::new(keygen(), None)
    }

    /// A KeySign by the first two nodes.
    fn keysign() -> Self {
        let signers = nodes()[..2].to_vec();
        Self::new(keysign(wallet().key, Some(signers)), Some(wallet()))
    }

    fn step(&mut self, input: Input) {
        let online = |node: &NodeId| self.online.contains(node);
        let timings = Timings::default();
        let world = World {
            now: UnixMillis(self.now),
            online: &online,
            free: &online,
            timings: &timings,
            approvers: &self.approvers,
            is_moving: false,
        };
        let before = self.flow.record.revision;
        let Effects {
            send,
            change,
            voted: _,
            alarms,
        } = self.flow.step(input, &world);
        assert_eq!(
            self.flow.record.revision > before,
            change != super::flow::Change::None
        );
        let number = |node: NodeId| crowd().iter().position(|known| *known == node).unwrap();
        self.alarms.extend(alarms);
        self.sent.extend(
            send.iter()
                .map(|(node, frame)| (number(*node), name(frame))),
        );
    }

    fn act(mut self, acts: impl IntoIterator<Item = Act>) -> Self {
        for act in acts {
            match act {
                On(n) => {
                    self.online.insert(crowd()[n]);
                    self.step(Input::Joined(crowd()[n]));
                }
                Off(n) => {
                    self.online.remove(&crowd()[n]);
                    self.step(Input::Left(crowd()[n]));
                }
                Yes(n) => self.step(Input::Decision {
                    from: crowd()[n],
                    refusal: None,
                    verdicts: vec![],
                }),
                No(n) => {
                    let refusal = Some(refusal());
                    self.step(Input::Decision {
                        from: crowd()[n],
                        refusal,
                        verdicts: vec![],
                    });
                }
                Act::Says(n, outcome) => self.step(Input::Outcome {
                    from: crowd()[n],
                    outcome: *outcome,
                }),
                Act::Stored(n, descriptor) => {
                    self.step(Input::Stored {
                        from: crowd()[n],
                        descriptor,
                    });
                }
                Act::AbortVote(n, ack) => self.step(Input::AbortVote {
                    from: crowd()[n],
                    ack,
                }),
                Act::Pending(n) => self.step(Input::Pending(crowd()[n])),
                Wait(seconds) => {
                    self.now += seconds * 1000;
                    self.step(Input::Tick);
                }
            }
        }
        self
    }

    /// Restarts the coordinator with the same store.
    fn taken_up_again(mut self) -> Self {
        self.flow = Flow::restore(self.flow.record.clone()).unwrap();
        self.step(Input::Tick);
        self
    }

    /// Returns the state, the reason's code, and the frames sent since the last call.
    fn look(&mut self) -> (State, &str, Vec<(usize, &'static str)>) {
        let code = self
            .flow
            .record
            .reason
            .as_ref()
            .map_or("", |reason| reason.code.as_str());
        (self.flow.record.state, code, std::mem::take(&mut self.sent))
    }

    fn culprits(&self) -> Vec<NodeId> {
        self.flow.record.reason.as_ref().unwrap().nodes.clone()
    }

    fn created(&self) -> Outcome {
        Outcome::Created(descriptor(self.flow.task().id, self.flow.hash()))
    }
}

fn name(frame: &ToNode) -> &'static str {
    match frame {
        ToNode::Welcome { .. } => "welcome",
        ToNode::Offer { .. } => "offer",
        ToNode::OfferVoted { .. } => "offer with votes",
        ToNode::Start { .. } => "start",
        ToNode::Cancel { .. } => "cancel",
        ToNode::Settle { .. } => "settle",
        ToNode::AbortVote { .. } => "void",
        ToNode::Replaced { .. } => "replaced",
        ToNode::Show { .. } => "show",
        ToNode::Probe { .. } => "probe",
        ToNode::Twin { .. } => "twin",
        ToNode::Twins { .. } => "twins",
        ToNode::Preflight { .. } => "preflight",
        ToNode::Contacts { .. } => "contacts",
        ToNode::NotJoined { .. } => "not joined",
        ToNode::Draining { .. } => "draining",
    }
}

fn wallet() -> KeyDescriptor {
    let task = task(2, UnixMillis(T0), keygen());
    descriptor(task.id, sign_task(&task).hash())
}

fn signed() -> Outcome {
    Outcome::Signed(signature())
}

#[test]
fn a_signature_goes_through_all_states() {
    let mut play = Play::keysign().act([On(0)]);
    assert_eq!(play.look(), (State::Waiting, "", vec![]));
    let mut play = play.act([On(1)]);
    assert_eq!(play.look(), (State::Approving, "", OFFERS.to_vec()));
    let mut play = play.act([Yes(0)]);
    assert_eq!(play.look(), (State::Approving, "", vec![]));
    let mut play = play.act([Yes(1)]);
    assert_eq!(play.look(), (State::Running, "", STARTS.to_vec()));
    let mut play = play.act([says(1, signed())]);
    assert_eq!(play.look(), (State::Completed, "", vec![]));
    assert_eq!(
        play.flow.record.result,
        Some(TaskResult::Signed(signature()))
    );
}

#[test]
fn every_end_without_result_has_its_state_and_code() {
    let start = || [On(0), On(1), Yes(0), Yes(1)];
    let table: Vec<(&str, Vec<Act>, State, &str)> = vec![
        ("nobody comes", vec![Wait(599)], State::Waiting, ""),
        (
            "nobody comes in time",
            vec![Wait(600)],
            State::Expired,
            "expired",
        ),
        (
            "one refuses",
            vec![On(0), On(1), Yes(0), No(1)],
            State::Rejected,
            "limit",
        ),
        (
            "the first refuses",
            vec![On(0), On(1), No(0)],
            State::Rejected,
            "limit",
        ),
        (
            "one says nothing yet",
            vec![On(0), On(1), Yes(0), Wait(59)],
            State::Approving,
            "",
        ),
        (
            "one says nothing",
            vec![On(0), On(1), Yes(0), Wait(60)],
            State::Failed,
            "decision-timeout",
        ),
        (
            "one is lost",
            vec![On(0), On(1), Yes(1), Off(1), Yes(0), Wait(60)],
            State::Failed,
            "decision-timeout",
        ),
        (
            "the window ends",
            vec![Wait(580), On(0), On(1), Yes(0), Wait(20)],
            State::Failed,
            "decision-timeout",
        ),
    ];
    for (what, acts, state, code) in table {
        let mut play = Play::keysign().act(acts);
        let (is, why, _) = play.look();
        assert_eq!((is, why), (state, code), "{what}");
    }
    let after_start: Vec<(&str, Vec<Act>, State, &str)> = vec![
        ("no outcome yet", vec![Wait(59)], State::Running, ""),
        ("no outcome", vec![Wait(60)], State::Failed, "no-outcome"),
        (
            "one fails, the other may know why",
            vec![says(0, failed("peer-aborted"))],
            State::Running,
            "",
        ),
        (
            "both fail",
            vec![
                says(0, failed("peer-aborted")),
                says(1, failed("peer-lost")),
            ],
            State::Failed,
            "peer-lost",
        ),
        (
            "the first cause",
            vec![says(0, failed("a")), Wait(1), says(1, failed("b"))],
            State::Failed,
            "a",
        ),
        (
            "one gave up, the other runs",
            vec![says(0, failed("a")), Wait(30)],
            State::Running,
            "",
        ),
        (
            "one gave up, the other is gone",
            vec![says(0, failed("peer-aborted")), Off(1), Wait(2)],
            State::Failed,
            "peer-aborted",
        ),
        (
            "one node is wrong",
            vec![says(0, wrong_signature())],
            State::Running,
            "",
        ),
        (
            "one node is wrong, the other silent",
            vec![says(0, wrong_signature()), Wait(2)],
            State::Failed,
            "wrong-result",
        ),
        (
            "one refuses late",
            vec![says(0, Outcome::Refused(refusal()))],
            State::Rejected,
            "limit",
        ),
    ];
    for (what, acts, state, code) in after_start {
        let mut play = Play::keysign().act(start()).act(acts);
        let (is, why, _) = play.look();
        assert_eq!((is, why), (state, code), "{what}");
    }
}

#[test]
fn a_refusal_names_node_plugin_and_reason_and_cancels_the_others() {
    let mut play = Play::keygen().act([On(0), On(1), On(2), Yes(0)]);
    play.look();
    let mut play = play.act([No(1), Yes(2)]);
    assert_eq!(
        play.look(),
        (
            State::Rejected,
            "limit",
            vec![(0, "cancel"), (2, "cancel"), (2, "cancel")]
        )
    );
    let reason = play.flow.record.reason.clone().unwrap();
    assert_eq!(
        (reason.nodes, reason.plugin.as_deref()),
        (vec![nodes()[1]], Some("rules"))
    );
    assert_eq!(reason.message, "over the limit");
}

#[test]
fn an_approval_cannot_be_taken_for_another_party_and_a_stranger_counts_for_nothing() {
    let mut play = Play::keysign().act([
        On(0),
        On(1),
        On(2),
        Yes(0),
        Yes(0),
        Yes(2),
        No(2),
        says(2, signed()),
    ]);
    let (state, _, sent) = play.look();
    assert_eq!((state, sent), (State::Approving, OFFERS.to_vec()));
}

#[test]
fn a_node_that_returns_before_the_start_is_asked_again_and_must_answer_again() {
    let mut play = Play::keysign().act([On(0), On(1), Yes(0), Off(0), Yes(1)]);
    assert_eq!(play.look(), (State::Approving, "", OFFERS.to_vec()));
    let mut play = play.act([On(0)]);
    assert_eq!(play.look(), (State::Approving, "", vec![(0, "offer")]));
    let mut play = play.act([Yes(0)]);
    assert_eq!(play.look(), (State::Running, "", STARTS.to_vec()));
}

#[test]
fn a_node_that_returns_after_the_start_is_started_again() {
    let mut play = Play::keysign().act([On(0), On(1), Yes(0), Yes(1)]);
    play.look();
    let mut play = play.act([Off(0), On(0), Yes(0)]);
    assert_eq!(
        play.look(),
        (State::Running, "", vec![(0, "offer"), (0, "start")])
    );
    let mut play = play.act([says(0, failed("peer-lost")), Off(0), On(0)]);
    assert_eq!(
        play.look(),
        (State::Running, "", vec![]),
        "its outcome is known"
    );
}

#[test]
fn a_restored_task_starts_only_what_has_answered_since() {
    let play = Play::keysign().act([On(0), On(1), Yes(0)]);
    let mut flow = Flow::restore(play.flow.record).unwrap();
    flow.set_wallet(Some(wallet()));
    let play = Play {
        flow,
        online: BTreeSet::new(),
        approvers: Approvers::default(),
        now: play.now,
        sent: vec![],
        alarms: vec![],
    };
    let mut play = play.act([On(0), On(1), Yes(1)]);
    assert_eq!(play.look(), (State::Approving, "", OFFERS.to_vec()));
    let mut play = play.act([Yes(0)]);
    assert_eq!(play.look(), (State::Running, "", STARTS.to_vec()));
}

#[test]
fn a_wrong_signature_is_the_fault_of_its_node_and_a_right_one_still_counts() {
    let mut play = Play::keysign().act([On(0), On(1), Yes(0), Yes(1), says(0, wrong_signature())]);
    assert!(play.flow.record.result.is_none());
    let Some(Outcome::Failed(fault)) = play.flow.record.parties[0]
        .report
        .as_ref()
        .map(|r| &r.outcome)
    else {
        panic!("{:?}", play.flow.record.parties[0])
    };
    assert_eq!(
        (fault.code.as_str(), &fault.culprits[..]),
        ("wrong-result", &nodes()[..1])
    );
    let row = serde_json::to_string(&play.flow.record).unwrap();
    assert_eq!(
        serde_json::from_str::<super::record::TaskRecord>(&row).unwrap(),
        play.flow.record
    );
    play = play.act([says(0, signed())]);
    assert_eq!(play.look().0, State::Running, "a node has one outcome");
    play = play.act([says(1, signed())]);
    assert_eq!(play.look().0, State::Completed);
}

#[test]
fn no_node_can_speak_of_a_wrong_result_as_if_it_were_the_coordinator() {
    let mut lie = failed("wrong-result");
    if let Outcome::Failed(failure) = &mut lie {
        failure.culprits = vec![nodes()[1]];
    }
    let grace = Timings::default().grace / 1000;
    let mut play =
        Play::keysign().act([On(0), On(1), Yes(0), Yes(1), says(0, lie), Wait(grace + 1)]);
    assert_eq!(
        play.look().0,
        State::Running,
        "the other one is not given up at a word"
    );
    play = play.act([says(1, failed("session-timeout"))]);
    let reason = play.flow.record.reason.clone().unwrap();
    assert_eq!(reason.nodes, [], "nobody is guilty by the word of another");
    assert_eq!(
        reason.code, "session-timeout",
        "no node may report this code"
    );
    assert!(
        reason.message.contains(&format!("{} says: ", nodes()[0])),
        "{reason:?}"
    );
    let row = serde_json::to_string(&play.flow.record).unwrap();
    assert!(
        !row.contains("wrong-result\",\"text") && !row.contains("\"wrong\":true"),
        "{row}"
    );
}

#[test]
fn a_signature_must_be_the_one_that_was_ordered() {
    let change = |change: fn(&mut countersign_protocol::Signed)| {
        let mut signed = signature();
        change(&mut signed);
        Outcome::Signed(signed)
    };
    for (what, outcome) in [
        ("signature", wrong_signature()),
        (
            "length",
            change(|signed| signed.signatures[0].signature.truncate(63)),
        ),
        (
            "public key",
            change(|signed| signed.signatures[0].public_key[0] ^= 1),
        ),
        (
            "signed bytes",
            change(|signed| signed.signatures[0].signed_bytes.push(0)),
        ),
        (
            "path",
            change(|signed| signed.signatures[0].path = "m/1".parse().unwrap()),
        ),
        ("too few", change(|signed| signed.signatures.clear())),
        (
            "too many",
            change(|signed| signed.signatures.push(signed.signatures[0].clone())),
        ),
        ("another kind", Outcome::Created(wallet())),
    ] {
        let mut play = Play::keysign().act([On(0), On(1), Yes(0), Yes(1), says(0, outcome)]);
        assert_eq!(play.look().0, State::Running, "{what}");
    }
    let mut other_path = keysign(wallet().key, None);
    if let Operation::KeySign(keysign) = &mut other_path {
        keysign.path = "m/1".parse().unwrap();
    }
    let play = Play::new(other_path, Some(wallet())).act([On(0), On(1), Yes(0), Yes(1)]);
    assert_eq!(
        play.act([says(0, signed())]).look().0,
        State::Running,
        "the root key is not the child key"
    );
}

#[test]
fn a_member_that_missed_the_last_acks_is_settled_and_may_report_again() {
    let mut play = Play::keygen().act([
        On(0),
        On(1),
        On(2),
        Yes(0),
        Yes(1),
        Yes(2),
        says(0, failed("session-timeout")),
    ]);
    play.look();
    let created = play.created();
    let mut play = play.act([says(1, created.clone())]);
    assert_eq!(
        play.look(),
        (State::Completed, "", vec![(0, "settle"), (2, "settle")])
    );
    let mut play = play.act([says(2, failed("session-timeout"))]);
    assert_eq!(play.look().2, vec![(2, "settle")]);
    let play = play.act([says(0, created)]);
    let report = play.flow.record.parties[0]
        .report
        .as_ref()
        .map(|report| &report.outcome);
    assert!(matches!(report, Some(Outcome::Created(_))), "{report:?}");
}

#[test]
fn a_new_key_is_settled_at_members_that_did_not_report_it() {
    let mut play = Play::keygen().act([On(0), On(1), On(2), Yes(0), Yes(1), Yes(2)]);
    play.look();
    let created = play.created();
    let mut play = play.act([says(1, created.clone())]);
    assert_eq!(
        play.look(),
        (State::Completed, "", vec![(0, "settle"), (2, "settle")])
    );
    assert!(
        matches!(&play.flow.record.result, Some(TaskResult::Created(made)) if made.has_all_acks())
    );
    let mut play = play.act([says(0, created)]);
    assert_eq!(play.look(), (State::Completed, "", vec![]));
}

#[test]
fn a_new_key_must_be_the_one_that_was_ordered_with_all_acks() {
    type Change = fn(&mut KeyDescriptor);
    let changes: [(&str, Change); 10] = [
        ("task", |made| made.task.0[0] ^= 1),
        ("auxiliary information", |made| {
            made.aux = Some(countersign_protocol::Hash([1; 32]))
        }),
        ("key", |made| made.key = KeyId::from_bytes([1; 16]).unwrap()),
        ("name", |made| made.name.push('!')),
        ("scheme", |made| {
            made.scheme = countersign_protocol::Scheme::Taproot
        }),
        ("threshold", |made| made.threshold = 3.try_into().unwrap()),
        ("generation", |made| made.generation = 1),
        ("root key", |made| made.root_public_key = vec![0xff; 32]),
        ("committee", |made| {
            made.committee = nodes()[..2].to_vec().try_into().unwrap()
        }),
        ("nothing", |_| {}),
    ];
    for (what, change) in changes {
        let play = Play::keygen().act([On(0), On(1), On(2), Yes(0), Yes(1), Yes(2)]);
        let mut made = descriptor(play.flow.task().id, play.flow.hash());
        change(&mut made);
        ack(&mut made);
        let expected = if what == "nothing" {
            State::Completed
        } else {
            State::Running
        };
        assert_eq!(
            play.act([says(0, Outcome::Created(made))]).look().0,
            expected,
            "{what}"
        );
    }
    let play = Play::keygen().act([On(0), On(1), On(2), Yes(0), Yes(1), Yes(2)]);
    let mut made = descriptor(play.flow.task().id, play.flow.hash());
    made.acks[2].signature[0] ^= 1;
    assert_eq!(
        play.act([says(0, Outcome::Created(made))]).look().0,
        State::Running,
        "a wrong acknowledgement"
    );
}

#[test]
fn a_proof_that_comes_late_outranks_the_failure() {
    let mut play = Play::keysign().act([On(0), On(1), Yes(0), Yes(1), Wait(60)]);
    assert_eq!(play.look().0, State::Failed);
    let mut play = play.act([says(0, failed("peer-lost"))]);
    assert_eq!(play.look(), (State::Failed, "no-outcome", vec![]));
    let mut play = play.act([says(1, signed())]);
    assert_eq!(play.look(), (State::Completed, "", vec![]));
}

/// Nobody is to blame because another says so, and nobody is cancelled for it.
#[test]
fn what_one_party_says_of_another_is_told_as_its_word() {
    let accuses = |code: &str, accused: usize| {
        Outcome::Failed(countersign_protocol::Failure {
            cause: countersign_protocol::Cause::Peer,
            code: code.into(),
            text: "it cheated".into(),
            culprits: vec![nodes()[accused]],
        })
    };
    let mut play = Play::keysign().act([On(0), On(1), Yes(0), Yes(1)]);
    play.look();
    let mut play = play.act([says(0, accuses("protocol", 1)), Wait(30)]);
    assert_eq!(
        play.look(),
        (State::Running, "", vec![]),
        "the accused may have another story"
    );
    let mut play = play.act([says(1, failed("peer-aborted"))]);
    assert_eq!(play.look(), (State::Failed, "protocol", vec![]));
    assert_eq!(
        play.culprits(),
        vec![],
        "neither the accused nor the messenger"
    );
    let message = &play.flow.record.reason.as_ref().unwrap().message;
    assert!(
        message.contains(&format!("{} says: it cheated", nodes()[0])),
        "{message}"
    );
}

#[test]
fn a_proof_that_holds_names_the_cheat_whoever_brings_it() {
    let running = || Play::keysign().act([On(0), On(1), Yes(0), Yes(1)]);
    let evidence = |task, cheat: usize| {
        let ready = |fresh| {
            let parties = Hash([3; 32]);
            let mark = Default::default();
            let ready = Ready {
                task,
                parties,
                fresh: [fresh; 32],
                holds: None,
                mark,
                signature: [0; 64],
            };
            ready.sign(&nodes()[cheat], &Signs(cheat))
        };
        let misconduct = Misconduct::Readies(Box::new([ready(1), ready(2)]));
        Box::new(Evidence {
            task,
            node: nodes()[cheat],
            misconduct,
        })
    };
    let play = running();
    let task = play.flow.hash();
    let from = nodes()[0];
    for wrong in [evidence(Hash([9; 32]), 1), evidence(task, 2)] {
        let mut play = running();
        play.step(Input::Evidence {
            from,
            evidence: wrong,
        });
        assert_eq!(
            (play.flow.record.proven.len(), play.alarms.len()),
            (0, 1),
            "of another task, or no party"
        );
    }
    let mut play = running();
    play.step(Input::Evidence {
        from,
        evidence: evidence(task, 1),
    });
    play.step(Input::Evidence {
        from,
        evidence: evidence(task, 1),
    });
    assert_eq!(play.flow.record.proven.len(), 1);
    let mut play = play.act([says(0, failed("peer-aborted")), Wait(2)]);
    let (state, code, _) = play.look();
    assert_eq!((state, code), (State::Failed, "equivocation"));
    assert_eq!(play.culprits(), vec![nodes()[1]]);
}

/// A node of the test's crowd signs.
struct Signs(usize);

impl countersign_protocol::IdentitySigner for Signs {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        node_keys()[self.0].sign(message).to_bytes()
    }
}

#[test]
fn a_silent_node_is_named() {
    let play = Play::keysign().act([On(0), On(1), Yes(0), Wait(60)]);
    assert_eq!(play.culprits(), vec![nodes()[1]]);
    let play = Play::keysign().act([On(0), On(1), Yes(0), Yes(1), Wait(60)]);
    assert_eq!(play.culprits(), nodes()[..2].to_vec());
}

#[test]
fn a_keygen_has_its_own_deadline() {
    let start = [On(0), On(1), On(2), Yes(0), Yes(1), Yes(2)];
    let mut play = Play::keygen().act(start).act([Wait(299)]);
    assert_eq!(play.look().0, State::Running);
    assert_eq!(play.act([Wait(1)]).look().0, State::Failed);
}

fn at_work(node: usize, percent: u8) -> Input {
    let pace = Some(Pace {
        elapsed_ms: 1,
        limit_ms: 900_000,
        percent: Some(percent),
    });
    Input::Progress {
        from: nodes()[node],
        stage: Stage::AuxInfo,
        waiting_for: vec![],
        pace,
    }
}

/// A node that computes reports progress; the node itself limits its computation.
#[test]
fn who_says_that_it_is_at_work_is_not_given_up_and_not_named() {
    let mut play = Play::keygen().act([On(0), On(1), On(2), Yes(0), Yes(1), Yes(2)]);
    for percent in 0..3 {
        play = play.act([Wait(200)]);
        (0..3).for_each(|node| play.step(at_work(node, percent)));
        assert_eq!(
            play.look().0,
            State::Running,
            "after {} s",
            200 * (u32::from(percent) + 1)
        );
    }
    play = play.act([Wait(200)]);
    play.step(at_work(0, 4));
    play.step(at_work(2, 4));
    play = play.act([Wait(100)]);
    let (state, code, _) = play.look();
    assert_eq!((state, code), (State::Failed, "no-outcome"));
    assert_eq!(play.culprits(), vec![nodes()[1]], "the one that was silent");
}

#[test]
fn a_coordinator_that_was_restarted_gives_nodes_time_to_say_that_they_are_at_work() {
    let mut play = Play::keygen().act([On(0), On(1), On(2), Yes(0), Yes(1), Yes(2), Wait(200)]);
    play = play.taken_up_again().act([Wait(200)]);
    assert_eq!(
        play.look().0,
        State::Running,
        "400 s after the start, 200 s after the restart"
    );
    assert_eq!(play.act([Wait(100)]).look().0, State::Failed);
}

#[test]
fn nobody_is_at_work_for_ever() {
    let mut play = Play::keygen().act([On(0), On(1), On(2), Yes(0), Yes(1), Yes(2)]);
    for _ in 0..48 {
        assert_eq!(play.look().0, State::Running);
        (0..3).for_each(|node| play.step(at_work(node, 50)));
        play = play.act([Wait(300 - 1)]);
    }
    (0..3).for_each(|node| play.step(at_work(node, 50)));
    assert_eq!(play.act([Wait(48)]).look().0, State::Failed);
}

#[test]
fn progress_is_shown_once_and_names_only_parties() {
    let mut play = Play::keysign().act([On(0), On(1), Yes(0), Yes(1)]);
    let revision = play.flow.record.revision;
    for _ in 0..2 {
        let waiting_for = vec![nodes()[1], nodes()[2]];
        play.step(Input::Progress {
            from: nodes()[0],
            stage: Stage::Ready,
            waiting_for,
            pace: None,
        });
    }
    assert_eq!(play.flow.record.revision, revision + 1);
    assert_eq!(
        play.flow.record.parties[0]
            .progress
            .as_ref()
            .unwrap()
            .waiting_for,
        vec![nodes()[1]]
    );
}

#[test]
fn signers_are_members_on_line_and_the_same_for_the_same_task() {
    let choose = |id: u8, absent: usize| {
        let id = countersign_protocol::TaskId([id; 16]);
        super::choose::signers(&id, &wallet(), |node| *node != nodes()[absent])
    };
    let mut all = nodes();
    all.remove(1);
    assert_eq!(choose(1, 1), Some(all));
    assert_eq!(choose(7, 2), choose(7, 2));
    let id = |id: u8| countersign_protocol::TaskId([id; 16]);
    let sets: BTreeSet<_> = (0..50)
        .map(|n| super::choose::signers(&id(n), &wallet(), |_| true).unwrap())
        .collect();
    assert_eq!(sets.len(), 3, "tasks spread over all pairs");
    assert_eq!(
        super::choose::signers(&id(1), &wallet(), |node| *node == nodes()[0]),
        None
    );
}

#[test]
fn history_is_bounded() {
    let mut play = Play::keysign();
    for n in 0..1000 {
        play.flow.record.note(UnixMillis(n), "again");
    }
    assert_eq!(
        play.flow.record.history.len(),
        super::record::TaskRecord::MAX_HISTORY
    );
}
