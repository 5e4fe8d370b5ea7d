//! The way of a task through the node as scripts, and every input at every stage.

use std::collections::BTreeMap;

use countersign_protocol::evidence::{Claim, Misconduct, Signature};
use countersign_protocol::{
    Cause, FailureCode, IdentitySigner, InputSignature, KeyGen, KeyShareSign, KeySign, Payload,
    PayloadKind, Scheme, SessionId, Signed, SignedAck, SignedTask, Task, TaskId, Threshold,
};

use super::*;
use crate::metrics::Ended;

const NOW: UnixMillis = UnixMillis(1_000_000);

const STAGES: [&str; 16] = [
    "new",
    "looking up",
    "admitting",
    "deciding",
    "given up",
    "given up, recorded",
    "given up, answered",
    "recording a refusal",
    "recording an approval",
    "recording an end",
    "recording a doubt",
    "waiting",
    "checking",
    "running",
    "closing",
    "over",
];
/// Stage, input, effects, next stage. Any other input changes nothing.
const TABLE: &[(&str, &str, &[&str], &str)] = &[
    ("new", "offered", &["look up"], "looking up"),
    ("new", "stop", &[], "over"),
    ("looking up", "found new", &["admit"], "admitting"),
    ("looking up", "found approved", &["report no-end"], "over"),
    (
        "looking up",
        "found signed",
        &["report proof", "report signed"],
        "over",
    ),
    (
        "looking up",
        "found refused",
        &["report proof", "report limit"],
        "over",
    ),
    (
        "looking up",
        "found other",
        &["alarm task-id-reused", "report task-id-reused"],
        "over",
    ),
    (
        "looking up",
        "found spent",
        &["report task-expired"],
        "over",
    ),
    ("looking up", "unreadable", &["report journal"], "over"),
    ("looking up", "stop", &[], "over"),
    (
        "admitting",
        "admitted",
        &["describe", "tell", "ask"],
        "deciding",
    ),
    (
        "admitting",
        "not admitted",
        &["describe", "commit limit (2 told, refused)"],
        "recording a refusal",
    ),
    ("admitting", "stop", &[], "over"),
    (
        "deciding",
        "approved",
        &["commit approval (1 told, )"],
        "recording an approval",
    ),
    (
        "deciding",
        "refused",
        &["commit limit (1 told, refused)"],
        "recording a refusal",
    ),
    (
        "deciding",
        "cancel",
        &["commit cancelled (1 told, refused)"],
        "given up",
    ),
    ("deciding", "stop", &[], "over"),
    ("given up", "approved", &["note"], "given up, answered"),
    ("given up", "refused", &[], "given up, answered"),
    (
        "given up",
        "recorded",
        &["report cancelled"],
        "given up, recorded",
    ),
    (
        "given up",
        "not recorded",
        &["report journal"],
        "given up, recorded",
    ),
    ("given up", "stop", &[], "given up, answered"),
    ("given up, recorded", "approved", &["note"], "over"),
    ("given up, recorded", "refused", &[], "over"),
    ("given up, recorded", "stop", &[], "over"),
    (
        "given up, answered",
        "recorded",
        &["report cancelled"],
        "over",
    ),
    (
        "given up, answered",
        "not recorded",
        &["report journal"],
        "over",
    ),
    ("recording a refusal", "recorded", &["report limit"], "over"),
    (
        "recording a refusal",
        "not recorded",
        &["report journal"],
        "over",
    ),
    (
        "recording an approval",
        "recorded",
        &["tell holders", "report approval", "wait 60 s"],
        "waiting",
    ),
    (
        "recording an approval",
        "not recorded",
        &["report journal"],
        "over",
    ),
    (
        "given up, recorded",
        "offered",
        &["report cancelled"],
        "given up, recorded",
    ),
    (
        "recording an end",
        "offered",
        &["report approval"],
        "recording an end",
    ),
    (
        "recording a doubt",
        "offered",
        &["report approval"],
        "recording a doubt",
    ),
    ("closing", "offered", &["report approval"], "closing"),
    ("waiting", "offered", &["report approval"], "waiting"),
    ("waiting", "start", &["check for the key"], "checking"),
    (
        "waiting",
        "cancel",
        &["commit cancelled, unused (1 told, failed)"],
        "recording an end",
    ),
    (
        "waiting",
        "stop",
        &["commit cancelled, unused (1 told, failed)"],
        "recording an end",
    ),
    (
        "waiting",
        "late",
        &["commit not-started, unused (1 told, failed)"],
        "recording an end",
    ),
    ("checking", "offered", &["report approval"], "checking"),
    ("checking", "trusted", &["run"], "running"),
    (
        "checking",
        "not trusted",
        &["commit limit, unused (1 told, failed)"],
        "recording an end",
    ),
    ("running", "offered", &["report approval"], "running"),
    ("running", "cancel", &["cancel the run"], "running"),
    (
        "running",
        "completed",
        &["commit signed (1 told, succeeded)"],
        "recording an end",
    ),
    (
        "running",
        "failed",
        &["commit peer-lost (1 told, failed)"],
        "recording an end",
    ),
    (
        "running",
        "failed unused",
        &["commit peer-lost, unused (1 told, failed)"],
        "recording an end",
    ),
    (
        "running",
        "in doubt",
        &["commit doubt (0 told, )"],
        "recording a doubt",
    ),
    (
        "recording an end",
        "recorded",
        &["keep at holders", "report signed"],
        "over",
    ),
    ("recording an end", "not recorded", &[], "over"),
    ("recording a doubt", "recorded", &["look up"], "closing"),
    ("recording a doubt", "not recorded", &["look up"], "closing"),
    ("closing", "found new", &["report peer-lost"], "over"),
    ("closing", "found approved", &["report peer-lost"], "over"),
    (
        "closing",
        "found signed",
        &["report proof", "report signed"],
        "over",
    ),
    (
        "closing",
        "found refused",
        &["report proof", "report limit"],
        "over",
    ),
    ("closing", "found other", &["report peer-lost"], "over"),
    ("closing", "found spent", &["report peer-lost"], "over"),
    ("closing", "unreadable", &["report peer-lost"], "over"),
];

