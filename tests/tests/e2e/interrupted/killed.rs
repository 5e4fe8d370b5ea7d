//! Nodes killed at random moments and at each step of their writing, and restarted.

use std::time::Duration;

use countersign_coordinator::Coordinator;
use countersign_protocol::{Committee, KeyId, Scheme};
use countersign_tests::process::Daemon;
use countersign_tests::{Blueprint, Cluster, Failpoint, Gate};

use super::withheld::{each_message_of_a_reshare, start_gated};
use super::{EARLY, blueprint, ecdsa_blueprint, reshare, settled, signs, some_of};

/// Time for which a node may write after a task is settled.
const QUIET: Duration = Duration::from_millis(300);

/// More moments than any task has.
const ENDLESS: usize = 10_000;

/// Schemes whose keys are made and reshared while nodes are killed at random.
const SCHEMES: [Scheme; 2] = [Scheme::Ed25519, Scheme::Taproot];

const PARTS: [Part; 4] = [Part::Leaves, Part::Stays, Part::Joins, Part::Generates];

/// Number of kills; `COUNTERSIGN_KILLS` asks for more.
fn rounds() -> u32 {
    std::env::var("COUNTERSIGN_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_may_be_killed_at_any_moment_of_key_generation_and_reshare() {
    let mut cluster = Cluster::start(blueprint()).await.unwrap();
    let mut acknowledged = Vec::new();
    for scheme in SCHEMES {
        let mut new = cluster.new_wallet(scheme.name(), scheme, 2).unwrap();
        new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
        acknowledged.push(
            cluster
                .client
                .create_wallet(&new, |_| {})
                .await
                .unwrap()
                .key,
        );
    }
    for round in 0..rounds() {
        // Six rounds have every victim in both kinds of task.
        let turn = (round / 6) as usize % SCHEMES.len();
        let scheme = SCHEMES[turn];
        let wallet = acknowledged[turn];
        let victim = (round % 3) as usize;
        let after = Duration::from_millis(rand::random::<u64>() % 120);
        let [_, next] = members(&cluster, wallet).await;
        let mut daemon = cluster.nodes[victim].daemon.take().unwrap();
        let node = &cluster.nodes[victim];
        // Started again at once, as a supervisor does.
        let kill = async {
            tokio::time::sleep(after).await;
            daemon.kill().unwrap();
            node.launch().unwrap()
        };
        let revived = match round % 2 {
            0 => tokio::join!(reshare(&cluster, wallet, &next), kill).1,
            _ => {
                let name = format!("round {round}");
                let (made, revived) = tokio::join!(cluster.create_wallet(&name, scheme, 2), kill);
                acknowledged.extend(made.ok().map(|made| made.key));
                revived
            }
        };
        cluster.nodes[victim].daemon = Some(revived);
        cluster.wait_online().await.unwrap();
        let when = format!("round {round}: node {victim} killed after {after:?}");
        settled(&cluster, &when).await;
        signs(&cluster, wallet, &when).await;
    }
    for key in acknowledged {
        signs(&cluster, key, "at the end").await;
    }
}

/// The members of one generation; the next one has the others. Node 1 stays, of nodes 0 and 2 one
/// leaves and one joins.
async fn members(cluster: &Cluster, wallet: KeyId) -> [[usize; 2]; 2] {
    let generation = cluster
        .client
        .find_wallet(&wallet.to_string())
        .await
        .unwrap()
        .generation;
    if generation % 2 == 0 {
        [[0, 1], [1, 2]]
    } else {
        [[1, 2], [0, 1]]
    }
}

/// The part of the killed node in a task.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Of a reshare, as a member that leaves.
    Leaves,
    /// Of a reshare, as a member before and after.
    Stays,
    /// Of a reshare, as a member to be.
    Joins,
    /// Of a key generation.
    Generates,
}

/// A cluster whose nodes can be ended at each step of their writing, and a key of nodes 0 and 1.
struct Mortals {
    cluster: Cluster,
    coordinator: Coordinator,
    gate: Gate,
    failpoints: Vec<Failpoint>,
    scheme: Scheme,
    wallet: KeyId,
}

impl Mortals {
    async fn start(scheme: Scheme, blueprint: Blueprint) -> Self {
        let mut cluster = Cluster::prepare(blueprint).await.unwrap();
        let (coordinator, gate) = start_gated(&cluster).await;
        let mut failpoints = Vec::new();
        for node in &mut cluster.nodes {
            let failpoint = Failpoint::of(node);
            node.daemon = Some(failpoint.start(node).unwrap());
            failpoints.push(failpoint);
        }
        cluster.wait_online().await.unwrap();
        let mut new = cluster.new_wallet("moves", scheme, 2).unwrap();
        new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
        let wallet = cluster
            .client
            .create_wallet(&new, |_| {})
            .await
            .unwrap()
            .key;
        Self {
            cluster,
            coordinator,
            gate,
            failpoints,
            scheme,
            wallet,
        }
    }

