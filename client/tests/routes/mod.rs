//! Every route of the API from the command line, against a scripted coordinator.

pub mod coordinator;
mod later;
mod unending;

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_client::RequesterKey;
use countersign_client::api::{State, TaskView};
use countersign_protocol::{SignedTask, TaskId};
use serde_json::{Value, json};

use crate::forged::coordinator::{OURS, node, order, view};
use crate::{json, text};
use coordinator::{Asked, Scripted, Told, problem, streamed, told};

const WALLET: &str = "csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel";
const CREATE: [&str; 10] = [
    "wallet",
    "create",
    "treasury",
    "--scheme",
    "ed25519",
    "--threshold",
    "2",
    "--nodes",
    "n1,n2,n3",
    "--dry-run",
];

fn stranger() -> RequesterKey {
    let dir = tempfile::tempdir().unwrap();
    RequesterKey::create(&dir.path().join("key")).unwrap()
}

/// A task in this state, as its coordinator shows it.
fn in_state(order: &SignedTask, id: TaskId, state: State, revision: u64) -> TaskView {
    let mut view = view(order, id);
    view.summary.state = state.into();
    view.summary.revision = revision;
    view
}

fn event(cursor: &str, kind: &str, task: &TaskView) -> Value {
    json!({"id": format!("evt_{cursor}"), "cursor": cursor, "type": kind, "at": 1_000_000, "data": {"task": task.summary}})
}