struct Key(countersign_link::Identity);

impl IdentitySigner for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

fn identity(seed: u8) -> Key {
    Key(countersign_link::Identity::from_seed(&[seed; 32]).unwrap())
}

fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(identity(seed).0.public().0).unwrap()
}

fn nodes() -> Vec<NodeId> {
    let mut nodes: Vec<_> = (1..=3).map(node).collect();
    nodes.sort_unstable();
    nodes
}

fn key() -> KeyId {
    KeyId::from_bytes([2; 16]).unwrap()
}

fn keysign() -> Operation {
    Operation::KeySign(KeySign {
        key: key(),
        path: "m".parse().unwrap(),
        payload: Payload::new(PayloadKind::Message, b"m".to_vec()),
        signers: None,
    })
}

fn keygen() -> Operation {
    Operation::KeyGen(KeyGen {
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
    })
}

fn check_up() -> Operation {
    Operation::KeyShareSign(KeyShareSign {
        key: key(),
        nodes: vec![node(1)],
    })
}

/// A key, or its next generation, with all acknowledgements.
fn made(generation: u32) -> KeyDescriptor {
    let mut made = KeyDescriptor {
        key: key(),
        task: TaskId([1; 16]),
        session: SessionId([3; 32]),
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation,
        root_public_key: vec![4; 32],
        chain_code: Hash([5; 32]),
        public_shares: Hash([6; 32]),
        aux: None,
        parties: if generation == 0 { vec![] } else { nodes() },
        acks: Vec::new(),
    };
    let digest = made.digest();
    let ack = |seed: u8| SignedAck {
        node: node(seed),
        signature: identity(seed).sign(digest.as_bytes()).to_vec(),
    };
    made.acks = (1..=3).map(ack).collect();
    made.acks.sort_by_key(|ack| ack.node);
    made
}

