//! Fills the sheet of metrics from a [`Snapshot`]. What nobody knows is absent, and not 0.

use std::time::UNIX_EPOCH;

use countersign_host::{Condition, Counts, EntryStatus, LATENCY_MICROS};
use countersign_metrics::{Histogram, Report, Sheet};
use countersign_protocol::UnixMillis;

use super::snapshot::{JournalSnapshot, Snapshot};
use super::table::*;

impl Snapshot {
    /// Returns the metrics, and the reasons why the node is not ready.
    pub fn report(&self) -> Report {
        let not_ready = self.not_ready();
        let mut sheet = Sheet::default();
        sheet.put(&READY, [], not_ready.is_empty());
        self.node(&mut sheet);
        self.shares(&mut sheet);
        self.tasks(&mut sheet);
        self.peers(&mut sheet);
        for entry in &self.plugins {
            plugin(entry, &mut sheet);
        }
        self.bundles(&mut sheet);
        self.events(&mut sheet);
        let left_out = sheet.left_out() as f64;
        sheet.put(&SERIES_LEFT_OUT, [], left_out);
        Report { sheet, not_ready }
    }

    fn node(&self, sheet: &mut Sheet) {
        sheet.put(&BUILD, [env!("CARGO_PKG_VERSION")], 1.0);
        sheet.put(&ONLINE, [], self.online);
        sheet.put(&STORE_READABLE, [], self.journal.is_ok());
        sheet.put(&STORE_WRITABLE, [], self.trouble.is_none());
        if let Some(bytes) = self.files.journal {
            sheet.put(&JOURNAL_BYTES, [], bytes as f64);
        }
        if let Some(bytes) = self.files.secrets {
            sheet.put(&SECRETS_BYTES, [], bytes as f64);
        }
        if let Some(disk) = self.files.disk {
            sheet.put(&DISK_FREE_BYTES, [], disk.free as f64);
            sheet.put(&DISK_SIZE_BYTES, [], disk.size as f64);
        }
        if let Some((written, failed)) = self.pushes {
            sheet.put(&INFLUXDB_PUSHES, ["written"], written);
            sheet.put(&INFLUXDB_PUSHES, ["failed"], failed);
        }
        if let Ok(journal) = &self.journal {
            journal.put(sheet);
        }
    }

    fn shares(&self, sheet: &mut Sheet) {
        if let Some(round) = &self.check_up {
            sheet.put(&SHARES_INTACT, [], round.intact);
            sheet.put(&SHARES_DAMAGED, [], round.damaged.len());
            sheet.put(&CHECK_UP, [], seconds(round.at));
        }
        if let Some(at) = self.all_intact {
            sheet.put(&SHARES_PROVEN, [], seconds(at));
        }
    }

    fn tasks(&self, sheet: &mut Sheet) {
        for (kind, ended, count) in &self.tasks {
            let kind = kind.to_ascii_lowercase();
            sheet.put(&TASKS, [&kind, ended.name()], *count);
        }
        for (code, count) in &self.refusals {
            sheet.put(&REFUSALS, [code], *count);
        }
        for (code, count) in &self.failures {
            sheet.put(&FAILURES, [code], *count);
        }
        for ((kind, stage), spent) in &self.stages {
            sheet.put(&TASK_STAGE_SECONDS, [kind, stage.name()], spent.clone());
        }
        let (handled, dropped) = self.offers;
        sheet.put(&SESSIONS, [], self.sessions);
        sheet.put(&OFFERS, [], handled as f64);
        sheet.put(&OFFERS_DROPPED, [], dropped);
        sheet.put(&AUX_QUEUE, [], self.aux_queue);
    }

    fn peers(&self, sheet: &mut Sheet) {
        for peer in &self.peers {
            sheet.put(&PEER_PRESENT, [&peer.name], peer.present);
            if let Some(skew) = peer.skew {
                sheet.put(&PEER_CLOCK_SKEW, [&peer.name], skew as f64 / 1000.0);
            }
        }
    }

