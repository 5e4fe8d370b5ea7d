//! A [`Snapshot`] in the format of Prometheus. Each metric is described here and in
//! `docs/metrics.md`. Labels have few distinct values: entries, versions, verdicts and codes of the
//! host, but never a code or a text made up by a plugin.

use std::borrow::Cow;
use std::fmt;
use std::time::UNIX_EPOCH;

use countersign_host::{Condition, EntryStatus, LATENCY_MICROS};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::snapshot::Snapshot;
use crate::config::Metrics;

/// Media type of the encoded text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Encodes a snapshot as text.
pub(super) fn text(snapshot: Snapshot, names: &Metrics) -> Result<String, fmt::Error> {
    let labels = names
        .labels
        .iter()
        .map(|(name, value)| (Cow::from(name.clone()), Cow::from(plain(value))));
    let mut registry = Registry::with_labels(labels);
    registry.register_collector(Box::new(Collected {
        snapshot,
        prefix: names.prefix.clone(),
    }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Collected {
    snapshot: Snapshot,
    prefix: String,
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let snapshot = &self.snapshot;
        let mut sheet = Sheet {
            encoder,
            prefix: &self.prefix,
        };
        node(snapshot, &mut sheet)?;
        check_up(snapshot, &mut sheet)?;
        tasks(snapshot, &mut sheet)?;
        evaluations(&snapshot.plugins, &mut sheet)?;
        conditions(&snapshot.plugins, &mut sheet)?;
        probes(&snapshot.plugins, &mut sheet)?;
        receivers(snapshot, &mut sheet)
    }
}

fn node(snapshot: &Snapshot, sheet: &mut Sheet) -> fmt::Result {
    let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
    sheet.gauges("build", "The version of the program", [(version, 1.0)])?;
    let one = |is: bool| f64::from(u8::from(is));
    sheet.gauge(
        "ready",
        "1 if the node can do its work",
        one(snapshot.not_ready().is_empty()),
    )?;
    sheet.gauge(
        "online",
        "1 if there is a link to the coordinator",
        one(snapshot.online),
    )?;
    sheet.gauge(
        "store_readable",
        "1 if the journal can be read",
        one(snapshot.journal.is_ok()),
    )?;
    let writable = one(snapshot.trouble.is_none());
    sheet.gauge(
        "store_writable",
        "1 unless a write of the journal or of the secrets has failed",
        writable,
    )?;
    sheet.gauge("sessions", "Running sessions", snapshot.sessions as f64)?;
    let Ok(journal) = &snapshot.journal else {
        return Ok(());
    };
    let keys = [
        ("active", journal.active_keys),
        ("pending", journal.pending_keys),
        ("released", journal.released_keys),
    ];
    let keys = keys.map(|(status, count)| ([("status", status.to_owned())], count as f64));
    sheet.gauges(
        "keys",
        "Keys by status: released ones were handed over to others",
        keys,
    )?;
    sheet.gauge(
        "reshares_unsettled",
        "Reshares that wait for other parties",
        journal.unsettled as f64,
    )?;
    sheet.gauge(
        "peers_quarantined",
        "Peers that are quarantined for a key",
        journal.quarantined as f64,
    )?;
    sheet.gauge(
        "keys_stopped",
        "Keys that are stopped until lifted",
        journal.stopped as f64,
    )?;
    sheet.gauge(
        "outbox",
        "Deliveries of events that are kept, including those given up",
        journal.outbox as f64,
    )
}

fn check_up(snapshot: &Snapshot, sheet: &mut Sheet) -> fmt::Result {
    let Some(round) = &snapshot.check_up else {
        return Ok(());
    };
    sheet.gauge(
        "shares_intact",
        "Shares that were proven intact at the last check-up",
        round.intact as f64,
    )?;
    let damaged = round.damaged.len() as f64;
    sheet.gauge(
        "shares_damaged",
        "Shares that were found damaged at the last check-up",
        damaged,
    )?;
    let at = round.at.0 as f64 / 1000.0;
    sheet.gauge(
        "check_up_timestamp_seconds",
        "Unix time of the last check-up",
        at,
    )
}

fn tasks(snapshot: &Snapshot, sheet: &mut Sheet) -> fmt::Result {
    let tasks = snapshot.tasks.iter().map(|(kind, ended, count)| {
        (
            [
                ("kind", kind.to_ascii_lowercase()),
                ("outcome", ended.name().to_owned()),
            ],
            *count,
        )
    });
    sheet.counters(
        "tasks",
        "Tasks that ended at this node, by kind and outcome",
        tasks,
    )?;
    let (taken, refused) = snapshot.swaps;
    let swaps = [("taken", taken), ("refused", refused)];
    let swaps = swaps.map(|(result, count)| ([("result", result.to_owned())], count));
    sheet.counters(
        "plugin_swaps",
        "Changes of plugins, rules and keys that were put in force or refused",
        swaps,
    )?;
    let Some((written, failed)) = snapshot.pushes else {
        return Ok(());
    };
    let pushes = [("written", written), ("failed", failed)];
    let pushes = pushes.map(|(result, count)| ([("result", result.to_owned())], count));
    sheet.counters(
        "influxdb_pushes",
        "Pushes to InfluxDB that succeeded or failed",
        pushes,
    )
}

fn evaluations(plugins: &[EntryStatus], sheet: &mut Sheet) -> fmt::Result {
    let verdicts = plugins.iter().flat_map(|entry| {
        let counts = &entry.counts;
        let verdicts = [
            ("approved", counts.approved),
            ("rejected", counts.rejected),
            ("failed", counts.failed),
        ];
        verdicts.map(|(verdict, count)| (labelled(entry, "verdict", verdict), count))
    });
    sheet.counters(
        "plugin_evaluations",
        "Evaluations of a plugin, by verdict",
        verdicts,
    )?;
    let failures = plugins.iter().flat_map(|entry| {
        let failures = entry.counts.failures.iter();
        failures.map(|(code, count)| (labelled(entry, "code", code.as_str()), *count))
    });
    sheet.counters(
        "plugin_failures",
        "Evaluations without a usable answer, by the host's code",
        failures,
    )?;
    let shadows = plugins
        .iter()
        .filter(|entry| entry.condition == Condition::Shadow);
    let shadows = shadows.flat_map(|entry| {
        let results = [
            ("differed", entry.counts.differed),
            ("skipped", entry.counts.skipped),
        ];
        results.map(|(result, count)| (labelled(entry, "result", result), count))
    });
    sheet.counters(
        "plugin_shadows",
        "Evaluations in which a shadow disagreed or was skipped",
        shadows,
    )?;
    sheet.histograms(
        "plugin_evaluation_seconds",
        "Duration of evaluations",
        plugins.iter().map(|entry| (of(entry), entry)),
    )
}

fn conditions(plugins: &[EntryStatus], sheet: &mut Sheet) -> fmt::Result {
    let broken = |entry: &EntryStatus| {
        f64::from(u8::from(matches!(
            entry.condition,
            Condition::Broken { .. }
        )))
    };
    let broken = plugins.iter().map(|entry| (of(entry), broken(entry)));
    sheet.gauges(
        "plugin_broken",
        "1 if the entry is broken and refuses everything that it guards",
        broken,
    )
}

fn probes(plugins: &[EntryStatus], sheet: &mut Sheet) -> fmt::Result {
    let probed = || {
        plugins
            .iter()
            .filter_map(|entry| Some((of(entry), entry.health.as_ref()?)))
    };
    let healthy =
        probed().map(|(labels, health)| (labels, f64::from(u8::from(health.result.is_ok()))));
    sheet.gauges(
        "plugin_healthy",
        "1 if the plugin's dependencies were reachable at the last probe",
        healthy,
    )?;
    let at = probed().map(|(labels, health)| {
        (
            labels,
            health
                .at
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
        )
    });
    sheet.gauges(
        "plugin_probed_timestamp_seconds",
        "Unix time of the last probe",
        at,
    )
}

fn receivers(snapshot: &Snapshot, sheet: &mut Sheet) -> fmt::Result {
    let receivers = snapshot.receivers.iter().map(|receiver| {
        let labels = [("receiver", receiver.name.clone())];
        (labels, f64::from(u8::from(receiver.trouble.is_some())))
    });
    sheet.gauges(
        "receiver_broken",
        "1 if the event receiver's files cannot be used",
        receivers,
    )
}

type Labels<const N: usize> = [(&'static str, String); N];

fn of(entry: &EntryStatus) -> Labels<2> {
    [
        ("plugin", entry.name.clone()),
        ("version", entry.version.clone().unwrap_or_default()),
    ]
}

fn labelled(entry: &EntryStatus, name: &'static str, value: &str) -> Labels<3> {
    let [plugin, version] = of(entry);
    [plugin, version, (name, value.to_owned())]
}

/// A writer of metrics with one method per type.
struct Sheet<'p, 'e> {
    encoder: DescriptorEncoder<'e>,
    prefix: &'p str,
}

impl Sheet<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let name = self.name(name);
        let gauge = self
            .encoder
            .encode_descriptor(&name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(gauge)
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<N>, f64)>,
    ) -> fmt::Result {
        let name = self.name(name);
        let mut family = self
            .encoder
            .encode_descriptor(&name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| {
            ConstGauge::new(value).encode(family.encode_family(&sound(labels))?)
        })
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) -> fmt::Result {
        let name = self.name(name);
        let mut family = self
            .encoder
            .encode_descriptor(&name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| {
            ConstCounter::new(value).encode(family.encode_family(&sound(labels))?)
        })
    }

    fn histograms<'e, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        entries: impl IntoIterator<Item = (Labels<N>, &'e EntryStatus)>,
    ) -> fmt::Result {
        let name = self.name(name);
        let mut family =
            self.encoder
                .encode_descriptor(&name, help, None, MetricType::Histogram)?;
        entries.into_iter().try_for_each(|(labels, entry)| {
            let counts = &entry.counts;
            let ends = LATENCY_MICROS
                .iter()
                .map(|micros| *micros as f64 / 1e6)
                .chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = ends.zip(counts.latency).collect();
            let sum = counts.micros as f64 / 1e6;
            let count = counts.latency.iter().sum();
            let labels = sound(labels);
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    fn name(&self, name: &str) -> String {
        format!("{}countersign_{name}", self.prefix)
    }
}

/// Sanitizes all values of a set of labels.
fn sound<const N: usize>(labels: Labels<N>) -> [(&'static str, String); N] {
    labels.map(|(name, value)| (name, plain(&value)))
}

/// Replaces the characters that have a meaning in the format.
fn plain(value: &str) -> String {
    value
        .chars()
        .map(|c| {
            if c.is_control() || c == '"' || c == '\\' {
                '_'
            } else {
                c
            }
        })
        .collect()
}
