//! Periodic probes: is everything that plugins depend on in reach? They decide nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::decision::entry::Entry;
use crate::decision::pipeline::Pipeline;

/// Interval at which due probes are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Limit of one probe; the grants apply as well.
const PATIENCE: Duration = Duration::from_secs(30);

impl Pipeline {
    /// Probes every entry that has an interval, for ever.
    /// [`status`](Self::status) shows the answers.
    pub async fn monitor(&self) {
        let mut asked = HashMap::new();
        loop {
            self.probe_due(&mut asked, Instant::now()).await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Probes the entries whose last probe is as long ago as their interval.
    async fn probe_due(&self, asked: &mut HashMap<String, Instant>, now: Instant) {
        let chain = self.chain();
        let is_due = |entry: &&Entry| {
            let interval = entry.role.monitor;
            let last = asked.get(&entry.name);
            interval.is_some_and(|interval| {
                last.is_none_or(|last| now.duration_since(*last) >= interval)
            })
        };
        let due: Vec<&Entry> = chain.entries().iter().filter(is_due).collect();
        asked.extend(due.iter().map(|entry| (entry.name.clone(), now)));
        join_all(due.into_iter().map(|entry| probe(entry, now + PATIENCE))).await;
    }
}

async fn probe(entry: &Entry, deadline: Instant) {
    let Some(plugin) = entry.plugin() else { return };
    if let Some(result) = plugin.probe(deadline).await {
        entry.stats.probed(result);
    }
}
