//! Tests of the text and the listener, with fake snapshots.

use std::time::{Duration, UNIX_EPOCH};

use countersign_host::{Code, Condition, Counts, EntryStatus, Health, LATENCY_MICROS};
use countersign_protocol::{KeyId, UnixMillis};
use countersign_store::ReadJournalError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::check_ups::Round;

fn plugin(name: &str, condition: Condition) -> EntryStatus {
    let mut latency = [0; LATENCY_MICROS.len() + 1];
    (latency[1], latency[LATENCY_MICROS.len()]) = (5, 1);
    let health = Health {
        at: UNIX_EPOCH + Duration::from_secs(7),
        result: Ok(()),
    };
    EntryStatus {
        name: name.into(),
        version: Some("1.2.0".into()),
        digest: Some([1; 32]),
        revision: Some([2; 32]),
        anchors: Vec::new(),
        condition,
        counts: Counts {
            approved: 3,
            rejected: 2,
            failed: 1,
            latency,
            micros: 2_500_000,
            slowest: 2_000_000,
            failures: vec![(Code::Timeout, 1)],
            ..Counts::default()
        },
        last_error: None,
        last_code: Some("made-up-by-the-plugin".into()),
        health: Some(health),
    }
}

fn damaged() -> (KeyId, String) {
    (KeyId::from_bytes([2; 16]).unwrap(), "cut".into())
}

pub(super) fn snapshot() -> Snapshot {
    let reason = String::from("the file is gone");
    Snapshot {
        stopping: false,
        failed: false,
        twin: false,
        trouble: None,
        online: true,
        journal: Ok(JournalSnapshot {
            active_keys: 4,
            pending_keys: 1,
            released_keys: 2,
            unsettled: 1,
            quarantined: 3,
            stopped: 6,
            outbox: 9,
        }),
        sessions: 2,
        plugins: vec![
            plugin("rules", Condition::InForce),
            plugin("next", Condition::Shadow),
            EntryStatus {
                version: None,
                health: None,
                ..plugin(
                    "gone",
                    Condition::Broken {
                        code: Code::Missing,
                        reason,
                    },
                )
            },
        ],
        receivers: vec![crate::events::LiveReceiver {
            name: "jwt-events:1".into(),
            version: None,
            digest: None,
            trouble: Some("not there".into()),
        }],
        swaps: (5, 1),
        pushes: Some((8, 2)),
        check_up: Some(Round {
            at: UnixMillis(7_500),
            intact: 4,
            damaged: vec![damaged()],
        }),
        tasks: vec![
            ("KeyGen", Ended::Succeeded, 1),
            ("KeySign", Ended::Refused, 8),
        ],
    }
}

/// A node that is ready.
fn sound() -> Snapshot {
    Snapshot {
        plugins: vec![plugin("rules", Condition::InForce)],
        ..snapshot()
    }
}

fn text_of(names: &Metrics) -> String {
    text::text(snapshot(), names).unwrap()
}

