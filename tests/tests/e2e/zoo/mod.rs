//! Hostile guests that reach a key. Each guards a key of its own at one of two nodes. While a
//! KeySign of that key is decided it does its worst: the KeySign is refused, with the code and the
//! words that `host/tests/zoo` has for it, and the seven checks of the oracle hold. Then something
//! honest is installed in its place, which the running node takes up, and the key signs.
//!
//! `behaviours` are those that misbehave when they are called, `files` those that never become a
//! plugin. All of them are in force at once, so that a side effect of one would show at the others.

// One file makes specimens for both zoos.
#[path = "../../../../host/tests/zoo/animal.rs"]
mod animal;
mod behaviours;
mod cage;
mod escapes;
mod files;
mod gate;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_host::Code;
use countersign_protocol::{PluginVerdict, Scheme, TaskId};
use countersign_tests::cluster::Node;
use countersign_tests::oracle::{Oracle, Refusal, refused};
use countersign_tests::{Blueprint, Cluster, Plugins, process};

use animal::Animal;
use cage::{Cage, Specimen};
use gate::Gate;

/// Codes that the guests themselves refuse with.
const GUESTS: &[&str] = &[
    "zoo",
    "not-a-jwt",
    "unknown-key",
    "denied",
    "too-large",
    "nothing-there",
    "quota",
    "status-307",
];

/// Largest component: the node reads all files again and again.
const COMPONENT: usize = 1 << 20;

/// Two nodes, of which the first keeps the cages.
struct Zoo {
    cluster: Cluster,
    oracle: Oracle,
    cages: Vec<Cage>,
}

impl Zoo {
    /// Makes a key for each specimen under harmless rules, and then locks the specimens up
    /// in front of them.
    async fn open(specimens: Vec<Specimen>, gate: &Gate) -> Self {
        let mut cluster = Cluster::start(Blueprint {
            nodes: 2,
            ..Blueprint::default()
        })
        .await
        .unwrap();
        let dir = cluster.nodes[0].dir.join("zoo");
        std::fs::create_dir(&dir).unwrap();
        let mut cages = Vec::new();
        for specimen in specimens {
            let wallet = cluster
                .create_wallet(specimen.name, Scheme::Ed25519, 2)
                .await
                .unwrap();
            cages.push(Cage::new(specimen, wallet.key, &dir));
        }
        cages.iter().for_each(Cage::lock_up);
        cluster.nodes[0]
            .daemon()
            .terminate(Duration::from_secs(20))
            .unwrap();
        cluster
            .write_node_config(0, &Plugins::Text(policy(&cluster.nodes[0], &cages, gate)))
            .unwrap();
        cluster.nodes[0].start().unwrap();
        cluster.wait_online().await.unwrap();
        let oracle = Oracle::new(&cluster).unwrap().with_codes(GUESTS);
        Self {
            cluster,
            oracle,
            cages,
        }
    }

    async fn sign(
        &self,
        cage: &Cage,
    ) -> Result<countersign_client::Signature, countersign_client::ClientError> {
        let order = self.cluster.order(cage.key, "m", b"pay", None).unwrap();
        self.cluster.client.sign(&order, |_| {}).await
    }

    /// The specimen is asked, refuses for its own reason and in its own time, and harms nobody.
    async fn attack(&self, cage: &Cage) -> Refusal {
        let Specimen {
            name, code, words, ..
        } = &cage.specimen;
        let refusal =
            refused(self.sign(cage).await).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(refusal.code, *code, "{name}: {refusal:?}");
        assert!(refusal.reason.contains(words), "{name}: {refusal:?}");
        let verdict = self.verdict(refusal.task).await;
        assert_eq!(
            (verdict.plugin.as_str(), verdict.code.as_str()),
            (cage.entry().as_str(), *code),
            "{name}"
        );
        let budget = Duration::from_millis(cage.specimen.wall_ms);
        assert!(
            Duration::from_micros(verdict.micros) < 2 * budget,
            "{name} took {} us",
            verdict.micros
        );
        self.oracle
            .after_attack(&self.cluster, &refusal)
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        refusal
    }

    /// The verdict of the first node's plugin.
    async fn verdict(&self, task: TaskId) -> PluginVerdict {
        let view = self.cluster.client.task(task).await.unwrap();
        let party = view
            .nodes
            .into_iter()
            .find(|party| party.node == self.cluster.nodes[0].id)
            .unwrap();
        let mut verdicts = party.decision.unwrap().verdicts;
        assert_eq!(
            verdicts.len(),
            1,
            "one plugin guards each key: {verdicts:?}"
        );
        verdicts.remove(0)
    }

