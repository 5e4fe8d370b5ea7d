//! Evil approval servers on a cluster: after every one the seven checks of the oracle. All the
//! cases, and finer ones, are in `host/tests/approver`; these show that nothing is lost
//! between plugin and signature.

use std::process::Command;
use std::time::{Duration, Instant};

use countersign_protocol::Scheme;
use countersign_tests::cluster::Node;
use countersign_tests::oracle::{Oracle, refused};
use countersign_tests::process::{self, Daemon};
use countersign_tests::{Approver, Blueprint, Cluster, Plugins, Script};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn approver_cannot_have_anything_signed_but_by_a_sound_approval() {
    let approver = Approver::start().await.unwrap();
    let elsewhere = Approver::start().await.unwrap();
    let plugins = Plugins::RulesAndCallback {
        url: approver.url(),
        public_key: approver.public_key_pem().unwrap(),
    };
    let cluster = Cluster::start(Blueprint {
        plugins,
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    for node in &cluster.nodes {
        let key = countersign_node::public::read(&node.db())
            .unwrap()
            .callback_public_key;
        approver.trust(&key).unwrap();
        elsewhere.trust(&key).unwrap();
    }
    let wallet = cluster
        .create_wallet("guarded", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    let mut oracle = Oracle::new(&cluster).unwrap();
    oracle
        .after_healing(cluster.client.sign(&order, |_| {}).await.unwrap())
        .unwrap();

    let unsound = "plugin-failed:unavailable";
    for (script, code, words) in [
        (
            Script::Reject("not today".into()),
            "callback-rejected",
            "rejects: not today",
        ),
        (Script::WrongKey, unsound, "not signed by the expected key"),
        (Script::Reflect, unsound, "not signed by the expected key"),
        (Script::AlgNone, unsound, "`alg` is not RS256"),
        (Script::SharedSecret, unsound, "`alg` is not RS256"),
        (Script::OtherRequest, unsound, "0000:1"),
        (Script::Replay, unsound, "the answer is for the request"),
        (Script::Expiry(json!(1)), unsound, "`exp` has passed"),
        (Script::Expiry(json!(null)), unsound, "`exp` is missing"),
        (
            Script::Expiry(json!("4000000000")),
            unsound,
            "`exp` is not a number",
        ),
        (
            Script::Response(json!({"action": "approve"})),
            unsound,
            r#"action Some("approve")"#,
        ),
        (
            Script::Response(json!({"status": 30})),
            "callback-rejected",
            "status 30",
        ),
        (Script::Both, unsound, "the member `action` is repeated"),
        (Script::Body(String::new()), unsound, "the answer is empty"),
        (Script::Body("<html>".into()), unsound, "malformed token"),
        (
            Script::Body("x".repeat(65_537)),
            unsound,
            "exceeds 65536 bytes",
        ),
        (Script::Status(500), unsound, "HTTP status 500"),
        (
            Script::Redirect(elsewhere.url()),
            unsound,
            "HTTP status 307",
        ),
        (
            Script::Slow(Duration::from_secs(30)),
            unsound,
            "no answer in time",
        ),
    ] {
        approver.script(script.clone());
        let refusal = refused(cluster.client.sign(&order, |_| {}).await).unwrap();
        assert_eq!(refusal.code, code, "{script:?}: {refusal:?}");
        assert!(refusal.reason.contains(words), "{script:?}: {refusal:?}");
        oracle
            .after_attack(&cluster, &refusal)
            .unwrap_or_else(|error| panic!("{script:?}: {error:#}"));
        approver.script(Script::Approve);
        let signature = cluster.client.sign(&order, |_| {}).await;
        let signature = signature.unwrap_or_else(|error| {
            panic!("after {script:?} (check 2): {error}\n{}", cluster.logs())
        });
        oracle.after_healing(signature).unwrap();
    }
    assert!(elsewhere.seen().is_empty(), "a redirect was followed");
}

/// `examples/approval-server`, run as its README says.
struct Sample {
    dir: tempfile::TempDir,
    address: String,
    _server: Daemon,
}

fn sample(verb: &str) -> Command {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/approval-server/approval_server.py"
    );
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(verb);
    command
}

impl Sample {
    fn start(nodes: &[Node]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        process::expect_success(sample("keygen").current_dir(dir.path())).unwrap();
        std::fs::create_dir(dir.path().join("nodes")).unwrap();
        for node in nodes {
            let key = countersign_node::public::read(&node.db())
                .unwrap()
                .callback_public_key;
            std::fs::write(
                dir.path().join("nodes").join(format!("{}.pem", node.name)),
                key,
            )
            .unwrap();
        }
        rule(&dir, "approve");
        let mut run = sample("run");
        run.args(["--listen", "127.0.0.1:0", "--strict"])
            .current_dir(dir.path());
        let server = Daemon::start(&mut run, &dir.path().join("log")).unwrap();
        let started = Instant::now();
        let address = loop {
            let log = server.log();
            if let Some((_, address)) = log
                .lines()
                .next()
                .and_then(|line| line.split_once("http://"))
            {
                break address.to_owned();
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the sample server does not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(50));
        };
        Self {
            dir,
            address,
            _server: server,
        }
    }

    /// A node's `policy` section that asks this server.
    fn policy(&self, strict: bool) -> String {
        let file = process::plugin("jwt-callback").unwrap();
        let key = self.dir.path().join("keys/server.pem");
        let url = format!("http://{}/v2/check", self.address);
        format!(
            "  public_keys: {{ sample: '{}' }}\n  plugins:\n    - name: jwt-callback\n      file: '{}'\n      \
             config: {{ strict: {strict}, retry_times: 0, servers: [ {{ url: '{url}', key: sample }} ] }}\n      \
             grants: {{ keys: [callback, sample], http: ['{url}'] }}",
            key.display(),
            file.display(),
        )
    }
}

/// The sample's rules: every key generation, and messages as given.
fn rule(dir: &tempfile::TempDir, messages: &str) {
    let rules = json!({"key_gen": "approve", "key_sign": {"message": messages}});
    std::fs::write(dir.path().join("rules.json"), rules.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_server_decides_by_its_rules_in_strict_mode() {
    let mut cluster = Cluster::prepare(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let sample = Sample::start(&cluster.nodes);
    for index in 0..2 {
        cluster
            .write_node_config(index, &Plugins::Text(sample.policy(true)))
            .unwrap();
    }
    cluster.start_coordinator().unwrap();
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    let wallet = cluster
        .create_wallet("sampled", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster
        .order(wallet.key, "m/1", b"a message in clear", None)
        .unwrap();
    cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));

    rule(&sample.dir, "reject");
    let refusal = refused(cluster.client.sign(&order, |_| {}).await).unwrap();
    assert_eq!(refusal.code, "callback-rejected", "{refusal:?}");
    assert!(
        refusal
            .reason
            .contains("signing message is not allowed by the rules"),
        "{refusal:?}"
    );

    rule(&sample.dir, "approve");
    cluster.nodes[0].daemon().kill().unwrap();
    cluster
        .write_node_config(0, &Plugins::Text(sample.policy(false)))
        .unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    let refusal = refused(cluster.client.sign(&order, |_| {}).await).unwrap();
    assert!(
        refusal.reason.contains("does not ask in strict mode"),
        "{refusal:?}"
    );
}

#[test]
fn the_sample_servers_rules_are_as_its_readme_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/approval-server");
    let mut tests = Command::new("python3");
    process::expect_success(tests.args(["-B", "-m", "unittest"]).current_dir(folder)).unwrap();
}
