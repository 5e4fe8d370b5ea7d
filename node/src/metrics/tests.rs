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
        scope: Default::default(),
        remote: false,
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

fn lines_of(snapshot: Snapshot) -> Vec<String> {
    let text = text::text(snapshot, &Metrics::default()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The samples whose names begin so.
fn samples(snapshot: Snapshot, name: &str) -> Vec<String> {
    let lines = lines_of(snapshot).into_iter();
    lines.filter(|line| line.starts_with(name)).collect()
}

fn unreadable() -> Snapshot {
    Snapshot {
        journal: Err(Arc::new(ReadJournalError::Damaged { table: "tasks" })),
        ..sound()
    }
}

#[test]
fn figures_of_a_journal_that_cannot_be_read_are_absent_and_not_zero() {
    let lines = lines_of(unreadable());
    let has = |line: &str| lines.iter().any(|there| there == line);
    assert!(has("countersign_store_readable 0.0") && has("countersign_ready 0.0"));
    for name in [
        "keys",
        "keys_stopped",
        "outbox",
        "peers_quarantined",
        "reshares_unsettled",
    ] {
        let name = format!("countersign_{name}");
        assert!(
            !lines.iter().any(|line| line.starts_with(&name)),
            "{name} says something that nobody knows"
        );
    }
    assert!(has("countersign_sessions 2.0"), "the rest is still told");
}

#[test]
fn a_store_that_cannot_be_written_shows_while_it_can_be_read() {
    let full = Snapshot {
        trouble: Some("disk full".into()),
        ..sound()
    };
    let lines = lines_of(full);
    for line in [
        "countersign_store_readable 1.0",
        "countersign_store_writable 0.0",
        "countersign_ready 0.0",
    ] {
        assert!(lines.iter().any(|there| there == line), "{line}");
    }
}

#[test]
fn shares_are_not_called_intact_before_the_first_check_up() {
    let before = Snapshot {
        check_up: None,
        ..sound()
    };
    assert!(samples(before.clone(), "countersign_shares").is_empty());
    assert!(samples(before, "countersign_check_up").is_empty());
}

#[test]
fn pushes_are_counted_only_where_an_influxdb_is_configured() {
    let without = Snapshot {
        pushes: None,
        ..sound()
    };
    assert!(samples(without, "countersign_influxdb").is_empty());
    assert_eq!(
        samples(sound(), "countersign_influxdb_pushes_total{").len(),
        2
    );
}

#[test]
fn only_shadows_are_compared() {
    let mut snapshot = snapshot();
    for entry in &mut snapshot.plugins {
        (entry.counts.differed, entry.counts.skipped) = (4, 5);
    }
    let expected = [
        r#"countersign_plugin_shadows_total{plugin="next",version="1.2.0",result="differed"} 4"#,
        r#"countersign_plugin_shadows_total{plugin="next",version="1.2.0",result="skipped"} 5"#,
    ];
    assert_eq!(
        samples(snapshot, "countersign_plugin_shadows_total"),
        expected
    );
}

#[test]
fn a_plugin_that_was_never_probed_is_neither_healthy_nor_ill() {
    let mut snapshot = snapshot();
    let ill = Health {
        at: UNIX_EPOCH - Duration::from_secs(1),
        result: Err((Code::Unavailable, "away".into())),
    };
    snapshot.plugins[1].health = Some(ill);
    let healthy = samples(snapshot.clone(), "countersign_plugin_healthy{");
    let expected = [
        r#"countersign_plugin_healthy{plugin="rules",version="1.2.0"} 1.0"#,
        r#"countersign_plugin_healthy{plugin="next",version="1.2.0"} 0.0"#,
    ];
    assert_eq!(healthy, expected);
    let probed = samples(snapshot, "countersign_plugin_probed_timestamp_seconds{");
    assert!(
        probed[1].ends_with(" 0.0"),
        "a clock before 1970 is shown as 0: {probed:?}"
    );
}

#[test]
fn labels_of_plugins_and_receivers_cannot_break_the_format() {
    let mut snapshot = snapshot();
    snapshot.plugins.truncate(1);
    snapshot.plugins[0].name = "a\"} 1\n# EOF\\".into();
    snapshot.plugins[0].version = Some("1\r\u{7f}".into());
    snapshot.receivers[0].name = "b\"\n".into();
    let lines = lines_of(snapshot);
    let ends = lines.iter().filter(|line| line.starts_with("# EOF"));
    assert_eq!(ends.count(), 1);
    let broken = r#"countersign_plugin_broken{plugin="a_} 1_# EOF_",version="1__"} 0.0"#;
    assert!(lines.iter().any(|line| line == broken), "{lines:?}");
    let receiver = r#"countersign_receiver_broken{receiver="b__"} 1.0"#;
    assert!(lines.iter().any(|line| line == receiver), "{lines:?}");
}

#[test]
fn no_series_is_told_twice() {
    let lines = lines_of(snapshot());
    let series = lines.iter().filter(|line| !line.starts_with('#'));
    let series: Vec<_> = series
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let distinct: std::collections::BTreeSet<_> = series.iter().collect();
    assert_eq!(distinct.len(), series.len());
}

#[test]
fn every_metric_has_a_type_and_a_help_and_counters_end_as_counters_do() {
    let lines = lines_of(snapshot());
    let described = |kind: &str| {
        let kind = format!("# {kind} ");
        let lines = lines.iter().filter_map(move |line| {
            let (name, rest) = line.strip_prefix(&kind)?.split_once(' ')?;
            Some((name.to_owned(), rest.to_owned()))
        });
        lines.collect::<std::collections::BTreeMap<_, _>>()
    };
    let types = described("TYPE");
    let helps = described("HELP");
    assert!(types.keys().eq(helps.keys()) && types.len() > 20);
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let of = |end: &str| name.strip_suffix(end).and_then(|name| types.get(name));
        let fits = types.get(name).is_some_and(|kind| kind == "gauge")
            || of("_total").is_some_and(|kind| kind == "counter")
            || ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| of(end).is_some_and(|kind| kind == "histogram"));
        assert!(fits, "{line}");
    }
}