    /// Puts something honest into every cage, and waits until all of it is in force.
    async fn heal(&self) {
        self.cages.iter().for_each(Cage::replace_by_honest);
        self.in_force(|cage| cage.is_honest_in(&self.cluster.nodes[0]))
            .await;
    }

    async fn in_force(&self, all: impl Fn(&Cage) -> bool) {
        for _ in 0..600 {
            if self.cages.iter().all(&all) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "a change was not taken up:\n{}",
            self.cluster.nodes[0].log()
        );
    }

    /// Signs with every key.
    async fn all_sign(&mut self) {
        for cage in &self.cages {
            let name = cage.specimen.name;
            let signed = self.sign(cage).await;
            let signed = signed.unwrap_or_else(|error| {
                panic!("{name} (check 2): {error}\n{}", self.cluster.nodes[0].log())
            });
            self.oracle
                .after_healing(signed)
                .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }
}

/// A node's `policy`: rules for new keys, and before each key its cage.
fn policy(node: &Node, cages: &[Cage], gate: &Gate) -> String {
    let key = countersign_node::public::read(&node.db())
        .unwrap()
        .callback_public_key;
    std::fs::write(node.dir.join("cb.pem"), key).unwrap();
    let rogue = process::guest("rogue").unwrap();
    let cages: String = cages.iter().map(|cage| cage.policy(&rogue, gate)).collect();
    format!(
        "  public_keys: {{ cb: cb.pem }}\n  compile: {{ component_bytes: {COMPONENT} }}\n  plugins:\n    - {{ name: rules, file: '{}', config_file: rules.yaml, \
         grants: {{ state_bytes: 1048576 }}, scope: {{ operations: [keygen] }} }}\n{cages}",
        process::plugin("rules").unwrap().display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn zoo_no_hostile_guest_has_anything_signed_and_none_harms_its_key() {
    let gate = Gate::open().await;
    let specimens = [behaviours::all(&gate), files::all()].concat();
    let mut zoo = Zoo::open(specimens, &gate).await;
    for cage in &zoo.cages {
        zoo.attack(cage).await;
    }
    assert_eq!(
        gate.passed(),
        ["/allowed/away"],
        "requests beyond the grants left the node"
    );
    let logs = zoo.cluster.logs();
    assert!(
        !logs
            .lines()
            .any(|line| line.starts_with(behaviours::FORGED)),
        "a guest wrote a line of the log"
    );
    assert!(
        !logs.contains('\u{1b}'),
        "a guest steers the terminal that shows the log"
    );
    zoo.heal().await;
    zoo.all_sign().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zoo_other_keys_sign_while_a_guest_loops_or_sleeps() {
    let gate = Gate::open().await;
    let patient = |name, animal, code, words| {
        Specimen::animal(name, animal, code, words).granted(20_000, 4_000)
    };
    let specimens = vec![
        patient("loop", behaviours::looping(), Code::Timeout, "no answer"),
        patient("nap", behaviours::napping(), Code::Timeout, "no answer"),
        Specimen::animal("neighbour", Animal::default(), Code::Trap, "never asked"),
    ];
    let mut zoo = Zoo::open(specimens, &gate).await;
    let [looping, napping, neighbour] = &zoo.cages[..] else {
        panic!("three cages")
    };
    for busy in [looping, napping] {
        let order = zoo.cluster.order(busy.key, "m", b"pay", None).unwrap();
        let task = Arc::new(Mutex::new(None));
        let ordered = zoo
            .cluster
            .client
            .sign(&order, |view| *task.lock().unwrap() = Some(view.summary.id));
        let beside = async {
            while task.lock().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let signed = zoo.sign(neighbour).await.unwrap();
            let task = task.lock().unwrap().unwrap();
            (signed, zoo.cluster.client.task(task).await.unwrap())
        };
        let (refusal, (signed, view)) = tokio::join!(ordered, beside);
        assert!(
            view.summary
                .state
                .known()
                .is_some_and(|state| !state.is_final()),
            "{} was refused before its neighbour signed",
            busy.specimen.name
        );
        let refusal = refused(refusal).unwrap();
        assert_eq!(refusal.code, busy.specimen.code, "{refusal:?}");
        zoo.oracle.after_attack(&zoo.cluster, &refusal).unwrap();
        zoo.oracle.after_healing(signed).unwrap();
    }
    zoo.heal().await;
    zoo.all_sign().await;
}