/// The id of the task in a submission.
fn submitted(asked: &Asked) -> Value {
    let task: Value = serde_json::from_str(asked.body["task"].as_str().unwrap()).unwrap();
    task["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_tasks_is_filtered_by_the_coordinator() {
    let coordinator = Scripted::start(|_| told(json!({"tasks": [], "next": "7"}))).await;
    let own = coordinator.own.id().to_string();
    let listed = coordinator
        .run(&[
            "task",
            "list",
            "--wallet",
            WALLET,
            "--state",
            "waiting,approving",
            "--operation",
            "keysign,KeyGen",
            "--requester",
            "me",
            "--since",
            "2026-07-01",
            "--until",
            "1800000000000",
            "--cursor",
            "9",
        ])
        .await;
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    assert_eq!(
        coordinator.asked()[0].query,
        format!(
            "limit=20&cursor=9&wallet={WALLET}&state=waiting,approving&operation=KeySign,KeyGen&requester={own}\
             &since=1782864000000&until=1800000000000"
        )
    );
    let more = text(&listed.stdout);
    assert!(
        more.contains("--state waiting,approving") && more.contains("--cursor 7"),
        "the next page has the same filters: {more}"
    );
    for wrong in [
        ["--state", "done"],
        ["--operation", "pay"],
        ["--requester", "mallory"],
        ["--since", "yesterday"],
        ["--wallet", "cold"],
    ] {
        let refused = coordinator
            .run(&[&["task", "list"], &wrong[..]].concat())
            .await;
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}");
    }
    assert_eq!(coordinator.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_has_the_profiles_names_and_is_the_coordinators_word() {
    let id = TaskId([1; 16]);
    let coordinator = Scripted::start(move |_| {
        told(json!({
            "task": id, "state": "approving", "summary": format!("{} is asked.", node(1)), "waiting_for": [node(2)],
            "until": 1_782_907_200_000_u64, "nodes": [{"node": node(1), "name": "mallory", "text": "It approved."}],
            "advice": "Wait."
        }))
    })
    .await;
    let explained = coordinator.run(&["task", "explain", &id.to_string()]).await;
    let shown = text(&explained.stdout);
    for part in [
        "n1 is asked.",
        "waits for n2, until 2026-07-01T12:00:00Z",
        "n1: It approved.",
        "what to do: Wait.",
    ] {
        assert!(shown.contains(part), "`{part}` is missing in\n{shown}");
    }
    assert!(!shown.contains("mallory"), "{shown}");
    assert!(text(&explained.stderr).contains("As the coordinator tells it"));
    assert_eq!(
        coordinator.asked()[0].line(),
        format!("GET /tasks/{id}/explain")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_cancelled_unless_it_runs() {
    let id = TaskId([1; 16]);
    let order = order(&stranger(), &OURS, 1);
    let other = TaskId([2; 16]);
    let coordinator = Scripted::start(move |asked| {
        if asked.path.contains(&other.to_string()) {
            return problem(409, "task-runs");
        }
        told(json!(in_state(&order, id, State::Cancelled, 3)))
    })
    .await;
    let cancelled = coordinator.run(&["task", "cancel", &id.to_string()]).await;
    assert!(cancelled.status.success(), "{}", text(&cancelled.stderr));
    assert!(text(&cancelled.stdout).contains("cancelled"));
    assert_eq!(
        coordinator.asked()[0].line(),
        format!("POST /tasks/{id}/cancel")
    );
    let running = ["task", "cancel", &other.to_string(), "--json"].map(str::to_owned);
    let running: Vec<&str> = running.iter().map(String::as_str).collect();
    let running = coordinator.run(&running).await;
    assert_eq!(running.status.code(), Some(1));
    assert_eq!(json(&running)["error"]["code"], "task-runs");
}

fn forecast(asked: &Asked, verdict: &Value) -> Told {
    assert_eq!(
        (asked.line().as_str(), asked.query.as_str()),
        ("POST /tasks", "dry_run=true")
    );
    let said = json!({
        "plugin": "limits", "version": "1.2", "digest": "00".repeat(32), "config": "00".repeat(32), "approved": false,
        "code": "limit", "reason": "over 5", "micros": 7
    });
    told(json!({
        "task": submitted(asked), "operation": "KeyGen", "at": 1, "needed": 3, "verdict": verdict,
        "nodes": [
            {"node": node(1), "chosen": true, "answer": "would-refuse", "refusal": {"code": "limit", "reason": "over 5", "plugin": "limits"},
             "verdicts": [said], "not_asked": []},
            {"node": node(2), "chosen": true, "answer": "would-approve", "verdicts": [],
             "not_asked": [{"plugin": "people", "why": "may call a server"}]},
            {"node": node(3), "chosen": false, "answer": "offline"},
        ]
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_orders_nothing_and_its_exit_code_tells_the_verdict() {
    let all = [node(1), node(2), node(3)];
    for (verdict, code, words) in [
        (
            json!({"kind": "approved", "by": all}),
            0,
            "would be approved by n1, n2, n3",
        ),
        (
            json!({"kind": "refused", "by": [node(1)], "instead": [node(2), node(4)]}),
            2,
            "would be refused by n1",
        ),
        (
            json!({"kind": "open", "by": all, "undecided": [node(2)]}),
            5,
            "not all plugins of n2 were asked",
        ),
        (
            json!({"kind": "unknown", "of": [node(3)]}),
            5,
            "n3 said nothing",
        ),
        (
            json!({"kind": "waiting", "missing": [node(3)]}),
            5,
            "these are offline: n3",
        ),
    ] {
        let script = verdict.clone();
        let coordinator = Scripted::start(move |asked| forecast(asked, &script)).await;
        let shown = coordinator.run(&CREATE).await;
        assert_eq!(shown.status.code(), Some(code), "{}", text(&shown.stderr));
        let lines = text(&shown.stdout);
        for part in [
            words,
            "n1: would refuse: over 5 [limit]",
            "limits 1.2: no: over 5 [limit]",
            "n2: does not object so far",
            "people: not asked: may call a server",
            "n3 (would not take part): is not online",
        ] {
            assert!(lines.contains(part), "`{part}` is missing in\n{lines}");
        }
        assert!(text(&shown.stderr).contains("promises nothing"));
        let told = coordinator.run(&[&CREATE[..], &["--json"]].concat()).await;
        assert_eq!(told.status.code(), Some(code));
        assert_eq!(json(&told)["verdict"], verdict);
        for asked in coordinator.asked() {
            let task: Value = serde_json::from_str(asked.body["task"].as_str().unwrap()).unwrap();
            let life = task["not_after"].as_u64().unwrap() - task["created"].as_u64().unwrap();
            assert_eq!(
                life, 60_000,
                "whoever keeps the task can order it for a minute"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_takes_a_dry_run_for_an_order_is_told_to_cancel() {
    let sent: Arc<Mutex<Option<TaskView>>> = Arc::default();
    let coordinator = Scripted::start(move |asked| {
        let mut sent = sent.lock().unwrap();
        if asked.path == "/tasks" {
            let task = asked.body["task"].as_str().unwrap().as_bytes().to_vec();
            let signature = hex::decode(asked.body["signature"].as_str().unwrap()).unwrap();
            let signature = countersign_protocol::OrderProof::from_bytes(&signature).unwrap();
            let bytes = task;
            let order = SignedTask { bytes, signature };
            let id = order.parse().unwrap().id;
            *sent = Some(in_state(&order, id, State::Waiting, 1));
        }
        told(json!(sent.as_ref().unwrap()))
    })
    .await;
    let shown = coordinator.run(&CREATE).await;
    assert_eq!(shown.status.code(), Some(1));
    let error = text(&shown.stderr);
    assert!(error.contains("took this one for an order"), "{error}");
    let asked = coordinator.asked();
    let id = submitted(&asked[0]);
    let cancel = format!("POST /tasks/{}/cancel", id.as_str().unwrap());
    assert_eq!(asked[1].line(), cancel);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_for_another_task_is_not_believed() {
    let coordinator = Scripted::start(|asked| {
        let (status, kind, body) = forecast(asked, &json!({"kind": "approved", "by": []}));
        let id = submitted(asked);
        (
            status,
            kind,
            body.replace(id.as_str().unwrap(), &TaskId([9; 16]).to_string()),
        )
    })
    .await;
    let shown = coordinator.run(&CREATE).await;
    assert_eq!(shown.status.code(), Some(1), "{}", text(&shown.stdout));
    assert!(shown.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_has_not_ended_in_time_is_pending_and_not_failed() {
    let id = TaskId([1; 16]);
    let order = order(&stranger(), &OURS, 1);
    let coordinator = Scripted::start(move |asked| {
        if asked.path == "/events" {
            return problem(429, "too-many-streams");
        }
        told(json!(in_state(&order, id, State::Approving, 2)))
    })
    .await;
    let id = id.to_string();
    for args in [
        &["task", "show", &id, "--wait", "--timeout", "1", "--json"][..],
        &["task", "watch", &id, "--timeout", "1"],
    ] {
        let pending = coordinator.run(args).await;
        assert_eq!(pending.status.code(), Some(4), "{args:?}");
        let error = text(&pending.stderr);
        assert!(error.contains("may still end"), "{error}");
    }
}

/// The states come by the stream, which breaks once; the end comes by the long poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_followed_by_the_stream_and_by_the_long_poll() {
    let id = TaskId([1; 16]);
    let order = order(&stranger(), &OURS, 1);
    for (last, code) in [
        (State::Completed, 0),
        (State::Rejected, 2),
        (State::Failed, 3),
        (State::Cancelled, 3),
    ] {
        let order = order.clone();
        let coordinator = Scripted::start(move |asked| {
            let at = |state, revision| in_state(&order, id, state, revision);
            let other = TaskId([9; 16]);
            if asked.path == "/events" {
                assert!(asked.stream);
                return streamed(&[
                    event("1", "task.offered", &at(State::Approving, 2)),
                    event(
                        "2",
                        "task.failed",
                        &in_state(&order, other, State::Failed, 9),
                    ),
                    event("3", "task.started", &at(State::Running, 3)),
                ]);
            }
            let waits = asked.query.contains("wait=");
            told(json!(if waits {
                at(last, 4)
            } else {
                at(State::Waiting, 1)
            }))
        })
        .await;
        let watched = coordinator.run(&["task", "watch", &id.to_string()]).await;
        assert_eq!(
            watched.status.code(),
            Some(code),
            "{}",
            text(&watched.stderr)
        );
        let lines = text(&watched.stdout);
        let ends: Vec<&str> = lines
            .lines()
            .filter_map(|line| line.split(": ").nth(1))
            .collect();
        assert_eq!(ends[..3], ["waiting for nodes", "nodes decide", "running"]);
        assert_eq!(ends.len(), 4, "one line a change: {lines}");
        let long_poll = &coordinator.asked().last().unwrap().query.clone();
        assert!(long_poll.ends_with("revision=3"), "{long_poll}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_over_a_broken_connection_and_none_is_told_twice() {
    let task = in_state(
        &order(&stranger(), &OURS, 1),
        TaskId([1; 16]),
        State::Running,
        1,
    );
    let coordinator = Scripted::start(move |asked| match asked.query.as_str() {
        "" => streamed(&[event("1", "task.started", &task)]),
        "after=1" => streamed(&[
            json!({"id": "evt_2", "cursor": "2", "type": "moon.rose", "at": 1, "data": {"moon": 1}}),
        ]),
        _ => problem(503, "stopping"),
    })
    .await;
    let followed = coordinator
        .run(&["event", "follow", "--json", "--timeout", "4"])
        .await;
    assert!(followed.status.success(), "{}", text(&followed.stderr));
    let lines = text(&followed.stdout);
    let kinds: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].take())
        .collect();
    assert_eq!(kinds, ["task.started", "moon.rose"]);
    let last = coordinator.asked().last().unwrap().query.clone();
    assert_eq!(last, "after=2");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tasks_are_followed_as_long_as_was_asked_for() {
    let task = in_state(
        &order(&stranger(), &OURS, 1),
        TaskId([1; 16]),
        State::Running,
        1,
    );
    let coordinator = Scripted::start(move |asked| match asked.query.as_str() {
        query if query.starts_with("after=") => problem(503, "stopping"),
        _ => streamed(&[event("1", "task.started", &task)]),
    })
    .await;
    let args = ["task", "watch", "--wallet", WALLET, "--timeout", "2"];
    let watched = coordinator.run(&[&args[..], &["--json"]].concat()).await;
    assert!(watched.status.success(), "{}", text(&watched.stderr));
    assert_eq!(json(&watched)["state"], "running");
    let query = &coordinator.asked()[0].query;
    let filter =
        format!("wallet={WALLET}&type=task.pending,task.voted,task.accepted,task.offered,");
    assert!(query.starts_with(&filter), "{query}");
    let both = [
        "task",
        "watch",
        &TaskId([1; 16]).to_string(),
        "--wallet",
        WALLET,
    ]
    .map(str::to_owned);
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    assert_eq!(coordinator.run(&both).await.status.code(), Some(1));
}

/// A server in between answers with JSON whatever is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_stream_events_are_followed_by_pages_from_the_end_of_the_feed() {
    let task = in_state(
        &order(&stranger(), &OURS, 1),
        TaskId([1; 16]),
        State::Running,
        1,
    );
    let coordinator = Scripted::start(move |asked| {
        let page = |events: &[Value], next: &str| told(json!({"events": events, "next": next}));
        match asked.query.as_str() {
            _ if asked.stream => page(&[], "0"),
            "type=webhook.test&limit=200" => page(&[], "100"),
            "after=100&type=webhook.test&limit=200" | "after=120&type=webhook.test&limit=200" => {
                page(&[], "120")
            }
            "after=120&limit=200&wait=25" => page(&[event("121", "task.started", &task)], "121"),
            _ => problem(503, "stopping"),
        }
    })
    .await;
    let followed = coordinator
        .run(&["event", "follow", "--json", "--timeout", "2"])
        .await;
    let lines = text(&followed.stdout);
    assert_eq!(
        lines.lines().count(),
        1,
        "{lines}{}",
        text(&followed.stderr)
    );
    assert!(lines.contains("evt_121"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_behind_a_cursor() {
    let coordinator = Scripted::start(|_| told(json!({"events": [], "next": "9"}))).await;
    let args = ["event", "list", "--after", "5", "--type", "task.completed"];
    let listed = coordinator.run(&[&args[..], &["--json"]].concat()).await;
    assert_eq!(json(&listed), json!({"events": [], "next": "9"}));
    let query = &coordinator.asked()[0].query;
    assert_eq!(query, "after=5&type=task.completed&limit=50");
}

/// The receiver verifies with the key that the command printed.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_forwarded_like_deliveries() {
    let task = in_state(
        &order(&stranger(), &OURS, 1),
        TaskId([1; 16]),
        State::Running,
        1,
    );
    let event = event("1", "task.started", &task);
    let told = event.clone();
    let coordinator = Scripted::start(move |asked| match asked.query.as_str() {
        "" => streamed(std::slice::from_ref(&told)),
        _ => problem(503, "stopping"),
    })
    .await;
    for signed in [true, false] {
        let got: Arc<Mutex<Vec<(axum::http::HeaderMap, String)>>> = Arc::default();
        let kept = got.clone();
        let app = axum::Router::new().fallback(async move |headers, body: String| {
            kept.lock().unwrap().push((headers, body));
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app).into_future());
        let mut args = vec![
            "webhook",
            "listen",
            "--forward",
            &url,
            "--json",
            "--timeout",
            "2",
        ];
        args.extend((!signed).then_some("--unsigned"));
        let listened = coordinator.run(&args).await;
        let lines = text(&listened.stdout);
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[1]["status"], 200, "{lines:?}");
        assert_eq!(lines[1]["event"], "evt_1");
        let got = got.lock().unwrap();
        assert_eq!(got.len(), 1);
        let (headers, body) = &got[0];
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), event);
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["webhook-id"], "evt_1");
        let time = headers["webhook-timestamp"].to_str().unwrap();
        if !signed {
            assert!(!headers.contains_key("webhook-signature"));
            assert_eq!(lines[0]["whpk"], Value::Null);
            continue;
        }
        let key = lines[0]["whpk"].as_str().unwrap().strip_prefix("whpk_");
        let key: [u8; 32] = STANDARD.decode(key.unwrap()).unwrap().try_into().unwrap();
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
        let signature = headers["webhook-signature"].to_str().unwrap();
        let signature = STANDARD.decode(signature.strip_prefix("v1a,").unwrap());
        let signature = ed25519_dalek::Signature::from_slice(&signature.unwrap()).unwrap();
        let text = format!("evt_1.{time}.{body}");
        key.verify_strict(text.as_bytes(), &signature).unwrap();
    }
    let elsewhere = ["webhook", "listen", "--forward", "http://example.com/"];
    assert_eq!(coordinator.run(&elsewhere).await.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_configured_by_their_routes() {
    let coordinator = Scripted::start(|asked| {
        let spec = json!({"url": "https://example.com/hook", "types": ["task.failed"], "format": "cobo-v2", "enabled": true});
        let hook = json!({"name": "ops", "spec": spec, "created": 1, "cursor": "7", "pending": 2, "failing_since": null});
        let delivery = json!({"event": "evt_1", "type": "webhook.test", "data": {"webhook": "ops"}, "at": 1, "state": "failed",
            "attempts": [{"at": 1, "status": 500, "error": "the receiver answered 500", "millis": 3}], "next_attempt": null});
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": "", "whpk": "whpk_A",
            "created": 1}]});
        match asked.line().as_str() {
            "GET /webhooks" => told(json!({"webhooks": [hook]})),
            "GET /webhooks/ops" | "PUT /webhooks/ops" => told(hook),
            "DELETE /webhooks/ops" => (204, coordinator::JSON, String::new()),
            "POST /webhooks/ops/test" => told(delivery),
            "POST /webhooks/ops/resend" => told(json!({"deliveries": 3, "more": false})),
            "GET /webhooks/ops/deliveries" => told(json!({"deliveries": [delivery], "next": "5"})),
            "GET /webhook-keys" | "POST /webhook-keys/rotate" => told(keys),
            _ => problem(404, "webhook-unknown"),
        }
    })
    .await;
    let put = [
        "webhook",
        "put",
        "ops",
        "--url",
        "https://example.com/hook",
        "--type",
        "task.failed",
        "--format",
        "cobo-v2",
    ];
    for (args, shown) in [
        (&["webhook", "list"][..], "ops   enabled  2"),
        (&put, "types       task.failed"),
        (&["webhook", "show", "ops"], "wallets     all"),
        (&["webhook", "delete", "ops"], "no webhook ops any more"),
        (&["webhook", "test", "ops"], "evt_1 is on its way"),
        (
            &["webhook", "resend", "ops", "--state", "failed"],
            "on their way: 3",
        ),
        (
            &["webhook", "deliveries", "ops", "--state", "failed"],
            "the receiver answered 500 (3 ms)",
        ),
        (&["webhook", "keys"], "whpk_A"),
        (&["webhook", "rotate-key"], "whpk_A"),
        (&["webhook", "rotate-key", "--kid", "k0"], "whpk_A"),
    ] {
        let done = coordinator.run(args).await;
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        let lines = text(&done.stdout);
        assert!(lines.contains(shown), "{args:?}: {lines}");
        json(&coordinator.run(&[args, &["--json"]].concat()).await);
    }
    let asked = coordinator.asked();
    let body = |line: &str| {
        let all = asked.iter().filter(|asked| asked.line() == line);
        all.map(|asked| asked.body.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        body("PUT /webhooks/ops")[0],
        json!({"url": "https://example.com/hook", "types": ["task.failed"], "format": "cobo-v2", "enabled": true})
    );
    assert_eq!(body("POST /webhooks/ops/resend")[0]["state"], "failed");
    let rotated = body("POST /webhook-keys/rotate");
    assert_eq!(
        (&rotated[0]["kid"], &rotated[2]["kid"]),
        (&json!("k1"), &json!("k0"))
    );
    let nothing = coordinator.run(&["webhook", "resend", "ops"]).await;
    assert_eq!(nothing.status.code(), Some(1));
    let elsewhere = coordinator.run(&["webhook", "show", "../tasks"]).await;
    assert_eq!(elsewhere.status.code(), Some(1));
    assert_eq!(coordinator.asked().len(), asked.len(), "neither was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_listed_with_what_they_say_of_themselves() {
    let coordinator = Scripted::start(|_| {
        let plugin = |name: &str, state: &str| {
            json!({"name": name, "state": state, "version": "1.2", "digest": null, "config": null, "remote": true,
                "guards": {"operations": [], "keys": [], "more_keys": 0, "schemes": []}})
        };
        told(json!({"nodes": [
            {"id": node(1), "name": "one", "online": false, "software": null, "since": null, "last_seen": 1_000,
             "reported": {"at": 1, "skew_ms": -3210, "status": {"software": "countersign-node 9.9", "clock": 1, "schemes": [],
                "plugins": [plugin("limits", "in-force"), plugin("geo", "broken")], "more_plugins": 3}}},
            {"id": node(2), "name": "two", "online": true, "software": "old", "since": 1},
        ]}))
    })
    .await;
    let lines = text(&coordinator.run(&["node", "list"]).await.stdout);
    for part in [
        "-3210 ms",
        "countersign-node 9.9",
        "d ago",
        "plugin limits 1.2: in force, may ask others",
        "plugin geo 1.2: BROKEN",
        "and 3 more plugins",
        "old",
    ] {
        assert!(lines.contains(part), "`{part}` is missing in\n{lines}");
    }
    let rows: Vec<&str> = lines.lines().collect();
    assert!(
        rows[1].starts_with("n1 ") && rows[5].starts_with("n2 "),
        "{lines}"
    );
}

#[tokio::test]
async fn scripts_and_man_pages_tell_of_every_command() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = crate::binary(dir.path(), &["completions", shell]).await;
        let script = text(&script.stdout);
        assert!(
            script.contains("webhook") && script.contains("dry-run"),
            "{shell}"
        );
    }
    let out = dir.path().join("man");
    let args = ["man", "--out", out.to_str().unwrap()];
    assert!(crate::binary(dir.path(), &args).await.status.success());
    let page = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(page("countersign.1").contains("Exit codes"));
    assert!(page("countersign-webhook-listen.1").contains("forward"));
    let short = crate::binary(dir.path(), &["-h"]).await;
    assert!(!text(&short.stdout).contains("completions"));
    let long = text(&crate::binary(dir.path(), &["--help"]).await.stdout);
    for word in [
        "completions",
        "man --out",
        "4  pending",
        "5  with --dry-run",
    ] {
        assert!(long.contains(word), "`{word}` is missing in\n{long}");
    }
}
