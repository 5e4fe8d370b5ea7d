//! People vote, a coordinator carries the votes, and every node counts them itself.

use std::process::Command;
use std::time::SystemTime;

use countersign_client::api::{Api, State, ToldVotes};
use countersign_client::audit::{Bundle, Record};
use countersign_client::requester_key::RequesterKey;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{Choice, Collect, Hash, Scheme, SignedTask, UnixMillis, Vote};
use countersign_tests::cluster::Node;
use countersign_tests::{Blueprint, Cluster, Plugins, process};
use countersign_vote::testing::{Key, ORIGIN, Passkey, RP_ID};

use crate::hostile::Liar;

/// Seeds of keys.
const ANN: u8 = 21;
const ANN_TOO: u8 = 22;
const BEN: u8 = 23;
const DORA: u8 = 24;
const STRANGER: u8 = 25;

/// Two of ann, ben and dora have to approve, and dora has a veto. Ann has two keys, one of them a
/// passkey; so has ben. Alone what signs nothing for a wallet needs nobody.
fn quorum(operations: &str) -> String {
    let key = |seed| Key::new(seed).id();
    let passkey = |seed| Passkey::new(seed).id();
    format!(
        "passkeys: {{rp_id: {RP_ID}, origins: ['{ORIGIN}']}}\n\
         approvers:\n  ann: {{keys: [{}, {}]}}\n  ben: {{keys: [{}]}}\n  dora: {{keys: [{}]}}\n\
         groups: {{board: [ann, ben, dora]}}\n\
         rules:\n  - name: board\n    when: {{operations: [{operations}]}}\n    require: {{group: board, votes: 2}}\n    veto: [dora]\n",
        key(ANN),
        passkey(ANN_TOO),
        passkey(BEN),
        key(DORA),
    )
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_millis() as u64
}

fn collect(votes: u16) -> Option<Collect> {
    Some(Collect {
        votes,
        until: UnixMillis(now() + 50_000),
    })
}

/// A policy of nothing but the people.
fn people_alone(node: &Node) -> String {
    std::fs::write(node.dir.join("quorum.yaml"), quorum("keygen")).unwrap();
    format!(
        "policy:\n  plugins:\n    - {{ name: quorum, file: '{}', config_file: quorum.yaml }}",
        process::plugin("quorum").unwrap().display()
    )
}

impl Liar {
    /// The node's decision on a new task with these votes: the code and text of its refusal, or
    /// nothing.
    async fn voted(
        &mut self,
        id: u8,
        votes: impl FnOnce(Hash) -> Vec<Vote>,
    ) -> Option<(String, String)> {
        let parties = self.parties();
        let mut order = self.task(id, parties.clone());
        order.collect = collect(2);
        let order = self.requester.sign(&order);
        self.show(order.clone(), votes(order.hash())).await
    }

    async fn show(&mut self, task: SignedTask, votes: Vec<Vote>) -> Option<(String, String)> {
        let parties = self.parties();
        self.say(&ToNode::OfferVoted {
            task,
            parties,
            votes,
        })
        .await;
        match self.hear().await {
            FromNode::Decision { refusal, .. } => {
                refusal.map(|refusal| (refusal.code.to_string(), refusal.reason))
            }
            other => panic!("expected a decision, got {other:?}\n{}", self.node.log()),
        }
    }
}

/// Genuine votes on a task, the second by a passkey.
fn genuine(task: Hash) -> [Vote; 2] {
    [
        Key::new(ANN).vote(task, Choice::Approve, now()),
        Passkey::new(BEN).vote(task, Choice::Approve, now()),
    ]
}