    fn bundles(&self, sheet: &mut Sheet) {
        for bundle in &self.bundles {
            let version = bundle.version.to_string();
            let labels = [bundle.name.as_str(), version.as_str()];
            match bundle.left {
                None => sheet.put(&BUNDLE_IN_FORCE, labels, true),
                Some(left) => sheet.put(&BUNDLE_WAITS, labels, left.as_secs_f64()),
            }
        }
        for (code, count) in &self.bundles_refused {
            sheet.put(&BUNDLES_REFUSED, [code], *count);
        }
    }

    fn events(&self, sheet: &mut Sheet) {
        let (taken, refused) = self.swaps;
        sheet.put(&PLUGIN_SWAPS, ["taken"], taken);
        sheet.put(&PLUGIN_SWAPS, ["refused"], refused);
        for receiver in &self.receivers {
            let broken = receiver.trouble.is_some();
            sheet.put(&RECEIVER_BROKEN, [&receiver.name], broken);
        }
        for ((receiver, delivered), count) in &self.deliveries {
            let result = if *delivered { "delivered" } else { "failed" };
            sheet.put(&RECEIVER_DELIVERIES, [receiver, result], *count);
        }
        for (receiver, took) in &self.delivery_times {
            sheet.put(&RECEIVER_DELIVERY_SECONDS, [receiver], took.clone());
        }
    }
}

impl JournalSnapshot {
    fn put(&self, sheet: &mut Sheet) {
        sheet.put(&KEYS, ["active"], self.active_keys);
        sheet.put(&KEYS, ["pending"], self.pending_keys);
        sheet.put(&KEYS, ["released"], self.released_keys);
        sheet.put(&RESHARES_UNSETTLED, [], self.unsettled);
        sheet.put(&PEERS_QUARANTINED, [], self.quarantined);
        sheet.put(&KEYS_STOPPED, [], self.stopped);
        sheet.put(&OUTBOX, [], self.outbox as f64);
        if let Some(at) = self.backup {
            sheet.put(&BACKUP, [], seconds(at));
        }
        if let Some(at) = self.drill {
            sheet.put(&DRILL, [], seconds(at));
        }
    }
}

fn plugin(entry: &EntryStatus, sheet: &mut Sheet) {
    let name = entry.name.as_str();
    let version = entry.version.as_deref().unwrap_or_default();
    let counts = &entry.counts;
    for (verdict, count) in [
        ("approved", counts.approved),
        ("rejected", counts.rejected),
        ("failed", counts.failed),
    ] {
        sheet.put(&PLUGIN_EVALUATIONS, [name, version, verdict], count);
    }
    for (code, count) in &counts.failures {
        sheet.put(&PLUGIN_FAILURES, [name, version, code.as_str()], *count);
    }
    if entry.condition == Condition::Shadow {
        sheet.put(
            &PLUGIN_SHADOWS,
            [name, version, "differed"],
            counts.differed,
        );
        sheet.put(&PLUGIN_SHADOWS, [name, version, "skipped"], counts.skipped);
    }
    sheet.put(&PLUGIN_EVALUATION_SECONDS, [name, version], took(counts));
    let broken = matches!(entry.condition, Condition::Broken { .. });
    sheet.put(&PLUGIN_BROKEN, [name, version], broken);
    if let Some(health) = &entry.health {
        sheet.put(&PLUGIN_HEALTHY, [name, version], health.result.is_ok());
        // Before 1970 is long ago, as far as the alert on old probes is concerned.
        let at = health.at.duration_since(UNIX_EPOCH);
        let at = at.map_or(0.0, |at| at.as_secs_f64());
        sheet.put(&PLUGIN_PROBED, [name, version], at);
    }
}

fn took(counts: &Counts) -> Histogram {
    Histogram {
        ends: LATENCY_MICROS.map(|micros| micros as f64 / 1e6).to_vec(),
        counts: counts.latency.to_vec(),
        sum: counts.micros as f64 / 1e6,
    }
}

fn seconds(at: UnixMillis) -> f64 {
    at.0 as f64 / 1000.0
}
