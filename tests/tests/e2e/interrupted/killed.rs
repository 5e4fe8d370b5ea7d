//! Nodes killed, at moments that chance chooses and at each step of their writing, and started again.

use countersign_protocol::{Committee, KeyId, Scheme};
use countersign_tests::process::Daemon;
use countersign_tests::{Blueprint, Cluster, Fuse};
use std::time::Duration;

use super::{blueprint, ecdsa_blueprint, reshare, settled, signs};

/// How long a node may write after a task is settled.
const QUIET: Duration = Duration::from_millis(300);

/// More moments than any task has.
const ENDLESS: usize = 10_000;

/// Whose keys are made and handed over while nodes are killed at random.
const SCHEMES: [Scheme; 2] = [Scheme::Ed25519, Scheme::Taproot];

/// How often a node is killed; `COUNTERSIGN_KILLS` asks for more.
fn rounds() -> u32 {
    std::env::var("COUNTERSIGN_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_may_be_killed_at_any_moment_of_key_generation_and_reshare() {
    let mut cluster = Cluster::start(blueprint()).await.unwrap();
    let mut acknowledged = Vec::new();
    for scheme in SCHEMES {
        let mut new = cluster.new_wallet(scheme.name(), scheme, 2).unwrap();
        new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
        acknowledged.push(cluster.client.create_wallet(&new, |_| {}).await.unwrap().key);
    }
    for round in 0..rounds() {
        // Six rounds have every victim in both kinds of task.
        let turn = (round / 6) as usize % SCHEMES.len();
        let (scheme, wallet) = (SCHEMES[turn], acknowledged[turn]);
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
        let mut fuses = Vec::new();
        for node in &mut cluster.nodes {
            let fuse = Fuse::of(node);
            node.daemon = Some(fuse.start(node).unwrap());
            fuses.push(fuse);
        }
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
        let when = format!("{role:?} killed in a reshare after {moments} moments");
        let task = reshare(&self.cluster, self.wallet, &next);
        let (ended, revived) = self.run(victim, moments, task, &when).await;
        println!("{when}: {}", ended.map_or_else(|error| error.to_string(), |_| "reshared".into()));
        self.recover(victim, revived, &when).await
    }

    /// The same of a key generation. A key that was acknowledged signs.
    async fn generate(&mut self, moments: usize) -> Option<usize> {
        let victim = moments % 3;
        let when = format!("killed in a key generation after {moments} moments");
        let name = format!("after {moments}");
        let task = self.cluster.create_wallet(&name, self.scheme, 2);
        let (made, revived) = self.run(victim, moments, task, &when).await;
        let left = self.recover(victim, revived, &when).await;
        if let Ok(made) = made {
            signs(&self.cluster, made.key, &when).await;
        }
        left
    }

    /// Runs a task to its end at all nodes while the fuse of one burns. If that node is ended it is started again at once, as a
    /// supervisor does.
    async fn run<T>(
        &self,
        victim: usize,
        moments: usize,
        task: impl Future<Output = T>,
        when: &str,
    ) -> (T, Option<Daemon>) {
        let (fuse, node) = (&self.fuses[victim], &self.cluster.nodes[victim]);
        let daemon = node.daemon.as_ref().expect("it runs");
        let task = async {
            let result = task.await;
            settled(&self.cluster, when).await;
            tokio::time::sleep(QUIET).await;
            result
        };
        tokio::pin!(task);
        fuse.light(moments).unwrap();
        let over = tokio::select! {
            result = &mut task => Some(result),
            () = daemon.ended() => None,
        };
        let revived = daemon.has_ended().then(|| fuse.start(node).unwrap());
        match over {
            Some(result) => (result, revived),
            None => (task.await, revived),
        }
    }

    async fn recover(&mut self, victim: usize, revived: Option<Daemon>, when: &str) -> Option<usize> {
        let left = self.fuses[victim].put_out().unwrap();
        if revived.is_some() {
            self.cluster.nodes[victim].daemon = revived;
        }
        self.cluster.wait_online().await.unwrap();
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
    // Who was killed needs a moment to meet the others again.
    let limits =
        "{ ready_seconds: 5, keygen_seconds: 1, frost_seconds: 1, storing_seconds: 1, prime_sets: 0 }";
    let blueprint = Blueprint { limits: limits.into(), ..blueprint() };
    each_step_of_writing_may_be_the_last(Scheme::Ed25519, blueprint).await;
}

/// Stores auxiliary information too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `just interruptions` runs it"]
async fn each_step_of_writing_may_be_the_last_ecdsa() {
    each_step_of_writing_may_be_the_last(Scheme::EcdsaSecp256k1, ecdsa_blueprint()).await;
}