/// The second vote is spoilt in many ways: the node says why it does not count, and who is still to
/// vote.
#[tokio::test(flavor = "multi_thread")]
async fn vote_that_a_coordinator_makes_alters_or_keeps_back_convinces_no_node() {
    let mut liar = Liar::start_with(people_alone).await;
    let altered = |vote: &Vote, from: &str, to: &str| {
        let json = vote.to_json();
        let changed = json.replacen(from, to, 1);
        assert_ne!(json, changed, "{from}");
        Vote::from_json(changed.as_bytes()).unwrap()
    };
    let passkey = |task: Hash, change: &dyn Fn(&mut Passkey)| {
        let mut passkey = Passkey::new(BEN);
        change(&mut passkey);
        passkey.vote(task, Choice::Approve, now())
    };
    type Spoil<'a> = Box<dyn Fn(Hash) -> Vec<Vote> + 'a>;
    let cases: Vec<(&str, Spoil<'_>)> = vec![
        ("ann has approved", Box::new(|_| vec![])),
        (
            "for another task",
            Box::new(|_| vec![genuine(Hash([7; 32]))[1].clone()]),
        ),
        (
            "that sign something else",
            Box::new(move |task| {
                let [_, vote] = genuine(task);
                let time = vote.ballot().time.0;
                vec![altered(&vote, &time.to_string(), &(time - 1).to_string())]
            }),
        ),
        (
            "unknown",
            Box::new(|task| vec![Key::new(STRANGER).vote(task, Choice::Approve, now())]),
        ),
        (
            "ann has approved",
            Box::new(|task| vec![Passkey::new(ANN_TOO).vote(task, Choice::Approve, now())]),
        ),
        (
            "expired",
            Box::new(|task| {
                vec![Passkey::new(BEN).vote(task, Choice::Approve, now() - 25 * 3_600_000)]
            }),
        ),
        (
            "from a page that may not collect votes",
            Box::new(move |task| {
                vec![passkey(task, &|key| {
                    key.client_data = key.client_data.replace("console", "evil");
                })]
            }),
        ),
        (
            "by a passkey of another domain",
            Box::new(move |task| vec![passkey(task, &|key| key.rp_id = "evil.example".into())]),
        ),
        (
            "without verification of the user",
            Box::new(move |task| vec![passkey(task, &|key| key.flags &= !4)]),
        ),
        (
            "with a signature in its other form",
            Box::new(move |task| vec![passkey(task, &|key| key.high_s = true)]),
        ),
    ];
    for (number, (why, spoil)) in cases.iter().enumerate() {
        let votes = |task: Hash| {
            let first = genuine(task)[0].clone();
            [vec![first], spoil(task)].concat()
        };
        let refused = liar.voted(number as u8 + 1, votes).await;
        let (code, reason) = refused.unwrap_or_else(|| panic!("approved: {why}"));
        assert_eq!(code, "quorum-pending", "{why}: {reason}");
        assert!(reason.contains(why), "{why}: {reason}");
    }
    let vetoed = |task: Hash| {
        let veto = Key::new(DORA).vote(task, Choice::Reject, now());
        [&genuine(task)[..], &[veto]].concat()
    };
    let (code, _) = liar.voted(100, vetoed).await.expect("dora has a veto");
    assert_eq!(code, "quorum-rejected");
    assert_eq!(liar.voted(101, |task| genuine(task).to_vec()).await, None);
}

/// What was decided stays decided, with whatever votes the coordinator comes again.
#[tokio::test(flavor = "multi_thread")]
async fn vote_that_comes_after_the_decision_does_not_change_it() {
    let mut liar = Liar::start_with(people_alone).await;
    let parties = liar.parties();
    let mut order = liar.task(1, parties);
    order.collect = collect(2);
    let order = liar.requester.sign(&order);
    let votes = genuine(order.hash());
    let refused = liar.show(order.clone(), votes[..1].to_vec()).await;
    assert_eq!(refused.unwrap().0, "quorum-pending");
    let again = liar.show(order, votes.to_vec()).await;
    assert_eq!(again.unwrap().0, "quorum-pending", "a refusal is final");
}

/// A cluster whose nodes ask the people before they sign.
struct Board {
    cluster: Cluster,
    api: Api,
}

