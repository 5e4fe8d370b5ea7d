//! A candidate answers recorded questions from their recordings alone, and what it cannot be told
//! is not known.

use std::sync::Arc;

use countersign_host::{
    Answered, Chain, Change, Code, Input, Intent, Key, NotJudged, Operation, OperationKind,
    PluginSpec, Recorded, Recording, Scope, Signing, Task, Verdict,
};
use serde_json::{Value, json};

use crate::callback;
use crate::guests::{closed_rules, host, keygen, open_rules, rogue, rules, services, soon, task};
use crate::server::{Server, http, sound};

/// The decision of one plugin on a task, through the bytes that a journal would keep.
async fn record(spec: &PluginSpec, task: Task) -> (Task, Recorded) {
    let chain = Chain::load(&host(), vec![spec.clone()], services())
        .await
        .unwrap();
    let decision = chain.decide(&task, soon()).await;
    let bytes = decision.recording(task.clone()).encode();
    let mut recording = Recording::decode(&bytes, task.raw).unwrap();
    (recording.question.unwrap(), recording.evaluations.remove(0))
}

async fn answer(spec: &PluginSpec, (question, recorded): &(Task, Recorded)) -> Answered {
    let candidate = host().candidate(spec, services()).await.unwrap();
    candidate.answer(question, recorded).await
}

async fn change(spec: &PluginSpec, past: &(Task, Recorded)) -> Change {
    Change::between(&past.1.verdict, &answer(spec, past).await)
}

fn acts(deed: Value) -> PluginSpec {
    rogue(json!({"evaluate": deed}))
}

#[tokio::test]
async fn each_direction_is_found() {
    let approved = record(&open_rules(), keygen()).await;
    let refused = record(&closed_rules(), keygen()).await;
    let other = rules(json!({"enable": true, "key_gen": {"allow_list": []}}));
    for (spec, past, expected) in [
        (open_rules(), &approved, Change::Same),
        (closed_rules(), &refused, Change::Same),
        (closed_rules(), &approved, Change::Tighter),
        (open_rules(), &refused, Change::Looser),
        (other, &refused, Change::OtherReason),
    ] {
        assert_eq!(change(&spec, past).await, expected, "{}", spec.config);
    }
}

#[tokio::test]
async fn an_approval_by_a_server_needs_no_server_again() {
    let server = Server::start(|_, received| http("200 OK", &sound(received, "APPROVE"))).await;
    let url = format!("http://{}/v2/check", server.address);
    let past = record(&callback::spec(&url, 0), keygen()).await;
    assert_eq!(past.1.verdict, Verdict::Approve);
    assert_eq!(change(&callback::spec(&url, 0), &past).await, Change::Same);
    assert_eq!(
        change(&callback::spec(&url, 2), &past).await,
        Change::Same,
        "another configuration that asks the same"
    );
    assert_eq!(server.received().len(), 1, "the approver was asked again");
}

#[tokio::test]
async fn whoever_asks_another_server_cannot_be_judged() {
    let server = Server::start(|_, received| http("200 OK", &sound(received, "APPROVE"))).await;
    let url = format!("http://{}/v2/check", server.address);
    let past = record(&callback::spec(&url, 0), keygen()).await;
    let elsewhere = callback::spec("http://127.0.0.1:9/v2/check", 0);
    let answered = answer(&elsewhere, &past).await;
    assert!(
        matches!(answered, Answered::NotJudged(NotJudged::Unheard(_))),
        "{answered:?}"
    );
    assert_eq!(
        Change::between(&past.1.verdict, &answered),
        Change::NotJudged
    );
}

fn blind(limits: Value) -> PluginSpec {
    let policy = json!({"name": "p", "blind": "allow", "limits": limits});
    rules(json!({"enable": true, "key_sign": {"policies": [policy]}}))
}

/// Ten digests, which count as ten tasks.
fn ten() -> Task {
    let key = Key {
        id: "key".into(),
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        root_public_key: "xpub".into(),
        threshold: 2,
        members: vec!["a".into(), "b".into()],
    };
    let input = Input {
        path: "m/0".into(),
        public_key: vec![2; 33],
        digest: vec![3; 32],
        tweak: None,
    };
    task(Operation::Sign(Signing {
        key,
        signers: vec!["a".into(), "b".into()],
        inputs: vec![input; 10],
        payload: "digest".into(),
        blind: true,
        intent: Intent::Opaque,
    }))
}

