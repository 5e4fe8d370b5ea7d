//! After a run, each number that a coordinator's `/metrics` shows is the one that its lists and its
//! database have.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_coordinator::metrics::TABLE;
use countersign_coordinator::store::{Store, TaskFilter};
use countersign_link::{Identity, Link, PeerKey, dial};
use countersign_metrics::{Kind, Metric};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::invitation::Token;
use countersign_protocol::{CoordinatorId, Payload, PayloadKind, Scheme, decode, encode};
use countersign_tests::{Blueprint, Cluster, process};
use serde_json::{Value, json};

/// Metrics that count nothing that a list or the database has: sizes, times, versions.
const NO_COUNTS: [&str; 9] = [
    "build",
    "ready",
    "store_bytes",
    "disk_free_bytes",
    "disk_size_bytes",
    "certificate_expiry_timestamp_seconds",
    "influxdb_pushes_total",
    "node_clock_skew_seconds",
    "webhook_failing_since_timestamp_seconds",
];

/// Samples by their series, without the prefix.
type Shown = BTreeMap<String, f64>;

/// A cluster whose coordinator shows its metrics.
struct Stage {
    cluster: Cluster,
    metrics: SocketAddr,
    key: String,
}

impl Stage {
    async fn start() -> Self {
        let mut cluster = Cluster::prepare(Blueprint::default()).await.unwrap();
        let metrics = free_port();
        let file = cluster.coordinator_config();
        let text = std::fs::read_to_string(&file).unwrap();
        let text = format!("{text}metrics: {{listen: '{metrics}'}}\n");
        std::fs::write(file, text).unwrap();
        cluster.start_all().await.unwrap();
        let key = std::fs::read_to_string(cluster.dir().join("api.key")).unwrap();
        Self {
            cluster,
            metrics,
            key: key.trim().to_owned(),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let head = format!("authorization: Bearer {}\r\n", self.key);
        let (status, text) = request(self.cluster.http(), method, path, &head, &body);
        assert!((200..300).contains(&status), "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null)
    }

    fn list(&self, path: &str, name: &str) -> Vec<Value> {
        self.get(path)[name].as_array().unwrap().clone()
    }

    /// Every sample that is not of a histogram's classes.
    fn shown(&self) -> Shown {
        let (status, text) = request(self.metrics, "GET", "/metrics", "", "");
        assert_eq!(status, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter(|line| !line.contains("_bucket{"));
        let samples = samples.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let series = series.strip_prefix("countersign_coordinator_")?;
            Some((series.to_owned(), value.parse().unwrap()))
        });
        samples.collect()
    }

    fn invite(&self, name: &str) -> Token {
        let mut invite = Command::new(process::program("countersign-coordinator").unwrap());
        invite.args(["invite", "--requester", name, "--address"]);
        invite.arg(self.cluster.quic().to_string()).arg("--config");
        invite.arg(self.cluster.coordinator_config());
        let text = process::expect_success(&mut invite).unwrap();
        text.trim().parse().unwrap()
    }

    /// Shows a token. Guests are let in a moment after the invitation was made.
    async fn show(&self, seed: u8, token: &Token) -> ToNode {
        let frame = encode(&FromNode::Join {
            token: Box::new(token.clone()),
        });
        let guest = Arc::new(Identity::from_seed(&[seed; 32]).unwrap());
        let id: CoordinatorId = self.cluster.coordinator_id().parse().unwrap();
        let coordinator = PeerKey(*id.as_bytes());
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match dial::connect(self.cluster.quic(), &guest, coordinator, &frame).await {
                Ok(Link { welcome, .. }) => return decode(&welcome).unwrap(),
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn request(to: SocketAddr, method: &str, path: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, body.to_owned())
}

/// Takes every delivery.
fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || take(stream));
        }
    });
    address
}

fn take(mut stream: TcpStream) {
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        seen.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split_once("content-length: ").unwrap().1;
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if body.len() >= length {
            let answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            return stream.write_all(answer.as_bytes()).unwrap();
        }
    }
}