fn keyreshare() -> Operation {
    Operation::KeyReshare(Box::new(countersign_protocol::KeyReshare {
        from: made(0),
        committee: Committee::new(nodes()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        dealers: None,
    }))
}

fn claimed(operation: Operation) -> Arc<Claimed> {
    let requester = identity(9);
    let task = Task {
        version: 1,
        id: TaskId([1; 16]),
        created: NOW,
        not_after: UnixMillis(NOW.0 + 60_000),
        requester: RequesterId::from_bytes(requester.0.public().0).unwrap(),
        note: None,
        claims: BTreeMap::new(),
        collect: None,
        operation,
    };
    let bytes = task.to_bytes();
    let signature = requester.sign(&SignedTask::signed_message(&bytes));
    Arc::new(
        SignedTask {
            bytes,
            signature: signature.into(),
        }
        .claim()
        .unwrap(),
    )
}

/// A machine and the world that it sees.
struct Play {
    machine: Machine,
    now: UnixMillis,
    restored: Option<UnixMillis>,
    has_twin: bool,
    has_room: bool,
    stopping: bool,
    listed: bool,
}

impl Play {
    fn of(operation: Operation) -> Self {
        Self {
            machine: Machine::new(claimed(operation), nodes()),
            now: NOW,
            restored: None,
            has_twin: false,
            has_room: true,
            stopping: false,
            listed: true,
        }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let listed = self.listed;
        let world = World {
            now: self.now,
            restored: self.restored,
            has_twin: self.has_twin,
            has_room: self.has_room,
            stopping: self.stopping,
            requesters: &|_| listed,
            passkeys: None,
        };
        self.machine.step(input, &world)
    }

    /// The names of the effects, in order.
    fn act(&mut self, input: Input) -> Vec<String> {
        self.step(input).iter().map(name).collect()
    }

    /// Brings a machine to this stage by the shortest way.
    fn at(stage: &str, operation: Operation) -> Self {
        let mut play = Self::of(operation);
        for input in way_to(stage) {
            play.step(input);
        }
        assert_eq!(play.stage(), stage);
        play
    }

    fn stage(&self) -> &'static str {
        match &self.machine.stage {
            Stage::New => "new",
            Stage::LookingUp => "looking up",
            Stage::Admitting => "admitting",
            Stage::Deciding => "deciding",
            Stage::GivenUp {
                recorded: false,
                answered: false,
            } => "given up",
            Stage::GivenUp { recorded: true, .. } => "given up, recorded",
            Stage::GivenUp { .. } => "given up, answered",
            Stage::Recording(Recording::Refusal { .. }) => "recording a refusal",
            Stage::Recording(Recording::Approval) => "recording an approval",
            Stage::Recording(Recording::End { .. }) => "recording an end",
            Stage::Recording(Recording::InDoubt { .. }) => "recording a doubt",
            Stage::Waiting => "waiting",
            Stage::Checking => "checking",
            Stage::Running => "running",
            Stage::Closing(_) => "closing",
            Stage::Over => "over",
        }
    }
}

fn way_to(stage: &str) -> Vec<Input> {
    let then = |before: &str, input| {
        let mut way = way_to(before);
        way.push(input);
        way
    };
    match stage {
        "new" => Vec::new(),
        "looking up" => vec![Input::Offered],
        "admitting" => then("looking up", Input::Found(Found::New)),
        "deciding" => then("admitting", admitted()),
        "given up" => then("deciding", Input::Cancel),
        "given up, recorded" => then("given up", Input::Recorded(Ok(()))),
        "given up, answered" => then("given up", decided(None)),
        "recording a refusal" => then("deciding", decided(Some(no()))),
        "recording an approval" => then("deciding", decided(None)),
        "waiting" => then("recording an approval", Input::Recorded(Ok(()))),
        "checking" => then("waiting", Input::Start),
        "running" => then("checking", Input::Checked(Ok(()))),
        "recording an end" => then("running", ended(SessionResult::Completed(signed()))),
        "recording a doubt" => then("running", ended(SessionResult::InDoubt(lost()))),
        "closing" => then("recording a doubt", Input::Recorded(Ok(()))),
        "over" => then("looking up", Input::Found(Found::OtherBytes)),
        other => panic!("no stage {other}"),
    }
}