impl Board {
    async fn start() -> Self {
        let file = |name| process::plugin(name).unwrap().display().to_string();
        let plugins = format!(
            "  plugins:\n    - {{ name: rules, file: '{}', config_file: rules.yaml, grants: {{ state_bytes: 1048576 }} }}\n    \
             - {{ name: quorum, file: '{}', config_file: quorum.yaml, scope: {{ operations: [keysign] }} }}",
            file("rules"),
            file("quorum"),
        );
        let mut cluster = Cluster::prepare(Blueprint {
            nodes: 2,
            plugins: Plugins::Text(plugins),
            ..Blueprint::default()
        })
        .await
        .unwrap();
        for node in &cluster.nodes {
            std::fs::write(node.rules(), cluster.permissive_rules()).unwrap();
            std::fs::write(node.dir.join("quorum.yaml"), quorum("keysign")).unwrap();
        }
        let config = cluster.coordinator_config();
        let text = std::fs::read_to_string(&config).unwrap();
        let people = format!(
            "passkeys: {{rp_id: {RP_ID}, origins: ['{ORIGIN}']}}\n\
             approvers:\n  - {{name: ann, keys: [{}, {}]}}\n  - {{name: ben, keys: [{}]}}\n  - {{name: dora, keys: [{}], veto: true}}\n",
            Key::new(ANN).id(),
            Passkey::new(ANN_TOO).id(),
            Passkey::new(BEN).id(),
            Key::new(DORA).id(),
        );
        std::fs::write(&config, text + &people).unwrap();
        cluster.start_all().await.unwrap();
        let key = std::fs::read_to_string(cluster.dir().join("api.key")).unwrap();
        let api = Api::new(&format!("http://{}", cluster.http()), key.into()).unwrap();
        Self { cluster, api }
    }

    /// Hands in an order to sign that collects two votes.
    async fn order(&self, wallet: countersign_protocol::KeyId, text: &str) -> SignedTask {
        let sign = self.cluster.order(wallet, "m/1", text.as_bytes(), None);
        let sign = sign.unwrap();
        let mut task = self
            .cluster
            .sign_order(countersign_protocol::Operation::KeySign(
                countersign_protocol::KeySign {
                    key: sign.wallet,
                    path: sign.path,
                    payload: sign.payload,
                    signers: sign.signers,
                },
            ))
            .unwrap()
            .parse()
            .unwrap();
        task.collect = collect(2);
        let key = RequesterKey::load(&self.cluster.dir().join("requester.key")).unwrap();
        let order = key.sign(&task);
        let task = self.api.submit(&order).await.unwrap();
        assert_eq!(task.summary.state, State::Pending);
        order
    }

    async fn vote(&self, order: &SignedTask, vote: Vote) -> ToldVotes {
        let id = order.parse().unwrap().id;
        self.api.vote(id, &vote).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_people_approve_and_the_nodes_sign() {
    let board = Board::start().await;
    let wallet = board
        .cluster
        .create_wallet("treasury", Scheme::Ed25519, 2)
        .await
        .unwrap();

    let order = board.order(wallet.key, "pay 3").await;
    let hash = order.hash();
    let [by_key, by_passkey] = genuine(hash);
    let list = board.vote(&order, by_key).await;
    assert_eq!(list.collecting.unwrap().approved, 1, "{list:?}");
    assert_eq!(list.missing, ["ben", "dora"]);
    board.vote(&order, by_passkey).await;
    let id = order.parse().unwrap().id;
    let ended = board.cluster.client.wait(id, |_| {}).await.unwrap();
    assert_eq!(ended.summary.state, State::Completed, "{ended:?}");

    // The decision is repeated from its recording, votes and all.
    let node = &board.cluster.nodes[0];
    let mut replay: Command = node.command("plugin").unwrap();
    let replayed = process::expect_success(replay.arg("replay").arg(id.to_string())).unwrap();
    assert!(replayed.contains("quorum"), "{replayed}");

    let vetoed = board.order(wallet.key, "pay 4").await;
    let veto = Key::new(DORA).vote(vetoed.hash(), Choice::Reject, now());
    board.vote(&vetoed, veto).await;
    let id = vetoed.parse().unwrap().id;
    let ended = board.cluster.client.wait(id, |_| {}).await.unwrap();
    let reason = ended.summary.reason.clone().unwrap();
    assert_eq!(reason.code, "quorum-rejected", "{reason:?}");
    assert_eq!(reason.plugin.as_deref(), Some("quorum"), "{reason:?}");
}

/// The profile of somebody who can reach nobody, with the ids that the owners told her.
fn auditor(board: &Board) -> tempfile::TempDir {
    let cluster = &board.cluster;
    let dir = tempfile::tempdir().unwrap();
    let nodes: String = cluster
        .nodes
        .iter()
        .map(|node| format!("  {}: {}\n", node.name, node.id))
        .collect();
    let desk = RequesterKey::load(&cluster.dir().join("requester.key")).unwrap();
    let text = format!(
        "coordinator: http://127.0.0.1:1\ncoordinator_id: {}\nnodes:\n{nodes}trusted_requesters: {{desk: {}}}\n\
         passkeys: {{rp_id: {RP_ID}, origins: ['{ORIGIN}']}}\n\
         approvers: {{ann: [{}], ben: [{}], dora: [{}]}}\n",
        cluster.coordinator_id(),
        desk.id(),
        Key::new(ANN).id(),
        Passkey::new(BEN).id(),
        Key::new(DORA).id(),
    );
    let profile = dir.path().join("profile.yaml");
    std::fs::write(&profile, text).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&profile, private).unwrap();
    dir
}

fn client(profile: &std::path::Path, words: &[&str]) -> std::process::Output {
    let mut command = Command::new(process::program("countersign").unwrap());
    process::run(command.args(words).arg("--config").arg(profile)).unwrap()
}

/// From the vote to the auditor's desk: she asks nobody, and what was altered on the way is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_and_nodes_did_is_proven_to_an_auditor_who_can_ask_nobody() {
    let board = Board::start().await;
    let wallet = board.cluster.create_wallet("treasury", Scheme::Ed25519, 2);
    let wallet = wallet.await.unwrap();
    let order = board.order(wallet.key, "pay 3").await;
    for vote in genuine(order.hash()) {
        board.vote(&order, vote).await;
    }
    let id = order.parse().unwrap().id;
    let ended = board.cluster.client.wait(id, |_| {}).await.unwrap();
    assert_eq!(ended.summary.state, State::Completed, "{ended:?}");