/// Tasks of every kind of end, two webhooks, guests, and a stream.
async fn run(stage: &mut Stage) -> TcpStream {
    for (name, address) in [("good", receiver()), ("bad", free_port())] {
        let spec = json!({"url": format!("http://{address}/hook")});
        stage.ask("PUT", &format!("/v1/webhooks/{name}"), &spec);
    }
    let cluster = &stage.cluster;
    let wallet = cluster.create_wallet("counted", Scheme::Ed25519, 2).await;
    let wallet = wallet.unwrap().key;
    let order = cluster.order(wallet, "m/1", b"pay", Some(&[0, 1])).unwrap();
    for _ in 0..2 {
        cluster.client.sign(&order, |_| {}).await.unwrap();
    }
    let blind = countersign_client::SignOrder {
        payload: Payload::new(PayloadKind::Digest, vec![7; 32]),
        ..order
    };
    crate::refusal(cluster.client.sign(&blind, |_| {}).await);
    let daemon = stage.cluster.nodes[2].daemon();
    assert!(daemon.terminate(Duration::from_secs(30)).unwrap().success());
    stage.cluster.nodes[2].daemon = None;
    while stage
        .list("/v1/nodes", "nodes")
        .iter()
        .all(|node| node["online"] == true)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut waiting = Vec::new();
    for name in ["waits", "is-cancelled"] {
        let new = stage.cluster.new_wallet(name, Scheme::Ed25519, 2).unwrap();
        let operation = countersign_protocol::Operation::KeyGen(countersign_protocol::KeyGen {
            name: new.name,
            scheme: new.scheme,
            committee: new.committee,
            threshold: new.threshold,
        });
        let order = stage.cluster.sign_order(operation).unwrap();
        let view = stage.cluster.client.api().submit(&order).await.unwrap();
        waiting.push(view.summary.id);
    }
    stage.ask(
        "POST",
        &format!("/v1/tasks/{}/cancel", waiting[1]),
        &Value::Null,
    );

    let token = stage.invite("desk");
    let mut wrong = stage.invite("other");
    wrong.mac[0] ^= 1;
    let refused = stage.show(8, &wrong).await;
    assert!(matches!(refused, ToNode::NotJoined { .. }), "{refused:?}");
    for _ in 0..2 {
        let told = stage.show(7, &token).await;
        assert!(matches!(told, ToNode::Contacts { .. }), "{told:?}");
    }

    let mut stream = TcpStream::connect(stage.cluster.http()).unwrap();
    let head = format!(
        "GET /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\r\n",
        stage.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    stream
}

/// What the lists say, as the metrics would.
fn counted(stage: &Stage) -> Shown {
    let mut counts = Shown::new();
    let mut count = |series: String, more: usize| *counts.entry(series).or_default() += more as f64;
    let nodes = stage.list("/v1/nodes", "nodes");
    count("nodes".into(), nodes.len());
    for node in &nodes {
        let name = node["name"].as_str().unwrap();
        let online = usize::from(node["online"] == true);
        count("nodes_connected".into(), online);
        count(format!("node_connected{{node=\"{name}\"}}"), online);
    }
    let mut open = 0;
    for task in stage.list("/v1/tasks?limit=200", "tasks") {
        let kind = task["operation"].as_str().unwrap().to_ascii_lowercase();
        let state = task["state"].as_str().unwrap();
        count(format!("tasks{{kind=\"{kind}\",state=\"{state}\"}}"), 1);
        open += usize::from(task["ended"].is_null());
        if let Some(code) = task["reason"]["code"].as_str() {
            let code = if task["reason"]["plugin"].is_null() {
                code
            } else {
                "plugin"
            };
            count(format!("task_reasons_total{{code=\"{code}\"}}"), 1);
        }
        if !task["ended"].is_null() {
            count(
                format!("task_stage_seconds_count{{kind=\"{kind}\",stage=\"total\"}}"),
                1,
            );
        }
    }
    count("tasks_open".into(), open);
    count("tasks_limit".into(), 1000);
    let events = stage.list("/v1/events?limit=200", "events");
    count("feed_head".into(), events.len());
    let webhooks = stage.list("/v1/webhooks", "webhooks");
    count("webhooks".into(), webhooks.len());
    for webhook in &webhooks {
        let name = webhook["name"].as_str().unwrap();
        let path = format!("/v1/webhooks/{name}/deliveries?limit=200");
        let deliveries = stage.list(&path, "deliveries");
        let waiting = deliveries
            .iter()
            .filter(|delivery| delivery["state"] == "pending");
        count(
            format!("webhook_waiting{{webhook=\"{name}\"}}"),
            waiting.count(),
        );
        for attempt in deliveries
            .iter()
            .flat_map(|delivery| delivery["attempts"].as_array().unwrap())
        {
            let result = if attempt["error"].is_null() {
                "delivered"
            } else {
                "failed"
            };
            count(format!("webhook_attempts_total{{result=\"{result}\"}}"), 1);
            count(
                format!("webhook_attempt_seconds_count{{webhook=\"{name}\"}}"),
                1,
            );
        }
    }
    let audit = stage.list("/v1/audit?limit=200", "entries");
    let acts = |action: &str| {
        audit
            .iter()
            .filter(|entry| entry["action"] == action)
            .count()
    };
    let put = "route=\"/v1/webhooks/{name}\"";
    count(
        format!("requests_total{{{put},status=\"2xx\"}}"),
        acts("webhook.put"),
    );
    count(
        format!("request_seconds_count{{{put}}}"),
        acts("webhook.put"),
    );
    let folder = stage
        .cluster
        .coordinator_config()
        .with_file_name("requesters.yaml");
    let joined = std::fs::read_to_string(folder).unwrap();
    count(
        "guests_total{result=\"joined\"}".into(),
        joined.matches("\"invitation\"").count(),
    );
    counts
}

/// The numbers of which no list tells, but the run does.
fn known() -> Shown {
    let known = [
        ("guests_total{result=\"told-again\"}", 1.0),
        ("guests_total{result=\"refused\"}", 1.0),
        ("streams_open", 1.0),
        ("series_left_out", 0.0),
    ];
    known
        .map(|(series, value)| (series.to_owned(), value))
        .into()
}

fn metric_of(series: &str) -> &str {
    let name = series.split('{').next().unwrap();
    name.strip_suffix("_count").unwrap_or(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_a_coordinator_are_the_numbers_of_its_lists_and_its_database() {
    let mut stage = Stage::start().await;
    let _stream = run(&mut stage).await;
    // Deliveries are on their way, so both are looked at until they agree.
    let until = Instant::now() + Duration::from_secs(60);
    let expected = loop {
        let mut expected = counted(&stage);
        expected.extend(known());
        let shown = stage.shown();
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(series, value)| shown.get(*series) != Some(value))
            .map(|(series, value)| (series, value, shown.get(series)))
            .collect();
        let are_delivered = expected.contains_key("webhook_attempts_total{result=\"failed\"}")
            && expected["webhook_waiting{webhook=\"good\"}"] == 0.0;
        if wrong.is_empty() && are_delivered {
            let zero = |series: &str, value: f64| value == 0.0 || expected.contains_key(series);
            let unexpected = shown.iter().filter(|(series, value)| {
                let counts = [
                    "tasks{",
                    "task_reasons",
                    "guests",
                    "webhook_attempts",
                    "turned_away",
                ];
                counts.iter().any(|count| series.starts_with(count)) && !zero(series, **value)
            });
            assert_eq!(unexpected.collect::<Vec<_>>(), [], "no list has these");
            break expected;
        }
        assert!(Instant::now() < until, "{wrong:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // 3 wallets were ordered, and 3 signatures.
    for (kind, state, count) in [
        ("keygen", "completed", 1.0),
        ("keygen", "cancelled", 1.0),
        ("keygen", "waiting", 1.0),
        ("keysign", "completed", 2.0),
        ("keysign", "rejected", 1.0),
    ] {
        let series = format!("tasks{{kind=\"{kind}\",state=\"{state}\"}}");
        assert_eq!(expected.get(&series), Some(&count), "{series}");
    }
    assert_eq!(expected["guests_total{result=\"joined\"}"], 1.0);
    let compared: BTreeSet<&str> = expected.keys().map(|series| metric_of(series)).collect();
    for metric in Metric::all(TABLE) {
        let name = metric
            .name
            .strip_prefix("countersign_coordinator_")
            .unwrap();
        let absent = name == "turned_away_total";
        let is_listed = NO_COUNTS.contains(&name) || absent;
        assert_ne!(compared.contains(name), is_listed, "{name}");
        assert!(metric.kind != Kind::Histogram || !is_listed, "{name}");
    }

    let mut coordinator = stage.cluster.coordinator.take().unwrap();
    assert!(
        coordinator
            .terminate(Duration::from_secs(30))
            .unwrap()
            .success()
    );
    let database = stage
        .cluster
        .coordinator_config()
        .with_file_name("coordinator.redb");
    let store = Store::open(&database).unwrap();
    let tasks = store
        .tasks(&TaskFilter::default(), None, 1_000)
        .unwrap()
        .tasks;
    let of_tasks = expected
        .iter()
        .filter(|(series, _)| series.starts_with("tasks{"));
    let shown: f64 = of_tasks.map(|(_, count)| count).sum();
    assert_eq!(tasks.len() as f64, shown);
    assert_eq!(store.last_event().unwrap() as f64, expected["feed_head"]);
    assert_eq!(store.webhooks().unwrap().len() as f64, expected["webhooks"]);
}