fn no() -> Refusal {
    Refusal {
        code: "limit".into(),
        reason: "too much".into(),
        plugin: Some("rules".into()),
    }
}

fn admitted() -> Input {
    Input::Admitted(Ok(Admission {
        parties: nodes()[..2].to_vec(),
        makes_aux_for: None,
    }))
}

fn decided(refusal: Option<Refusal>) -> Input {
    Input::Decided(Verdict {
        refusal,
        verdicts: Vec::new(),
        writes: Vec::new(),
        evidence: Evidence::default(),
    })
}

fn ended(result: SessionResult) -> Input {
    Input::Ended(SessionEnd {
        result,
        proof: None,
    })
}

fn lost() -> Failure {
    Failure::new(FailureCode::PeerLost, "lost")
}

fn signed() -> Outcome {
    Outcome::Signed(Signed {
        session: SessionId([3; 32]),
        signatures: Vec::<InputSignature>::new(),
    })
}

fn proof() -> Proof {
    let claim = |digest| Claim {
        digest,
        ack: Signature([0; 64]),
        signature: Signature([0; 64]),
    };
    Proof {
        task: Hash([1; 32]),
        node: node(2),
        misconduct: Misconduct::Results {
            session: SessionId([3; 32]),
            claims: [Hash([1; 32]), Hash([2; 32])].map(claim).into(),
        },
    }
}

/// A short name of an effect.
fn name(effect: &Effect) -> String {
    let text = match effect {
        Effect::LookUp => "look up",
        Effect::Admit(_) => "admit",
        Effect::Describe(_) => "describe",
        Effect::Ask(_) => "ask",
        Effect::Commit(commit) => return format!("commit {}", change(commit)),
        Effect::Alarm { refusal, .. } => return format!("alarm {}", refusal.code),
        Effect::Note(_) => "note",
        Effect::Tell(_) => "tell",
        Effect::Queue(_) => "queue",
        Effect::TellHolders => "tell holders",
        Effect::ReleaseHolders { used: true } => "keep at holders",
        Effect::ReleaseHolders { used: false } => "release holders",
        Effect::Wait(limit) => return format!("wait {} s", limit.as_secs()),
        Effect::Check(Check::Alone) => "check alone",
        Effect::Check(Check::NewKey(_)) => "check for a new key",
        Effect::Check(Check::Key(..)) => "check for the key",
        Effect::Run => "run",
        Effect::CancelRun => "cancel the run",
        Effect::Follow(KeyChange::Active(_)) => "key active",
        Effect::Follow(KeyChange::Moved(_)) => "key moved",
        Effect::Report(report) => return format!("report {}", reported(report)),
    };
    text.into()
}

fn change(commit: &Commit) -> String {
    let what = match &commit.change {
        TaskChange::Approve { .. } => "approval".into(),
        TaskChange::Refuse { refusal, .. } => refusal.code.to_string(),
        TaskChange::End { outcome, used, .. } => {
            format!("{}{}", kind(outcome), if *used { "" } else { ", unused" })
        }
        TaskChange::Judge(_) => "doubt".into(),
        other => panic!("{other:?}"),
    };
    let events = commit.events.len();
    let counted = commit.count.map_or("", Ended::name);
    format!("{what} ({events} told, {counted})")
}

fn reported(report: &Report) -> String {
    match report {
        Report::Decision { refusal: None, .. } => "approval".into(),
        Report::Decision {
            refusal: Some(refusal),
            ..
        } => refusal.code.to_string(),
        Report::Outcome(outcome) => kind(outcome),
        Report::Evidence(_) => "proof".into(),
        Report::Stored(_) => "stored".into(),
        Report::NeverStored => "never stored".into(),
    }
}

