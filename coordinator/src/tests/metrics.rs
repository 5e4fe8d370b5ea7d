//! After a run, the metrics agree with the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::StatusCode;
use countersign_metrics::{Metric, Settings, Value as Measured, text};
use countersign_protocol::control::FromNode;
use countersign_protocol::{NodeStatus, Outcome, Refusal};
use serde_json::json;

use super::world::*;
use crate::clock;
use crate::metrics::{Sources, TABLE};
use crate::store::{Store, TaskFilter};
use crate::testkit::*;
use crate::webhook;

fn sources(world: &World, dir: &Path) -> Sources {
    Sources {
        registry: world.app.registry.clone(),
        webhooks: world.app.webhooks.clone(),
        streams: world.app.streams.clone(),
        database: dir.join("coordinator.redb"),
        tls: None,
    }
}

/// Every sample that is not of a histogram's classes, by its text.
fn shown(world: &World, dir: &Path) -> BTreeMap<String, f64> {
    let report = sources(world, dir).report();
    assert!(report.not_ready.is_empty(), "{:?}", report.not_ready);
    let text = text(TABLE, &report.sheet, &Settings::default());
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let series = series.strip_prefix("countersign_coordinator_").unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

async fn durable(world: &World) {
    let store = world.app.registry.store();
    store.durable(store.now()).await.unwrap();
}

fn made_up() -> Refusal {
    Refusal {
        code: "made-up\"} 1".into(),
        reason: "no".into(),
        plugin: Some("rules".into()),
    }
}

#[tokio::test]
async fn the_values_after_a_run_are_those_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let signers = crate::testkit::nodes()[1..].to_vec();
    world
        .post(&new_task(3, keysign(wallet, Some(signers.clone()))))
        .await;
    let signed = nodes[1].approve().await;
    nodes[2].approve().await;
    nodes[1].report(signed, Outcome::Signed(signature())).await;
    world.ended(signed).await;
    world
        .post(&new_task(4, keysign(wallet, Some(signers.clone()))))
        .await;
    let refused = new_task(4, keysign(wallet, Some(signers.clone())))
        .parse()
        .unwrap()
        .id;
    let no = FromNode::Decision {
        task: refused,
        refusal: Some(made_up()),
        verdicts: vec![],
    };
    nodes[1].say(no).await;
    world.ended(refused).await;
    world
        .post(&new_task(5, keysign(wallet, Some(signers))))
        .await;
    nodes.remove(0).disconnect().await;
    durable(&world).await;

    let store = world.app.registry.store();
    let page = store.tasks(&TaskFilter::default(), None, 1_000).unwrap();
    let mut stored = BTreeMap::<String, f64>::new();
    for (entry, _) in &page.tasks {
        let state = serde_json::to_value(entry.state).unwrap();
        let kind = entry.subject.operation.name();
        let series = format!("tasks{{kind=\"{kind}\",state={state}}}");
        *stored.entry(series).or_default() += 1.0;
    }
    assert_eq!(stored.len(), 4, "{stored:?}");
    let shown = shown(&world, dir.path());
    let tasks = shown
        .iter()
        .filter(|(series, count)| series.starts_with("tasks{") && **count > 0.0);
    let tasks: BTreeMap<_, _> = tasks
        .map(|(series, count)| (series.clone(), *count))
        .collect();
    assert_eq!(tasks, stored);
    let value = |series: &str| shown.get(series).copied();
    assert_eq!(value("tasks_open"), Some(1.0));
    assert_eq!(value("tasks_limit"), Some(100.0));
    assert_eq!(value("feed_head"), Some(store.last_event().unwrap() as f64));
    assert_eq!(
        (value("nodes"), value("nodes_connected")),
        (Some(3.0), Some(2.0))
    );
    assert_eq!(value(r#"node_connected{node="a"}"#), Some(0.0));
    assert_eq!(value(r#"node_connected{node="b"}"#), Some(1.0));
    assert_eq!(value(r#"task_reasons_total{code="plugin"}"#), Some(1.0));
    let total = |kind| format!("task_stage_seconds_count{{kind=\"{kind}\",stage=\"total\"}}");
    assert_eq!(value(&total("keygen")), Some(1.0));
    assert_eq!(value(&total("keysign")), Some(2.0));
    let bytes = std::fs::metadata(dir.path().join("coordinator.redb"))
        .unwrap()
        .len();
    assert_eq!(value("store_bytes"), Some(bytes as f64));
    assert_eq!(value("webhooks"), Some(0.0));
    assert_eq!(value("streams_open"), Some(0.0));
    let posts = value(r#"requests_total{route="/v1/tasks",status="2xx"}"#);
    assert_eq!(posts, Some(4.0));
    assert_eq!(value(r#"request_seconds_count{route="/v1/tasks"}"#), posts);
}

#[tokio::test]
async fn the_tally_of_a_store_that_is_opened_again_is_the_one_that_it_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy.redb");
    let before = {
        let world = World::open(dir.path(), |_| ());
        let mut nodes = three(&world).await;
        world.make_wallet(&mut nodes).await;
        for id in 10..15 {
            world.post(&new_task(id, keygen())).await;
        }
        durable(&world).await;
        std::fs::copy(dir.path().join("coordinator.redb"), &file).unwrap();
        world.app.registry.store().tally()
    };
    assert_eq!(before.iter().map(|(_, count)| count).sum::<u64>(), 6);
    assert_eq!(Store::open(&file).unwrap().tally(), before);
}

/// Anybody can ask for any path with any method, and nodes and admins can choose names.
#[tokio::test]
async fn callers_and_nodes_cannot_make_series_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let series = |world: &World| -> BTreeSet<String> {
        let all = shown(world, dir.path()).into_keys();
        all.filter(|series| !series.contains("status=")).collect()
    };
    let node = FakeNode::connect(&world, 0, vec![]).await;
    for key in [None, Some(&*world.key), Some(&*world.admin)] {
        world.ask(key, "GET", "/v1/nothing", String::new()).await;
        world.ask(key, "GET", "/nothing", String::new()).await;
        world
            .ask(key, "GET", "/v1/tasks/nothing", String::new())
            .await;
    }
    let before = series(&world);
    for number in 0..300 {
        for path in ["/v1/a", "/b", "/v1/tasks/c", "/v1/wallets/d/e"] {
            let path = format!("{path}-{number}%22%7D");
            let method = format!("M{number}");
            world.ask(None, &method, &path, String::new()).await;
            world
                .ask(Some(&world.key), "GET", &path, String::new())
                .await;
        }
        let status = NodeStatus {
            software: format!("made-up-{number}"),
            clock: clock::now(),
            schemes: Vec::new(),
            plugins: Vec::new(),
            more_plugins: 0,
            bundles: Vec::new(),
        };
        let status = Box::new(status);
        node.say(FromNode::Status { status }).await;
    }
    let after = series(&world);
    let new: Vec<_> = after.difference(&before).collect();
    let skew = |series: &&&String| !series.starts_with("node_clock_skew_seconds{node=\"a\"}");
    assert_eq!(new.iter().filter(skew).count(), 0, "{new:?}");
    let status = shown(&world, dir.path());
    let statuses = status
        .keys()
        .filter(|series| series.starts_with("requests_total"));
    assert!(statuses.count() < 20, "{status:?}");
}

#[tokio::test]
async fn a_webhook_that_is_deleted_leaves_no_series_behind() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    tokio::spawn(webhook::serve(
        world.app.webhooks.clone(),
        world.stop.subscribe(),
    ));
    let admin = async |method: &str, path: &str, body: String| {
        let (status, _) = world.ask(Some(&world.admin), method, path, body).await;
        status
    };
    let spec = json!({"url": format!("http://{closed}/hook")});
    let made = admin("PUT", "/v1/webhooks/ops", spec.to_string()).await;
    assert_eq!(made, StatusCode::CREATED);
    let tested = admin("POST", "/v1/webhooks/ops/test", String::new()).await;
    assert!(tested.is_success(), "{tested}");
    let of_webhook = |shown: &BTreeMap<String, f64>| -> Vec<String> {
        let all = shown
            .keys()
            .filter(|series| series.contains("webhook=\"ops\""));
        all.filter(|series| !series.contains("_bucket"))
            .cloned()
            .collect()
    };
    let failed = r#"webhook_attempts_total{result="failed"}"#;
    let since = r#"webhook_failing_since_timestamp_seconds{webhook="ops"}"#;
    let shown_then = loop {
        let shown = shown(&world, dir.path());
        if shown.contains_key(since) {
            break shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert!(shown_then[since] > 1e9, "{shown_then:?}");
    assert_eq!(shown_then[r#"webhook_waiting{webhook="ops"}"#], 1.0);
    assert_eq!(of_webhook(&shown_then).len(), 4, "{shown_then:?}");
    let gone = admin("DELETE", "/v1/webhooks/ops", String::new()).await;
    assert!(gone.is_success(), "{gone}");
    let shown = shown(&world, dir.path());
    assert!(of_webhook(&shown).is_empty(), "{shown:?}");
    assert_eq!(
        shown[failed], shown_then[failed],
        "what happened stays counted"
    );
}

#[tokio::test]
async fn every_label_that_is_shown_has_a_value_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    world.make_wallet(&mut nodes).await;
    world.ask(None, "GET", "/v1/tasks", String::new()).await;
    let sheet = sources(&world, dir.path()).report().sheet;
    let mut seen = 0;
    for metric in Metric::all(TABLE) {
        for (values, value) in sheet.series(metric) {
            assert!(!matches!(value, Measured::Number(number) if number.is_nan()));
            for (label, value) in metric.labels.iter().zip(values) {
                let listed = label.values.is_empty() || label.values.contains(&&**value);
                assert!(listed, "{}: {}={value}", metric.name, label.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");
}
