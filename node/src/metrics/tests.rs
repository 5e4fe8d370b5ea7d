//! Tests of the report, with fake snapshots.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use countersign_host::{Code, Condition, Counts, EntryStatus, Health, LATENCY_MICROS};
use countersign_metrics::disk::Space;
use countersign_metrics::{Histogram, Metric, text};
use countersign_protocol::{Hash, KeyId, UnixMillis};
use countersign_store::ReadJournalError;

use super::*;
use crate::bundle::PostedBundle;
use crate::check_ups::Round;
use crate::config::Metrics;

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

fn bundle(version: u64, left: Option<Duration>) -> PostedBundle {
    PostedBundle {
        name: "treasury".into(),
        version,
        digest: Hash([3; 32]),
        left,
        signed: 2,
        needed: 2,
    }
}

fn damaged() -> (KeyId, String) {
    (KeyId::from_bytes([2; 16]).unwrap(), "cut".into())
}

pub(crate) fn snapshot() -> Snapshot {
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
            backup: Some(UnixMillis(8_000)),
            drill: Some(UnixMillis(9_500)),
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
        bundles: vec![
            bundle(6, None),
            bundle(7, Some(Duration::from_millis(83_400_500))),
        ],
        bundles_refused: vec![("ceiling", 2), ("store", 0)],
        pushes: Some((8, 2)),
        check_up: Some(Round {
            at: UnixMillis(7_500),
            intact: 4,
            damaged: vec![damaged()],
        }),
        all_intact: Some(UnixMillis(6_500)),
        tasks: vec![
            ("KeyGen", Ended::Succeeded, 1),
            ("KeySign", Ended::Refused, 8),
        ],
        refusals: vec![("plugin", 7), ("requester-unknown", 1)],
        failures: vec![("equivocation", 2)],
        stages: vec![(("keysign", Stage::Running), seconds(3))],
        offers: (5, 4),
        aux_queue: 3,
        peers: vec![
            Peer {
                name: "bob".into(),
                present: true,
                skew: Some(-1_250),
            },
            Peer {
                name: "carol".into(),
                present: false,
                skew: None,
            },
        ],
        deliveries: vec![(("jwt-events:1".into(), false), 6)],
        delivery_times: vec![("jwt-events:1".into(), seconds(1))],
        files: Files {
            journal: Some(4_096),
            secrets: Some(2_048),
            disk: Some(Space {
                free: 1_000,
                size: 5_000,
            }),
        },
    }
}

fn seconds(seconds: u64) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.note(Duration::from_secs(seconds));
    histogram
}

/// A node that is ready.
fn sound() -> Snapshot {
    Snapshot {
        plugins: vec![plugin("rules", Condition::InForce)],
        ..snapshot()
    }
}

fn text_of(names: &Metrics) -> String {
    text(TABLE, &snapshot().report().sheet, names)
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
        r#"countersign_bundle_in_force{policy="treasury",version="6"} 1.0"#,
        r#"countersign_bundle_waits_seconds{policy="treasury",version="7"} 83400.5"#,
        r#"countersign_bundles_refused_total{code="ceiling"} 2"#,
        r#"countersign_bundles_refused_total{code="store"} 0"#,
        r#"countersign_receiver_broken{receiver="jwt-events:1"} 1.0"#,
        r#"countersign_influxdb_pushes_total{result="failed"} 2"#,
        "countersign_journal_bytes 4096.0",
        "countersign_secrets_bytes 2048.0",
        "countersign_disk_free_bytes 1000.0",
        "countersign_disk_size_bytes 5000.0",
        "countersign_backup_timestamp_seconds 8.0",
        "countersign_drill_timestamp_seconds 9.5",
        "countersign_shares_proven_timestamp_seconds 6.5",
        r#"countersign_refusals_total{code="plugin"} 7"#,
        r#"countersign_failures_total{code="equivocation"} 2"#,
        r#"countersign_task_stage_seconds_sum{kind="keysign",stage="running"} 3.0"#,
        r#"countersign_task_stage_seconds_bucket{le="2.5",kind="keysign",stage="running"} 0"#,
        r#"countersign_task_stage_seconds_bucket{le="5.0",kind="keysign",stage="running"} 1"#,
        "countersign_offers 5.0",
        "countersign_offers_dropped_total 4",
        "countersign_aux_queue 3.0",
        r#"countersign_peer_present{peer="bob"} 1.0"#,
        r#"countersign_peer_present{peer="carol"} 0.0"#,
        r#"countersign_peer_clock_skew_seconds{peer="bob"} -1.25"#,
        r#"countersign_receiver_deliveries_total{receiver="jwt-events:1",result="failed"} 6"#,
        r#"countersign_receiver_delivery_seconds_count{receiver="jwt-events:1"} 1"#,
        "countersign_series_left_out 0.0",
    ] {
        assert!(
            text.lines().any(|there| there == line),
            "{line} in:\n{text}"
        );
    }
    assert!(
        !text.contains(r#"in_force{policy="treasury",version="7"}"#),
        "it waits"
    );
    assert!(
        !text.contains(r#"skew_seconds{peer="carol"}"#),
        "it was never heard"
    );
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
fn every_metric_of_the_table_has_values_in_a_full_snapshot() {
    let text = text_of(&Metrics::default());
    for metric in Metric::all(TABLE) {
        let kind = format!("# TYPE {} {}\n", metric.name, metric.kind.word());
        assert!(text.contains(&kind), "{}", metric.name);
    }
    assert_eq!(text.matches("# TYPE ").count(), Metric::all(TABLE).count());
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

fn lines_of(snapshot: Snapshot) -> Vec<String> {
    let text = text(TABLE, &snapshot.report().sheet, &Metrics::default());
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
        all_intact: None,
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
        r#"countersign_plugin_healthy{plugin="next",version="1.2.0"} 0.0"#,
        r#"countersign_plugin_healthy{plugin="rules",version="1.2.0"} 1.0"#,
    ];
    assert_eq!(healthy, expected);
    let probed = samples(snapshot, "countersign_plugin_probed_timestamp_seconds{");
    assert!(
        probed[0].ends_with(" 0.0"),
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
    assert_eq!(ends.count(), 0);
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
        let own = |wanted: &str| types.get(name).is_some_and(|kind| kind == wanted);
        let fits = (own("gauge") && !name.ends_with("_total"))
            || (own("counter") && name.ends_with("_total"))
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
    assert_eq!(snapshot.report().not_ready, reasons);
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
