//! Answers of a later version: words and cases that this one does not know are shown as unknown,
//! and pass for nothing that it knows.

use countersign_client::api::State;
use countersign_protocol::TaskId;
use serde_json::{Value, json};

use super::coordinator::{Asked, Scripted, Told, streamed, told};
use super::{CREATE, WALLET, in_state, stranger, submitted};
use crate::forged::coordinator::{OURS, node, order, view};
use crate::{json, text};

/// A task as a later version tells of it.
fn later_task(ended: bool) -> Value {
    let order = order(&stranger(), &OURS, 1);
    let id = TaskId([1; 16]);
    let mut task = json!(in_state(&order, id, State::Running, 3));
    task["state"] = json!("paused");
    task["ended"] = if ended { json!(1_000_000) } else { Value::Null };
    task["nodes"] = json!([{
        "node": node(1), "name": null, "online": true, "decision": null, "stored": false, "void": false,
        "progress": {"at": 1, "stage": "dreaming", "waiting_for": []},
        "outcome": {"at": 2, "merged": {"with": "another"}}, "mood": "good",
    }]);
    task["result"] = json!({"merged": 7});
    task
}

async fn run(answer: Value, args: &[&str]) -> (Option<i32>, String) {
    let coordinator = Scripted::start(move |_| told(answer.clone())).await;
    let output = coordinator.run(args).await;
    (
        output.status.code(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_later_version_are_shown_as_unknown() {
    let id = TaskId([1; 16]).to_string();
    let task = later_task(false);
    let mut strange = task.clone();
    strange["operation"] = json!("KeyMerge");
    let settings = json!({"url": "https://a.example/", "types": ["moon.rose"], "format": "pigeon",
        "enabled": true, "retries": "many"});
    let webhook = json!({"name": "ops", "spec": settings, "created": 1, "cursor": "1", "pending": 0,
        "failing_since": null});
    let delivery = json!({"event": "evt_1", "type": "moon.rose", "data": {"moon": 1}, "at": 1,
        "state": "parked", "attempts": [], "next_attempt": null});
    let key = json!({"name": "desk", "origin": "sky", "previous": null,
        "spec": {"sha256": "00".repeat(32), "scopes": ["read", "owner"], "colour": "red"}});
    let seen = json!({"id": node(1), "name": "one", "online": true, "software": null, "since": null,
        "reported": {"at": 1, "skew_ms": 1, "status": {"software": "x", "plugins": "none"}}});
    let cases: [(&[&str], Value, &str); 10] = [
        (
            &["task", "list"],
            json!({"tasks": [strange]}),
            "unknown state paused",
        ),
        (
            &["task", "list"],
            json!({"tasks": [strange]}),
            "unknown operation KeyMerge",
        ),
        (
            &["task", "show", &id],
            task.clone(),
            "unknown stage dreaming",
        ),
        (&["task", "show", &id], task, "ended in a way unknown here"),
        (
            &["task", "explain", &id],
            json!({"task": id, "state": "paused", "summary": "It waits.", "waiting_for": [], "until": null,
                "nodes": [], "advice": null}),
            "unknown state paused",
        ),
        (&["webhook", "show", "ops"], webhook, "pigeon"),
        (
            &["webhook", "deliveries", "ops"],
            json!({"deliveries": [delivery]}),
            "moon.rose evt_1: parked",
        ),
        (
            &["api-key", "list"],
            json!({"api_keys": [key]}),
            "read,owner",
        ),
        (
            &["api-key", "show", "desk"],
            json!({"api_keys": [key]}),
            "unknown place sky",
        ),
        (&["node", "list"], json!({"nodes": [seen]}), "cannot read"),
    ];
    for (args, answer, words) in cases {
        let (code, shown) = run(answer.clone(), args).await;
        assert_eq!(code, Some(0), "{args:?}: {shown}");
        assert!(shown.contains(words), "`{words}` is missing in\n{shown}");
        let (code, _) = run(answer, &[args, &["--json"]].concat()).await;
        assert_eq!(code, Some(0), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ended_in_a_state_of_a_later_version_is_neither_done_nor_failed() {
    let id = TaskId([1; 16]).to_string();
    for args in [
        &["task", "watch", &id][..],
        &["task", "show", &id, "--wait"],
    ] {
        let (code, shown) = run(later_task(true), args).await;
        assert_eq!(code, Some(4), "{args:?}: {shown}");
        assert!(shown.contains("update this program"), "{shown}");
    }
    // An order whose answer claims a result, in a state that nobody here knows.
    let finished = |asked: &Asked| -> Told {
        let order = countersign_protocol::SignedTask {
            bytes: asked.body["task"].as_str().unwrap_or_default().into(),
            signature: [0; 64].into(),
        };
        let id: TaskId = submitted(asked).as_str().unwrap().parse().unwrap();
        let mut task = json!(view(&order, id));
        task["state"] = json!("blessed");
        task["ended"] = json!(1_000_000);
        told(task)
    };
    let coordinator = Scripted::start(finished).await;
    let output = coordinator.run(&[&CREATE[..9], &["--json"]].concat()).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert_eq!(json(&output)["error"]["code"], "unknown-state");
    assert!(!coordinator.dir.path().join("wallets.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_of_a_later_version_is_no_approval() {
    for verdict in [
        json!({"kind": "blessed", "by": [node(1)]}),
        json!({"kind": "approved"}),
        json!("approved"),
    ] {
        let answer = move |asked: &Asked| {
            told(json!({
                "task": submitted(asked), "operation": "KeyGen", "at": 1, "needed": 3, "verdict": verdict,
                "nodes": [{"node": node(1), "chosen": true, "answer": "would-bless", "why": "spring"}],
            }))
        };
        let coordinator = Scripted::start(answer).await;
        let asked = coordinator.run(&CREATE).await;
        assert_eq!(asked.status.code(), Some(5), "{}", text(&asked.stderr));
        assert!(text(&asked.stdout).contains("gave an answer unknown here"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_later_version_is_passed_on() {
    let event =
        json!({"id": "evt_1", "cursor": "7", "type": "moon.rose", "at": 1, "data": {"moon": 1}});
    let args = ["event", "list", "--wallet", WALLET];
    let (code, shown) = run(json!({"events": [event], "next": "7"}), &args).await;
    assert_eq!(
        (code, shown.contains("moon.rose evt_1")),
        (Some(0), true),
        "{shown}"
    );
    let coordinator = Scripted::start(move |_| streamed(std::slice::from_ref(&event))).await;
    let followed = coordinator
        .run(&["event", "follow", "--json", "--timeout", "1"])
        .await;
    assert!(
        text(&followed.stdout).contains("moon.rose"),
        "{}",
        text(&followed.stderr)
    );
}

/// Short in bytes and long in memory.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_out_of_all_proportion_is_refused() {
    let many = || json!(vec![0; 200_000]);
    let tasks = json!({"tasks": [{"operation": many()}]});
    let wallets = json!({"wallets": [many()], "next": null});
    let long = json!({"nodes": [], "more": "x".repeat(9 << 20)});
    for (args, answer, reason) in [
        (["task", "list"], tasks, "parts"),
        (["wallet", "list"], wallets, "parts"),
        (["node", "list"], long, "longer than"),
    ] {
        let (code, shown) = run(answer, &args).await;
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains(reason), "{args:?}: {shown}");
    }
}