    /// Kills the node of this part after this many moments. Returns how many were left, if any.
    async fn interrupt(&mut self, part: Part, moments: usize) -> Option<usize> {
        let [now, next] = members(&self.cluster, self.wallet).await;
        let [leaves, stays, joins] = if now == [0, 1] { [0, 1, 2] } else { [2, 1, 0] };
        let when = format!("{part:?}, killed after {moments} moments");
        match part {
            Part::Leaves => self.reshare(leaves, next, moments, &when).await,
            Part::Stays => self.reshare(stays, next, moments, &when).await,
            Part::Joins => self.reshare(joins, next, moments, &when).await,
            Part::Generates => self.generate(moments, &when).await,
        }
    }

    async fn reshare(
        &mut self,
        victim: usize,
        next: [usize; 2],
        moments: usize,
        when: &str,
    ) -> Option<usize> {
        let task = reshare(&self.cluster, self.wallet, &next);
        let (ended, revived) = Box::pin(self.run(victim, moments, task, when)).await;
        println!(
            "{when}: {}",
            ended.map_or_else(|error| error.to_string(), |_| "reshared".into())
        );
        self.recover(victim, revived, when).await
    }

    /// An acknowledged key signs.
    async fn generate(&mut self, moments: usize, when: &str) -> Option<usize> {
        let victim = moments % 3;
        let task = self.cluster.create_wallet(when, self.scheme, 2);
        let (made, revived) = Box::pin(self.run(victim, moments, task, when)).await;
        let left = self.recover(victim, revived, when).await;
        if let Ok(made) = made {
            signs(&self.cluster, made.key, when).await;
        }
        left
    }

    /// Runs a task to its end at all nodes while the failpoint of one is armed. If that node is
    /// killed it is restarted at once, as a supervisor does.
    async fn run<T>(
        &self,
        victim: usize,
        moments: usize,
        task: impl Future<Output = T>,
        when: &str,
    ) -> (T, Option<Daemon>) {
        let failpoint = &self.failpoints[victim];
        let node = &self.cluster.nodes[victim];
        let daemon = node.daemon.as_ref().expect("it runs");
        let task = async {
            let result = task.await;
            settled(&self.cluster, when).await;
            tokio::time::sleep(QUIET).await;
            result
        };
        tokio::pin!(task);
        failpoint.arm(moments).unwrap();
        let over = tokio::select! {
            result = &mut task => Some(result),
            () = daemon.ended() => None,
        };
        let revived = daemon.has_ended().then(|| failpoint.start(node).unwrap());
        match over {
            Some(result) => (result, revived),
            None => (task.await, revived),
        }
    }

    async fn recover(
        &mut self,
        victim: usize,
        revived: Option<Daemon>,
        when: &str,
    ) -> Option<usize> {
        let left = self.failpoints[victim].put_out().unwrap();
        if revived.is_some() {
            self.cluster.nodes[victim].daemon = revived;
        }
        self.cluster.wait_online().await.unwrap();
        settled(&self.cluster, when).await;
        signs(&self.cluster, self.wallet, when).await;
        left
    }
}

/// `parts` of the parts and `moments` of the moments of each, at random, or all.
async fn each_step_of_writing_may_be_the_last(mortals: &mut Mortals, [parts, moments]: [usize; 2]) {
    let mut killed = 0;
    let mut surely = 0;
    for part in some_of(PARTS.len(), parts) {
        let part = PARTS[part];
        let writes = ENDLESS
            - mortals
                .interrupt(part, ENDLESS)
                .await
                .expect("an endless failpoint");
        assert!(writes > EARLY, "{part:?}: {writes} moments");
        println!("{part:?}: {writes} moments");
        for moment in some_of(writes, moments) {
            killed += usize::from(mortals.interrupt(part, moment).await.is_none());
            surely += usize::from(moment < EARLY);
        }
    }
    println!("{killed} kills");
    assert!(killed >= surely, "{killed} kills");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_writing_may_be_the_last_ed25519() {
    // A killed node needs a moment to reach the others again.
    let limits = "{ ready_seconds: 5, keygen_seconds: 1, frost_seconds: 1, storing_seconds: 1, prime_sets: 0, reshares: 1000 }";
    let blueprint = Blueprint {
        limits: limits.into(),
        ..blueprint()
    };
    let mut mortals = Mortals::start(Scheme::Ed25519, blueprint).await;
    each_step_of_writing_may_be_the_last(&mut mortals, [PARTS.len(), 2]).await;
    mortals.coordinator.stop().await;
}

/// Stores auxiliary information too, which takes a minute to make: one cluster has both
/// interruptions.
#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_writing_may_be_the_last_and_each_message_kept_back_ecdsa() {
    let mut mortals = Mortals::start(Scheme::EcdsaSecp256k1, ecdsa_blueprint()).await;
    each_step_of_writing_may_be_the_last(&mut mortals, [1, 2]).await;
    each_message_of_a_reshare(&mortals.cluster, &mortals.gate, Scheme::EcdsaSecp256k1, 3).await;
    mortals.coordinator.stop().await;
}