fn kind(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created(_) => "created".into(),
        Outcome::Signed(_) => "signed".into(),
        Outcome::Refused(refusal) => refusal.code.to_string(),
        Outcome::Failed(failure) => failure.code.to_string(),
        Outcome::Reshared(_) => "reshared".into(),
        Outcome::Intact(_) => "intact".into(),
    }
}

/// Every input there is, one of each kind of answer.
fn inputs() -> Vec<(&'static str, Input)> {
    let over = |outcome| Found::Ended {
        outcome: Box::new(outcome),
        verdicts: Vec::new(),
        proofs: vec![proof()],
        never_stored: false,
    };
    vec![
        ("offered", Input::Offered),
        ("other bytes", Input::OtherBytes),
        ("found new", Input::Found(Found::New)),
        (
            "found approved",
            Input::Found(Found::Approved { stored: None }),
        ),
        ("found signed", Input::Found(over(signed()))),
        ("found refused", Input::Found(over(Outcome::Refused(no())))),
        ("found other", Input::Found(Found::OtherBytes)),
        ("found spent", Input::Found(Found::Spent)),
        ("unreadable", Input::Found(Found::Unreadable("e".into()))),
        ("admitted", admitted()),
        ("not admitted", Input::Admitted(Err(no()))),
        ("approved", decided(None)),
        ("refused", decided(Some(no()))),
        ("recorded", Input::Recorded(Ok(()))),
        (
            "not recorded",
            Input::Recorded(Err(NotRecorded("full".into()))),
        ),
        ("start", Input::Start),
        ("cancel", Input::Cancel),
        ("stop", Input::Stop),
        ("late", Input::TimedOut),
        ("trusted", Input::Checked(Ok(()))),
        ("not trusted", Input::Checked(Err(no()))),
        ("completed", ended(SessionResult::Completed(signed()))),
        (
            "failed",
            ended(SessionResult::Failed {
                failure: lost(),
                used: true,
            }),
        ),
        (
            "failed unused",
            ended(SessionResult::Failed {
                failure: lost(),
                used: false,
            }),
        ),
        ("in doubt", ended(SessionResult::InDoubt(lost()))),
    ]
}

#[test]
fn every_input_at_every_stage_does_what_the_table_says() {
    let mut transitions = 0;
    for stage in STAGES {
        for (place, (input, _)) in inputs().iter().enumerate() {
            let mut play = Play::at(stage, keysign());
            let happened = inputs().swap_remove(place).1;
            let effects = play.act(happened);
            let row = TABLE
                .iter()
                .find(|(from, by, ..)| (from, by) == (&stage, input));
            let (expected, next) = match row {
                Some((_, _, effects, next)) => (*effects, *next),
                // At any stage: the id is taken.
                None if *input == "other bytes" => (
                    &["alarm task-id-reused", "report task-id-reused"][..],
                    stage,
                ),
                None => (&[][..], stage),
            };
            assert_eq!(effects, expected, "{stage}: {input}");
            assert_eq!(play.stage(), next, "{stage}: {input}");
            transitions += 1;
        }
    }
    assert_eq!(transitions, STAGES.len() * inputs().len());
    for (from, by, ..) in TABLE {
        assert!(STAGES.contains(from), "{from}");
        assert!(inputs().iter().any(|(name, _)| name == by), "{by}");
    }
}

#[test]
fn a_task_that_nobody_ordered_leaves_no_row() {
    let mut play = Play::at("looking up", keysign());
    play.listed = false;
    let effects = play.act(Input::Found(Found::New));
    let expected = ["alarm requester-unknown", "report requester-unknown"];
    assert_eq!(effects, expected);
    assert_eq!(play.stage(), "over");
    let mut play = Play::at("looking up", keysign());
    play.now = UnixMillis(NOW.0 + 60_001);
    let effects = play.act(Input::Found(Found::New));
    assert_eq!(effects, ["alarm task-expired", "report task-expired"]);
}

