//! Nodes killed, at moments that chance chooses and at each step of their writing, and started again.

use countersign_protocol::{Committee, KeyId, Scheme};
use countersign_tests::{Blueprint, Cluster, Fuse, PrimeSource};
use std::time::Duration;

use super::{blueprint, reshare, settled, signs, waits};

/// How long a node may write after a task is settled.
const QUIET: Duration = Duration::from_millis(300);

/// More moments than any task has.
const ENDLESS: usize = 10_000;

/// How often a node is killed; `COUNTERSIGN_KILLS` asks for more.
fn rounds() -> u32 {
    std::env::var("COUNTERSIGN_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_may_be_killed_at_any_moment_of_key_generation_and_reshare() {
    let mut cluster = Cluster::start(blueprint()).await.unwrap();
    let mut new = cluster.new_wallet("killed", Scheme::Ed25519, 2).unwrap();
    new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
    let wallet = cluster.client.create_wallet(&new, |_| {}).await.unwrap().key;
    let mut acknowledged = vec![wallet];
    for round in 0..rounds() {
        let victim = (round % 3) as usize;
        let after = Duration::from_millis(rand::random::<u64>() % 120);
        let [_, next] = members(&cluster, wallet).await;
        let mut daemon = cluster.nodes[victim].daemon.take().unwrap();
        let kill = async {
            tokio::time::sleep(after).await;
            daemon.kill().unwrap();
        };
        match round % 2 {
            0 => drop(tokio::join!(reshare(&cluster, wallet, &next), kill)),
            _ => {
                let name = format!("round {round}");
                let (made, ()) = tokio::join!(cluster.create_wallet(&name, Scheme::Ed25519, 2), kill);
                acknowledged.extend(made.ok().map(|made| made.key));
            }
        }
        cluster.nodes[victim].start().unwrap();
        cluster.wait_online().await.unwrap();
        let when = format!("round {round}: node {victim} killed after {after:?}");
        settled(&cluster, &when).await;
        signs(&cluster, wallet, &when).await;
    }
    for key in acknowledged {
        signs(&cluster, key, "at the end").await;
    }
}

/// The members of one generation; the next one has the others. Node 1 stays, of nodes 0 and 2 one leaves and one joins.
async fn members(cluster: &Cluster, wallet: KeyId) -> [[usize; 2]; 2] {
    let generation = cluster.client.find_wallet(&wallet.to_string()).await.unwrap().generation;
    if generation % 2 == 0 { [[0, 1], [1, 2]] } else { [[1, 2], [0, 1]] }
}

/// Who is killed in a reshare.
#[derive(Debug, Clone, Copy)]
enum Role {
    Leaves,
    Stays,
    Joins,
}

/// A cluster whose nodes can be ended at each step of their writing, and a key of nodes 0 and 1.
struct Mortals {
    cluster: Cluster,
    fuses: Vec<Fuse>,
    scheme: Scheme,
    wallet: KeyId,
}

impl Mortals {
    async fn start(scheme: Scheme, blueprint: Blueprint) -> Mortals {
        let mut cluster = Cluster::prepare(blueprint).await.unwrap();
        cluster.start_coordinator().unwrap();
        let fuses = cluster.nodes.iter_mut().map(|node| Fuse::start(node).unwrap()).collect();
        cluster.wait_online().await.unwrap();
        let mut new = cluster.new_wallet("moves", scheme, 2).unwrap();
        new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
        let wallet = cluster.client.create_wallet(&new, |_| {}).await.unwrap().key;
        Mortals { cluster, fuses, scheme, wallet }
    }

    /// Kills the node of this role in a reshare after so many moments. Returns how many were left, if any.
    async fn reshare(&mut self, role: Role, moments: usize) -> Option<usize> {
        let [now, next] = members(&self.cluster, self.wallet).await;
        let victim = match role {
            Role::Leaves => now.into_iter().find(|node| !next.contains(node)),
            Role::Stays => now.into_iter().find(|node| next.contains(node)),
            Role::Joins => next.into_iter().find(|node| !now.contains(node)),
        };
        let victim = victim.expect("one of each");
        self.fuses[victim].light(moments).unwrap();
        drop(reshare(&self.cluster, self.wallet, &next).await);
        self.recover(victim, &format!("{role:?} killed in a reshare after {moments} moments")).await
    }

    /// The same of a key generation. A key that was acknowledged signs.
    async fn generate(&mut self, moments: usize) -> Option<usize> {
        let victim = moments % 3;
        self.fuses[victim].light(moments).unwrap();
        let made = self.cluster.create_wallet(&format!("after {moments}"), self.scheme, 2).await;
        let when = format!("killed in a key generation after {moments} moments");
        let left = self.recover(victim, &when).await;
        if let Ok(made) = made {
            signs(&self.cluster, made.key, &when).await;
        }
        left
    }

    /// The task is over for its requester, and not yet for the nodes: the fuse is lit until all is quiet.
    async fn recover(&mut self, victim: usize, when: &str) -> Option<usize> {
        let nodes = &self.cluster.nodes;
        while !self.fuses[victim].has_burned() && nodes.iter().any(|node| waits(node).unwrap_or(true)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(QUIET).await;
        let left = self.fuses[victim].put_out().unwrap();
        if left.is_none() {
            self.cluster.nodes[victim].daemon = None;
            self.fuses[victim] = Fuse::start(&mut self.cluster.nodes[victim]).unwrap();
            self.cluster.wait_online().await.unwrap();
        }
        settled(&self.cluster, when).await;
        signs(&self.cluster, self.wallet, when).await;
        left
    }
}

/// So many of the moments of a task, at random; `COUNTERSIGN_MOMENTS=all` asks for each.
fn some_of(moments: usize) -> Vec<usize> {
    if std::env::var("COUNTERSIGN_MOMENTS").is_ok_and(|asked| asked == "all") {
        return (0..moments).collect();
    }
    let mut chosen = rand::seq::index::sample(&mut rand::thread_rng(), moments, 2).into_vec();
    chosen.sort_unstable();
    chosen
}

async fn each_step_of_writing_may_be_the_last(scheme: Scheme, blueprint: Blueprint) {
    let mut mortals = Mortals::start(scheme, blueprint).await;
    let mut killed = 0;
    for role in [Role::Leaves, Role::Stays, Role::Joins] {
        let moments = ENDLESS - mortals.reshare(role, ENDLESS).await.expect("an endless fuse");
        assert!(moments >= 8, "{role:?} writes {moments} / 2 times");
        println!("{role:?} writes {moments} / 2 times in a reshare");
        for moment in some_of(moments) {
            killed += usize::from(mortals.reshare(role, moment).await.is_none());
        }
    }
    let moments = ENDLESS - mortals.generate(ENDLESS).await.expect("an endless fuse");
    assert!(moments >= 6, "a key generation writes {moments} / 2 times");
    println!("a member writes {moments} / 2 times in a key generation");
    for moment in some_of(moments) {
        killed += usize::from(mortals.generate(moment).await.is_none());
    }
    assert!(killed >= 4, "{killed} kills");
    println!("{killed} kills");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_writing_may_be_the_last_ed25519() {
    each_step_of_writing_may_be_the_last(Scheme::Ed25519, blueprint()).await;
}

/// Stores auxiliary information too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `just interruptions` runs it"]
async fn each_step_of_writing_may_be_the_last_ecdsa() {
    let limits = "{ ready_seconds: 2, keygen_seconds: 2, storing_seconds: 2, prime_sets: 0 }";
    let blueprint = Blueprint { primes: PrimeSource::Fixtures(4), limits: limits.into(), ..blueprint() };
    each_step_of_writing_may_be_the_last(Scheme::EcdsaSecp256k1, blueprint).await;
}