/// The new limit counts the task, which the old one had refused: the write is not on record, and
/// nobody needs its answer.
#[tokio::test]
async fn another_limit_is_judged_by_the_memory_of_then() {
    let five = blind(json!([{"per": "day", "tasks": 5}]));
    let twenty = blind(json!([{"per": "day", "tasks": 20}]));
    let twenty_a_week = blind(json!([{"per": "week", "tasks": 20}]));
    let none = blind(json!([]));
    let refused = record(&five, ten()).await;
    assert_eq!(refused.1.verdict.code(), Some("keysign-limit-tasks"));
    let approved = record(&twenty, ten()).await;
    assert_eq!(approved.1.verdict, Verdict::Approve);
    assert_eq!(change(&twenty, &refused).await, Change::Looser);
    assert_eq!(change(&none, &refused).await, Change::Looser);
    assert_eq!(change(&five, &approved).await, Change::Tighter);
    assert_eq!(change(&none, &approved).await, Change::Same);
    assert_eq!(
        change(&twenty_a_week, &approved).await,
        Change::Same,
        "it keeps the entry for longer"
    );
    let unlimited = record(&none, ten()).await;
    assert_eq!(
        change(&twenty, &unlimited).await,
        Change::NotJudged,
        "nobody had read the memory"
    );
}

#[tokio::test]
async fn a_candidate_that_is_stopped_has_not_answered() {
    let past = record(&acts(json!("nothing")), keygen()).await;
    for (deed, code) in [
        (json!("panic"), Code::Trap),
        (json!("exit"), Code::Exit),
        (json!("loop"), Code::Cpu),
        (json!("allocate"), Code::Memory),
    ] {
        let answered = answer(&acts(deed), &past).await;
        assert!(
            matches!(&answered, Answered::NotJudged(NotJudged::Stopped { code: found, .. }) if *found == code),
            "{answered:?}"
        );
    }
}

#[tokio::test]
async fn only_the_old_version_itself_repeats_being_cut_off() {
    let mut sleeper = acts(json!({"sleep": 3_600_000}));
    sleeper.grants.wall_ms = 200;
    let past = record(&sleeper, keygen()).await;
    assert_eq!(past.1.verdict.code(), Some(Code::Timeout.as_str()));
    assert_eq!(change(&sleeper, &past).await, Change::Same);
    let other = acts(json!({"sleep": 3_500_000}));
    assert_eq!(change(&other, &past).await, Change::NotJudged);
    assert_eq!(
        change(&acts(json!("nothing")), &past).await,
        Change::Looser,
        "it needs nobody's answer"
    );
}

#[tokio::test]
async fn what_is_outside_the_scope_is_refused_no_more() {
    let refused = record(&closed_rules(), keygen()).await;
    let mut narrow = closed_rules();
    narrow.role.scope = Scope {
        operations: vec![OperationKind::KeySign],
        ..Scope::default()
    };
    assert_eq!(answer(&narrow, &refused).await, Answered::OutOfScope);
    assert_eq!(change(&narrow, &refused).await, Change::Looser);
    narrow.role.scope.operations = vec![OperationKind::KeyGen];
    assert_eq!(change(&narrow, &refused).await, Change::Same);
}

#[tokio::test]
async fn an_incomplete_recording_cannot_be_judged() {
    let mut past = record(&open_rules(), keygen()).await;
    past.1.trace.cut = true;
    assert_eq!(
        answer(&open_rules(), &past).await,
        Answered::NotJudged(NotJudged::TooLarge)
    );
    past.1.trace.cut = false;
    past.1.trace.ran = false;
    past.1.verdict = Verdict::Failed {
        code: Code::Busy,
        reason: "busy".into(),
    };
    assert_eq!(
        answer(&open_rules(), &past).await,
        Answered::NotJudged(NotJudged::NeverRan(Code::Busy))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_candidate_answers_many_at_once() {
    let refused = Arc::new(record(&closed_rules(), keygen()).await);
    let candidate = host().candidate(&open_rules(), services()).await.unwrap();
    let candidate = Arc::new(candidate);
    let asked: Vec<_> = (0..200)
        .map(|_| {
            let past = refused.clone();
            let candidate = candidate.clone();
            tokio::spawn(async move { candidate.answer(&past.0, &past.1).await })
        })
        .collect();
    for answered in asked {
        assert_eq!(answered.await.unwrap(), Answered::Said(Verdict::Approve));
    }
}