#[test]
fn what_was_counted_is_in_the_text() {
    let text = text_of(&Metrics::default());
    for line in [
        "countersign_ready 0.0",
        "countersign_online 1.0",
        "countersign_sessions 2.0",
        "countersign_outbox 9.0",
        r#"countersign_keys{status="active"} 4.0"#,
        r#"countersign_keys{status="released"} 2.0"#,
        "countersign_reshares_unsettled 1.0",
        "countersign_peers_quarantined 3.0",
        "countersign_keys_stopped 6.0",
        "countersign_shares_intact 4.0",
        "countersign_shares_damaged 1.0",
        "countersign_check_up_timestamp_seconds 7.5",
        r#"countersign_tasks_total{kind="keysign",outcome="refused"} 8"#,
        r#"countersign_plugin_swaps_total{result="refused"} 1"#,
        r#"countersign_plugin_evaluations_total{plugin="rules",version="1.2.0",verdict="rejected"} 2"#,
        r#"countersign_plugin_failures_total{plugin="rules",version="1.2.0",code="plugin-timeout"} 1"#,
        r#"countersign_plugin_evaluation_seconds_sum{plugin="rules",version="1.2.0"} 2.5"#,
        r#"countersign_plugin_evaluation_seconds_count{plugin="rules",version="1.2.0"} 6"#,
        r#"countersign_plugin_evaluation_seconds_bucket{le="0.0001",plugin="rules",version="1.2.0"} 5"#,
        r#"countersign_plugin_evaluation_seconds_bucket{le="+Inf",plugin="rules",version="1.2.0"} 6"#,
        r#"countersign_plugin_broken{plugin="gone",version=""} 1.0"#,
        r#"countersign_plugin_broken{plugin="rules",version="1.2.0"} 0.0"#,
        r#"countersign_plugin_healthy{plugin="rules",version="1.2.0"} 1.0"#,
        r#"countersign_plugin_probed_timestamp_seconds{plugin="rules",version="1.2.0"} 7.0"#,
        r#"countersign_receiver_broken{receiver="jwt-events:1"} 1.0"#,
        r#"countersign_influxdb_pushes_total{result="failed"} 2"#,
    ] {
        assert!(
            text.lines().any(|there| there == line),
            "{line} in:\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(
        !text.contains("made-up"),
        "codes of plugins are without bound"
    );
}

#[test]
fn names_and_labels_are_the_operators() {
    let names = Metrics {
        labels: vec![
            ("job".into(), "tss".into()),
            ("instance".into(), "a\"b\\\n".into()),
        ],
        prefix: "acme_".into(),
        ..Metrics::default()
    };
    let text = text_of(&names);
    assert!(
        text.contains(r#"acme_countersign_online{job="tss",instance="a_b__"} 1.0"#),
        "{text}"
    );
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    assert!(samples.clone().count() > 30);
    assert!(
        samples
            .clone()
            .all(|line| line.starts_with("acme_countersign_")),
        "{text}"
    );
    assert!(
        samples
            .clone()
            .all(|line| line.contains(r#"job="tss",instance="a_b__""#)),
        "{text}"
    );
}

#[test]
fn every_metric_is_documented_with_an_alert_rule() {
    let guide = include_str!("../../../docs/metrics.md");
    let text = text_of(&Metrics::default());
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in names {
        let row = guide
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}")));
        let alert = format!("# {name}\n");
        assert!(
            row.is_some() && guide.contains(&alert),
            "docs/metrics.md lacks {name}"
        );
    }
}

#[test]
fn a_node_is_ready_if_nothing_keeps_it_from_its_work() {
    assert!(sound().not_ready().is_empty());
    let broken = Snapshot {
        plugins: snapshot().plugins,
        ..sound()
    };
    let offline = Snapshot {
        online: false,
        ..sound()
    };
    let failed = Snapshot {
        failed: true,
        ..sound()
    };
    let full = "the journal cannot be written (disk full)".to_owned();
    let damaged = || Arc::new(ReadJournalError::Damaged { table: "tasks" });
    let unwritable = Snapshot {
        trouble: Some(full),
        failed: true,
        journal: Err(damaged()),
        ..sound()
    };
    let unreadable = Snapshot {
        journal: Err(damaged()),
        ..sound()
    };
    let stopping = Snapshot {
        stopping: true,
        ..sound()
    };
    for (snapshot, word) in [
        (broken, "plugin gone: the file is gone [plugin-missing]"),
        (offline, "coordinator"),
        (
            unreadable,
            "store: a record in the journal's table `tasks` is damaged",
        ),
        (
            unwritable,
            "store: the journal cannot be written (disk full)",
        ),
        (failed, "a part of the node has died"),
        (stopping, "stopping"),
    ] {
        let reasons = snapshot.not_ready();
        assert!(
            reasons.len() == 1 && reasons[0].contains(word),
            "{reasons:?}"
        );
    }
}

/// Sends a request over a real connection and returns the whole answer.
async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_listener_answers_three_questions_and_ends_when_it_is_told() {
    let wanted = Metrics {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Metrics::default()
    };
    let listener = listen(&wanted)
        .await
        .unwrap()
        .expect("the operator wants it");
    let address = listener.local_addr().unwrap();
    let snapshot = Arc::new(std::sync::Mutex::new(snapshot()));
    let seen = snapshot.clone();
    let look: Look = Arc::new(move || {
        let snapshot = seen.lock().unwrap().clone();
        Box::pin(async move { snapshot })
    });
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        listener,
        wanted,
        look,
        Bounds::default(),
        stop.clone(),
    ));
    assert!(get(address, "/live").await.starts_with("HTTP/1.1 200"));
    let not_ready = get(address, "/ready").await;
    assert!(
        not_ready.starts_with("HTTP/1.1 503") && not_ready.contains("plugin gone"),
        "{not_ready}"
    );
    *snapshot.lock().unwrap() = sound();
    let ready = get(address, "/ready").await;
    assert!(
        ready.starts_with("HTTP/1.1 200") && ready.ends_with("ready\n"),
        "{ready}"
    );
    let metrics = get(address, "/metrics").await;
    assert!(
        metrics.contains("application/openmetrics-text"),
        "{metrics}"
    );
    assert!(metrics.contains("countersign_ready 1.0"), "{metrics}");
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
    stop.cancel();
    served.await.unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_store_that_does_not_answer_keeps_nobody_waiting() {
    let wanted = Metrics {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Metrics::default()
    };
    let listener = listen(&wanted).await.unwrap().unwrap();
    let address = listener.local_addr().unwrap();
    let look: Look = Arc::new(|| Box::pin(std::future::pending()));
    let bounds = Bounds {
        look: Duration::from_millis(50),
        ..Bounds::default()
    };
    tokio::spawn(serve(
        listener,
        wanted,
        look,
        bounds,
        CancellationToken::new(),
    ));
    for path in ["/ready", "/metrics"] {
        let answer = get(address, path).await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("store: "),
            "{answer}"
        );
    }
    assert!(get(address, "/live").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn nobody_listens_unless_the_operator_wants_it() {
    assert!(listen(&Metrics::default()).await.unwrap().is_none());
}