    let desk = auditor(&board);
    let file = |name: &str| desk.path().join(name).to_str().unwrap().to_owned();
    let bundle = file("bundle.audit");
    let mut export = vec!["audit", "export", "--from", "2020-01-01", "--out", &bundle];
    let files: Vec<String> = board
        .cluster
        .nodes
        .iter()
        .map(|node| file(&node.name))
        .collect();
    for (node, out) in board.cluster.nodes.iter().zip(&files) {
        let mut command = node.command("audit").unwrap();
        command.args(["export", "--from", "2020-01-01", "--out", out]);
        process::expect_success(&mut command).unwrap();
        export.extend(["--node", out.as_str()]);
    }
    let made = client(&board.cluster.profile(), &export);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );

    let profile = desk.path().join("profile.yaml");
    let good = Bundle::read(&std::fs::read(&bundle).unwrap()).unwrap();
    let [from, to] = [good.time.0, good.time.1].map(|time| time.0.to_string());
    let asked = ["audit", "verify", &bundle, "--from", &from, "--to", &to];
    let verify = || client(&profile, &asked);
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let whole = verify();
    assert_eq!(whole.status.code(), Some(0), "{}", said(&whole));
    for fact in [
        "ann approved it",
        "ben approved it",
        "nodes have the same result",
    ] {
        assert!(said(&whole).contains(fact), "{fact}: {}", said(&whole));
    }

    let alterations: [fn(&mut Bundle); 4] = [
        |bundle| bundle.nodes[0].head.at.0 += 1,
        |bundle| drop(bundle.nodes[1].entries.remove(1)),
        |bundle| {
            let voted = |record: &&mut Record| record.beside.votes != Some(Vec::new());
            let record = bundle.nodes[0].records.iter_mut().find(voted);
            record.unwrap().beside.votes = Some(Vec::new());
        },
        |bundle| {
            let acts = &mut bundle.coordinator.as_mut().unwrap().acts;
            acts[0].target = "another".into();
        },
    ];
    for (number, alter) in alterations.iter().enumerate() {
        let mut altered = good.clone();
        alter(&mut altered);
        std::fs::write(&bundle, altered.write()).unwrap();
        let found = verify();
        assert_eq!(found.status.code(), Some(1), "{number}: {}", said(&found));
    }
    let mut lacking = good.clone();
    lacking.nodes.pop();
    std::fs::write(&bundle, lacking.write()).unwrap();
    let found = verify();
    assert_eq!(found.status.code(), Some(3), "{}", said(&found));
}
