//! A policy that several publishers answer for, at a node that signs: what a bundle tightens takes
//! effect at once, and everybody can see what it may loosen before that does.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use countersign_client::SignOrder;
use countersign_client::api::NodeView;
use countersign_host::BundleSignature;
use countersign_protocol::node_status::{BundleState, BundleStatus};
use countersign_protocol::{KeyId, Scheme};
use countersign_tests::{Blueprint, Cluster, Node, Plugins, process};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// Publishers with the seeds of their keys. Two must sign.
const PUBLISHERS: [(&str, u8); 3] = [("ana", 1), ("ben", 2), ("eve", 3)];
const GRANTS: &str = "{state_bytes: 1048576}";
/// Entries of bundles: their names and configurations.
const BOARD: (&str, &str) = (
    "rules:board",
    "{enable: true, key_sign: {policies: [{name: notes, when: {payloads: [message]}, messages: {patterns: ['pay [0-9]+']}}]}}",
);
const FREEZE: (&str, &str) = (
    "rules:freeze",
    "{enable: true, key_sign: {reject_all: true}}",
);
/// A wait that no test sits out.
const DELAY: Duration = Duration::from_secs(48 * 3600);
/// Exit code of `policy take` for a bundle that waits.
const WAITS: i32 = 3;
const END: Duration = Duration::from_secs(60);
const IN_FORCE: BundleState = BundleState::InForce;
const WAITING: BundleState = BundleState::Waiting;

/// Two nodes with a wallet. Alice follows the policy `treasury`, and bob has rules of his own.
struct Treasury {
    cluster: Cluster,
    wallet: KeyId,
    /// The publishers' folder.
    desk: TempDir,
}

impl Treasury {
    async fn start() -> Self {
        let mut cluster = Cluster::prepare(Blueprint {
            nodes: 2,
            ..Blueprint::default()
        })
        .await
        .unwrap();
        let publisher = |(name, seed): (&str, u8)| {
            let key = BundleSignature::sign(&[0; 32], &Zeroizing::new([seed; 32])).key;
            format!("{{name: {name}, key: \"{}\"}}", hex::encode(key))
        };
        let policy = format!(
            "  bundles: {{name: treasury, publishers: [{}], needed: 2, delay: 48h, grants: {GRANTS}}}\n  \
             plugins: [{{name: 'rules:own', file: '{}', config_file: rules.yaml, grants: {GRANTS}}}]",
            PUBLISHERS.map(publisher).join(", "),
            rules().display(),
        );
        cluster
            .write_node_config(0, &Plugins::Text(policy))
            .unwrap();
        cluster.start_all().await.unwrap();
        let wallet = cluster.create_wallet("treasury", Scheme::Ed25519, 2).await;
        let desk = tempfile::tempdir().unwrap();
        for (name, seed) in PUBLISHERS {
            let key = desk.path().join(format!("{name}.key"));
            std::fs::write(&key, hex::encode([seed; 32])).unwrap();
            std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        }
        Self {
            cluster,
            wallet: wallet.unwrap().key,
            desk,
        }
    }

    fn alice(&self) -> &Node {
        &self.cluster.nodes[0]
    }

    /// Publishes a bundle of these entries, signed by these publishers.
    fn publish(&self, version: u32, entries: &[(&str, &str)], signers: &[&str]) -> PathBuf {
        let desk = self.desk.path();
        let entry = |(name, config): &(&str, &str)| {
            format!(
                "    - {{name: '{name}', file: '{}', config: {config}, scope: {{operations: [keysign]}}, grants: {GRANTS}}}\n",
                rules().display()
            )
        };
        let entries: String = entries.iter().map(entry).collect();
        let author = format!("policy:\n  plugins:\n{entries}");
        std::fs::write(desk.join("author.yaml"), author).unwrap();
        let name = format!("{version}-{}", signers.join("-"));
        author_runs(
            desk,
            &format!("draft --name treasury --bundle-version {version} --out {name}.bundle"),
        );
        for signer in signers {
            author_runs(
                desk,
                &format!("sign {name}.bundle --key {signer}.key --yes"),
            );
        }
        author_runs(
            desk,
            &format!("publish {name}.bundle --out {name}.signed.bundle"),
        );
        desk.join(format!("{name}.signed.bundle"))
    }

    /// Has alice run a command of `policy` that must end with this code, and returns what it said.
    #[track_caller]
    fn policy(&self, arguments: &[&str], code: i32) -> String {
        let mut command = self.alice().command("policy").unwrap();
        ends_with(command.args(arguments), code)
    }

