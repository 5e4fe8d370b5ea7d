//! The runbook of `docs/upgrade.md` while people sign: with the programs of this build, and, by
//! `tests/upgrade/run.sh`, with those of an earlier release.

#[cfg(feature = "earlier")]
mod earlier;
mod later;
mod runbook;

use countersign_client::api::State;
use countersign_protocol::Scheme;
use countersign_tests::{Blueprint, Cluster, Load, Plugins, Release};

use runbook::{Releases, follow};

/// Signatures after each step.
const SOME: usize = 10;

/// No task was lost, and none has failed.
async fn all_completed(cluster: &Cluster) -> usize {
    let mut cursor: Option<String> = None;
    let mut number = 0;
    loop {
        let page = cluster.client.tasks(200, cursor.as_deref()).await.unwrap();
        for task in &page.tasks {
            assert_eq!(task.state, State::Completed, "{task:?}\n{}", cluster.logs());
        }
        number += page.tasks.len();
        cursor = page.next;
        if cursor.is_none() {
            return number;
        }
    }
}

/// A cluster in the middle of an upgrade, and people who sign with it.
struct Rollout {
    cluster: Cluster,
    load: Load,
    releases: Releases,
}

impl Rollout {
    /// Begins with the old release.
    async fn start(releases: Releases) -> Self {
        let blueprint = Blueprint {
            release: releases.old.clone(),
            plugins: Plugins::Unguarded,
            ..Blueprint::default()
        };
        let cluster = Cluster::start(blueprint).await.unwrap();
        let wallet = cluster.create_wallet("of old", Scheme::Ed25519, 2).await;
        let load = Load::start(&cluster, wallet.unwrap().key).unwrap();
        load.more(SOME).await.unwrap();
        Self {
            cluster,
            load,
            releases,
        }
    }

    /// No order has failed, and no task.
    async fn end(self) -> Cluster {
        let signed = self.load.signed();
        let failures = self.load.end().await.unwrap();
        assert_eq!(failures, Vec::<String>::new(), "{}", self.cluster.logs());
        let tasks = all_completed(&self.cluster).await;
        println!("{signed} signatures, {tasks} tasks, none lost, none failed");
        self.cluster
    }

    /// Carries out the commands under a heading, and sees that people sign afterwards.
    async fn step(&mut self, heading: &str, node: usize) {
        println!("{heading} ({} signatures so far)", self.load.signed());
        let followed = follow(&mut self.cluster, &self.load, &self.releases, heading, node).await;
        followed.unwrap_or_else(|error| panic!("{error:#}\n{}", self.cluster.logs()));
        let signed = self.load.more(SOME).await;
        signed.unwrap_or_else(|error| panic!("{error:#}\n{}", self.cluster.logs()));
    }
}

/// With the programs of this build in place of both.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_runbook_are_those_of_the_programs() {
    let releases = Releases {
        old: Release::Today,
        new: Release::Today,
    };
    let mut rollout = Rollout::start(releases).await;
    rollout.step("A node, from the first release", 0).await;
    rollout
        .step("The coordinator, from the first release", 0)
        .await;
    rollout.step("A node", 1).await;
    rollout.step("A node, back", 2).await;
    rollout.step("The coordinator", 0).await;
    rollout.step("The coordinator, back", 0).await;
    rollout.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_release_refuses_later_forms_of_stores_and_loses_nothing() {
    later::forms_are_refused(Release::Today).await;
}