#[test]
fn the_classes_of_a_histogram_add_up_and_end_with_all() {
    let mut snapshot = sound();
    let latency = &mut snapshot.plugins[0].counts.latency;
    latency.iter_mut().for_each(|class| *class = 1);
    let buckets = samples(snapshot, "countersign_plugin_evaluation_seconds_bucket{");
    let counts: Vec<usize> = buckets
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(counts, (1..=LATENCY_MICROS.len() + 1).collect::<Vec<_>>());
    assert!(buckets.last().unwrap().contains(r#"le="+Inf""#));
}

#[test]
fn counters_of_a_running_node_never_go_back() {
    let counters = Counters::default();
    let shown = |counters: &Counters| {
        let snapshot = Snapshot {
            swaps: counters.swaps(),
            pushes: Some(counters.pushes()),
            tasks: counters.tasks(),
            ..sound()
        };
        let lines = lines_of(snapshot).into_iter();
        let counters = lines.filter(|line| !line.starts_with('#') && line.contains("_total"));
        let pairs = counters.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse::<u64>().unwrap())
        });
        pairs.collect::<std::collections::BTreeMap<_, _>>()
    };
    let mut before = shown(&counters);
    let steps: [fn(&Counters); 4] = [
        |counters| counters.task(countersign_store::OperationKind::KeySign, Ended::Alarmed),
        |counters| counters.swap(false),
        |counters| counters.push(true),
        |counters| counters.task(countersign_store::OperationKind::KeySign, Ended::Alarmed),
    ];
    for step in steps {
        step(&counters);
        let after = shown(&counters);
        assert!(before.iter().all(|(series, count)| after[series] >= *count));
        let grown: u64 = after.values().sum::<u64>() - before.values().sum::<u64>();
        assert_eq!(grown, 1);
        before = after;
    }
}

#[test]
fn a_node_with_a_twin_is_not_ready_and_says_how_that_ends() {
    let reasons = Snapshot {
        twin: true,
        ..sound()
    }
    .not_ready();
    assert_eq!(reasons.len(), 1);
    assert!(
        reasons[0].ends_with("run `countersign-node quarantine lift-twin`"),
        "{reasons:?}"
    );
}

#[test]
fn every_reason_why_a_node_is_not_ready_has_a_line_of_its_own() {
    let snapshot = Snapshot {
        stopping: true,
        twin: true,
        online: false,
        ..snapshot()
    };
    let reasons = snapshot.not_ready();
    let words = ["stopping", "identity", "coordinator", "plugin gone"];
    assert_eq!(reasons.len(), words.len());
    for (reason, word) in reasons.iter().zip(words) {
        assert!(reason.contains(word) && !reason.contains('\n'), "{reason}");
    }
    let answer = readiness(&snapshot);
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn a_shadow_does_not_keep_a_node_from_its_work() {
    let shadow = Snapshot {
        plugins: vec![
            plugin("rules", Condition::InForce),
            plugin("next", Condition::Shadow),
        ],
        ..sound()
    };
    assert!(shadow.not_ready().is_empty());
}

#[test]
fn figures_of_the_journal_are_those_of_its_tables() {
    let (_dir, journal) = crate::specimen::journal();
    let empty = JournalSnapshot::of(&journal).unwrap();
    assert_eq!((empty.active_keys, empty.outbox, empty.stopped), (0, 0, 0));
    let event = countersign_store::NewEvent {
        task: None,
        receivers: vec!["a".into(), "b".into()],
        body: Vec::new(),
    };
    journal.post(vec![event]).unwrap();
    let (position, _) = journal.outbox("a", 1).unwrap().remove(0);
    journal.give_up(position, 1, "gone").unwrap();
    let posted = JournalSnapshot::of(&journal).unwrap();
    assert_eq!(posted.outbox, 2, "what was given up is kept, and counted");
}