    #[track_caller]
    fn take(&self, bundle: &Path, code: i32) -> String {
        self.policy(&["take", bundle.to_str().unwrap()], code)
    }

    fn order(&self, message: &str) -> SignOrder {
        let order = self
            .cluster
            .order(self.wallet, "m/1", message.as_bytes(), None);
        order.unwrap()
    }

    async fn signs(&self, message: &str) {
        let signed = self.cluster.client.sign(&self.order(message), |_| {}).await;
        signed.unwrap_or_else(|error| panic!("{message}: {error}\n{}", self.cluster.logs()));
    }

    /// The code by which a message is refused.
    async fn refuses(&self, message: &str) -> String {
        crate::refusal(self.cluster.client.sign(&self.order(message), |_| {}).await).0
    }

    /// What the coordinator says of alice.
    async fn seen(&self) -> Option<NodeView> {
        let nodes = self.cluster.client.nodes().await.unwrap_or_default();
        nodes.into_iter().find(|node| node.id == self.alice().id)
    }

    /// Waits until the coordinator tells that alice, who is online, has these bundles.
    async fn shows(&self, expected: &[(u64, BundleState)]) -> Vec<BundleStatus> {
        let end = Instant::now() + END;
        loop {
            let seen = self.seen().await;
            let bundles = seen.as_ref().and_then(bundles);
            let told: Option<Vec<_>> = bundles.map(|bundles| {
                let bundles = bundles.iter();
                bundles
                    .map(|bundle| (bundle.version, bundle.state))
                    .collect()
            });
            if let (Some(bundles), Some(told)) = (bundles, told)
                && told == expected
            {
                return bundles.to_vec();
            }
            assert!(
                Instant::now() < end,
                "{expected:?}: {seen:?}\n{}",
                self.cluster.logs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Restarts alice, and waits until she is online with a description of her own. `meanwhile` is
    /// done to the folder of her bundles while she is stopped.
    async fn restart(&mut self, meanwhile: impl FnOnce(&Path)) {
        let before = self.seen().await.and_then(|node| node.since);
        let alice = &mut self.cluster.nodes[0];
        alice.daemon().terminate(END).unwrap();
        meanwhile(&alice.db().join("bundles"));
        alice.start().unwrap();
        let end = Instant::now() + END;
        loop {
            let seen = self.seen().await;
            let since = seen.as_ref().and_then(|node| node.since);
            if since != before && seen.as_ref().and_then(bundles).is_some() {
                return;
            }
            assert!(Instant::now() < end, "{seen:?}\n{}", self.cluster.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The bundles that a node has told of since it came online.
fn bundles(node: &NodeView) -> Option<&[BundleStatus]> {
    let since = node.since.filter(|_| node.online)?;
    let reported = node.reported.as_ref()?;
    let status = reported.status.known()?;
    (reported.at >= since).then_some(&status.bundles[..])
}

fn rules() -> PathBuf {
    process::plugin("rules").unwrap()
}

/// Runs a command of somebody who has no node.
#[track_caller]
fn author_runs(desk: &Path, line: &str) {
    let mut command = Command::new(process::program("countersign-node").unwrap());
    command
        .args(["policy", "--config", "author.yaml"])
        .args(line.split_whitespace())
        .current_dir(desk);
    process::expect_success(&mut command).unwrap();
}

#[track_caller]
fn ends_with(command: &mut Command, code: i32) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = process::run(command).unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(status.code(), Some(code), "{command:?}: {said}");
    said
}

/// Sets the time that a bundle has waited, as if the node had run for so long.
fn has_waited(bundles: &Path, waited: Duration) {
    let file = bundles.join("state.json");
    let state = std::fs::read(&file).unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    let before = state["waiting"]["waited_ms"].as_u64().unwrap();
    assert!(u128::from(before) < waited.as_millis(), "{before}");
    state["waiting"]["waited_ms"] = (waited.as_millis() as u64).into();
    std::fs::write(&file, serde_json::to_vec(&state).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tightens_takes_effect_at_once_and_what_loosens_waits_through_restarts() {
    let mut treasury = Treasury::start().await;
    treasury.shows(&[]).await;
    treasury.signs("steal 3").await;

    let first = treasury.publish(1, &[BOARD], &["ana", "ben"]);
    treasury.take(&first, 0);
    treasury.signs("pay 3").await;
    let refused = treasury.refuses("steal 3").await;
    assert_eq!(refused, "keysign-message-not-allowed");
    treasury.shows(&[(1, IN_FORCE)]).await;

    let tighter = treasury.publish(2, &[BOARD, FREEZE], &["ben", "eve"]);
    treasury.take(&tighter, 0);
    assert_eq!(treasury.refuses("pay 3").await, "keysign-reject-all");
    treasury.shows(&[(2, IN_FORCE)]).await;

    let looser = treasury.publish(3, &[BOARD], &["ana", "ben", "eve"]);
    let said = treasury.take(&looser, WAITS);
    assert!(said.contains("rules:freeze: it is removed"), "{said}");
    assert_eq!(treasury.refuses("pay 3").await, "keysign-reject-all");
    let told = treasury.shows(&[(2, IN_FORCE), (3, WAITING)]).await;
    assert_eq!(told[0].until, None);
    assert!(told[1].until.is_some(), "{told:?}");
    let counts = told.iter().map(|bundle| (bundle.signed, bundle.needed));
    assert_eq!(counts.collect::<Vec<_>>(), [(2, 2), (3, 2)]);
    assert!(told.iter().all(|bundle| bundle.name == "treasury"));

    // Both command lines say so, with what to do.
    let waits = "waits: bundle treasury 3 replaces 2 in ";
    let mut status = treasury.alice().command("status").unwrap();
    let said = ends_with(&mut status, 0);
    assert!(said.contains(waits), "{said}");
    let mut list = Command::new(process::program("countersign").unwrap());
    list.arg("--config").arg(treasury.cluster.profile());
    let said = ends_with(list.args(["node", "list"]), 0);
    assert!(said.contains(waits), "{said}");
    assert!(said.contains("`countersign-node policy withdraw`"));

    treasury.restart(|_| ()).await;
    treasury.shows(&[(2, IN_FORCE), (3, WAITING)]).await;
    assert_eq!(treasury.refuses("pay 3").await, "keysign-reject-all");

    // It goes on where it was: just before its end.
    let waited = DELAY - Duration::from_secs(1);
    treasury
        .restart(|bundles| has_waited(bundles, waited))
        .await;
    treasury.shows(&[(3, IN_FORCE)]).await;
    treasury.signs("pay 3").await;
    assert_eq!(
        treasury.refuses("steal 3").await,
        "keysign-message-not-allowed"
    );

    // The one before refuses more, so the way back is short.
    treasury.policy(&["rollback"], 0);
    assert_eq!(treasury.refuses("pay 3").await, "keysign-reject-all");
    treasury.shows(&[(2, IN_FORCE)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_altered_or_signed_by_too_few_changes_nothing() {
    let treasury = Treasury::start().await;
    let first = treasury.publish(1, &[BOARD], &["ana", "ben"]);
    treasury.take(&first, 0);
    treasury.shows(&[(1, IN_FORCE)]).await;

    let by_one = treasury.publish(2, &[FREEZE], &["ana"]);
    let said = treasury.take(&by_one, 1);
    assert!(said.contains("and 2 must"), "{said}");

    let good = treasury.publish(2, &[FREEZE], &["ana", "ben"]);
    let good = std::fs::read(good).unwrap();
    let name = b"rules:freeze";
    let at = good.windows(name.len()).position(|part| part == name);
    let changed = treasury.desk.path().join("changed.bundle");
    for (at, why) in [
        (at.unwrap() + name.len() - 1, "and 2 must"),
        (good.len() - 1, "damaged"),
    ] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&changed, bytes).unwrap();
        let said = treasury.take(&changed, 1);
        assert!(said.contains(why), "{said}");
    }

    treasury.shows(&[(1, IN_FORCE)]).await;
    treasury.signs("pay 3").await;
    assert_eq!(
        treasury.refuses("steal 3").await,
        "keysign-message-not-allowed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_is_shown_no_more() {
    let treasury = Treasury::start().await;
    let first = treasury.publish(1, &[BOARD, FREEZE], &["ana", "ben"]);
    treasury.take(&first, 0);
    let looser = treasury.publish(2, &[BOARD], &["ana", "ben"]);
    treasury.take(&looser, WAITS);
    treasury.shows(&[(1, IN_FORCE), (2, WAITING)]).await;
    treasury.policy(&["withdraw"], 0);
    treasury.shows(&[(1, IN_FORCE)]).await;
    assert_eq!(treasury.refuses("pay 3").await, "keysign-reject-all");
}