#[test]
fn what_stands_against_a_task_is_recorded_before_it_is_told() {
    let refused = |change: fn(&mut Play), code: &str| {
        let mut play = Play::at("looking up", keysign());
        change(&mut play);
        let effects = play.act(Input::Found(Found::New));
        let commit = format!("commit {code} (2 told, refused)");
        assert_eq!(effects, ["describe", &commit]);
        let told = play.act(Input::Recorded(Ok(())));
        assert_eq!(told, [format!("report {code}")]);
        assert_eq!(play.stage(), "over");
    };
    let later = |play: &mut Play| play.restored = Some(UnixMillis(NOW.0 + 1));
    refused(later, "task-before-restore");
    refused(|play| play.has_twin = true, "twin");
    refused(|play| play.has_room = false, "busy");
    let mut play = Play::at("looking up", keysign());
    play.restored = Some(NOW);
    assert_eq!(play.act(Input::Found(Found::New)), ["admit"]);
}

#[test]
fn a_task_given_up_before_it_was_admitted_is_asked_of_nobody() {
    for stage in ["looking up", "admitting"] {
        let mut play = Play::at(stage, keysign());
        assert_eq!(play.act(Input::Cancel), [""; 0]);
        if stage == "looking up" {
            play.step(Input::Found(Found::New));
        }
        let effects = play.act(admitted());
        let expected = ["describe", "commit cancelled (2 told, refused)"];
        assert_eq!(effects, expected);
    }
}

#[test]
fn what_the_coordinator_says_before_the_approval_is_durable_is_heard_then() {
    let recorded = |input| {
        let mut play = Play::at("recording an approval", keysign());
        assert_eq!(play.act(input), [""; 0]);
        play.act(Input::Recorded(Ok(()))).split_off(3)
    };
    assert_eq!(recorded(Input::Start), ["check for the key"]);
    let cancelled = ["commit cancelled, unused (1 told, failed)"];
    assert_eq!(recorded(Input::Cancel), cancelled);
    let mut play = Play::at("recording an approval", keysign());
    play.stopping = true;
    let effects = play.act(Input::Recorded(Ok(()))).split_off(3);
    assert_eq!(effects, cancelled);
}

#[test]
fn nothing_begins_after_its_time_or_once_it_is_given_up() {
    let mut play = Play::at("waiting", keysign());
    play.now = UnixMillis(NOW.0 + 60_001);
    let late = ["commit not-started, unused (1 told, failed)"];
    assert_eq!(play.act(Input::Start), late);
    let mut play = Play::at("checking", keysign());
    play.step(Input::Cancel);
    let cancelled = ["commit cancelled, unused (1 told, failed)"];
    assert_eq!(play.act(Input::Checked(Ok(()))), cancelled);
}

#[test]
fn the_parties_are_checked_for_what_they_are_to_do() {
    for (operation, effect, stage) in [
        (keygen(), "check for a new key", "checking"),
        (keysign(), "check for the key", "checking"),
        (keyreshare(), "check for the key", "checking"),
        (check_up(), "check alone", "checking"),
    ] {
        let mut play = Play::at("waiting", operation);
        assert_eq!(play.act(Input::Start), [effect]);
        assert_eq!(play.stage(), stage);
    }
    let mut play = Play::at("waiting", keysign());
    let effects = play.step(Input::Start);
    let expected = Check::Key(key(), nodes()[..2].to_vec());
    assert_eq!(effects, [Effect::Check(expected)]);
}

#[test]
fn a_key_that_came_to_be_is_followed_before_it_is_reported() {
    let conclude = |operation, outcome| {
        let mut play = Play::at("running", operation);
        play.step(ended(SessionResult::Completed(outcome)));
        (play.act(Input::Recorded(Ok(()))), play)
    };
    let (effects, play) = conclude(keygen(), Outcome::Created(made(0)));
    let expected = ["keep at holders", "key active", "report created"];
    assert_eq!(effects, expected);
    assert_eq!(play.stage(), "over");
    let (effects, mut play) = conclude(keyreshare(), Outcome::Reshared(made(1)));
    assert_eq!(effects, ["keep at holders", "key moved", "look up"]);
    let found = Found::Ended {
        outcome: Outcome::Reshared(made(1)).into(),
        verdicts: Vec::new(),
        proofs: Vec::new(),
        never_stored: false,
    };
    assert_eq!(play.act(Input::Found(found)), ["report reshared"]);
}

#[test]
fn a_reshare_for_which_nothing_was_stored_says_so() {
    let mut play = Play::at("running", keyreshare());
    let failure = lost();
    play.step(ended(SessionResult::Failed {
        failure,
        used: true,
    }));
    let effects = play.act(Input::Recorded(Ok(())));
    assert_eq!(effects, ["keep at holders", "look up"]);
    let found = Found::Ended {
        outcome: Outcome::Failed(lost()).into(),
        verdicts: Vec::new(),
        proofs: Vec::new(),
        never_stored: true,
    };
    let effects = play.act(Input::Found(found));
    assert_eq!(effects, ["report peer-lost", "report never stored"]);
    let mut play = Play::at("looking up", keyreshare());
    let stored = Some(made(1).into());
    let effects = play.act(Input::Found(Found::Approved { stored }));
    assert_eq!(effects, ["report stored"]);
}

#[test]
fn who_cheated_is_written_with_the_end_and_proven_to_the_coordinator() {
    let cheated = || Failure {
        cause: Cause::Peer,
        code: FailureCode::Equivocation,
        text: "t".into(),
        culprits: vec![node(2)],
    };
    let end = |result| {
        let mut play = Play::at("running", keysign());
        let proof = Some(proof());
        let effects = play.step(Input::Ended(SessionEnd { result, proof }));
        let consequences = match effects.into_iter().next() {
            Some(Effect::Commit(commit)) => match commit.change {
                TaskChange::End { consequences, .. } | TaskChange::Judge(consequences) => {
                    consequences
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let kept: Vec<_> = consequences
            .quarantines
            .iter()
            .map(|kept| (kept.key, kept.peer, kept.evidence.is_some()))
            .collect();
        assert_eq!(kept, [(key(), node(2), true)]);
        play.act(Input::Recorded(Ok(())))
    };
    let failed = end(SessionResult::Failed {
        failure: cheated(),
        used: true,
    });
    let expected = ["keep at holders", "report proof", "report equivocation"];
    assert_eq!(failed, expected);
    let doubt = end(SessionResult::InDoubt(cheated()));
    assert_eq!(doubt, ["report proof", "look up"]);
}

#[test]
fn a_committee_without_auxiliary_information_queues_before_anybody_is_told() {
    let mut play = Play::at("admitting", keygen());
    let effects = play.act(Input::Admitted(Ok(Admission {
        parties: nodes(),
        makes_aux_for: Some(Committee::new(nodes()).unwrap()),
    })));
    assert_eq!(effects, ["queue", "describe", "tell", "ask"]);
}

#[test]
fn an_approval_waits_no_longer_than_its_task_or_five_minutes() {
    let waits = |left: u64| {
        let mut play = Play::at("recording an approval", keysign());
        play.now = UnixMillis(NOW.0 + 60_000 - left);
        play.act(Input::Recorded(Ok(()))).swap_remove(2)
    };
    assert_eq!(waits(60_000), "wait 60 s");
    assert_eq!(waits(7_000), "wait 7 s");
    assert_eq!(waits(0), "wait 0 s");
}

#[test]
fn a_decision_is_recorded_with_the_exact_bytes_and_the_offered_parties() {
    let mut play = Play::at("deciding", keysign());
    let effects = play.step(decided(None));
    let Some(Effect::Commit(commit)) = effects.into_iter().next() else {
        panic!("a commit")
    };
    let TaskChange::Approve { row, .. } = commit.change else {
        panic!("an approval")
    };
    let claimed = play.machine.claimed();
    assert_eq!(row.bytes, claimed.signed().bytes);
    assert_eq!(row.hash, claimed.hash());
    assert_eq!((row.parties, row.received_at), (nodes(), NOW));
    assert_eq!(row.kind, OperationKind::KeySign);
}
