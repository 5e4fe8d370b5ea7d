//! The approval server's answers and failures, and the nodes' reactions: an approval
//! counts, everything else refuses.

use std::time::{Duration, Instant};

use countersign_protocol::{KeyDescriptor, Scheme, TaskId};
use countersign_tests::{Approver, Blueprint, Cluster, Node, Plugins, Script, jwt, process};

async fn guarded() -> (Approver, Cluster, KeyDescriptor) {
    let approver = Approver::start().await.unwrap();
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
        approver
            .trust(
                &countersign_node::public::read(&node.db())
                    .unwrap()
                    .callback_public_key,
            )
            .unwrap();
    }
    let wallet = cluster
        .create_wallet("guarded", Scheme::Ed25519, 2)
        .await
        .unwrap();
    (approver, cluster, wallet)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_genuine_approval_counts() {
    let (approver, cluster, wallet) = guarded().await;
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    for (script, code, words) in [
        (
            Script::Reject("not today".into()),
            "callback-rejected",
            "not today",
        ),
        (Script::WrongKey, "plugin-failed:unavailable", ""),
        (Script::AlgNone, "plugin-failed:unavailable", ""),
        (Script::OtherRequest, "plugin-failed:unavailable", ""),
        (
            Script::Slow(Duration::from_secs(30)),
            "plugin-failed:unavailable",
            "",
        ),
    ] {
        approver.script(script.clone());
        let (said_code, reason) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
        assert!(reason.contains(words), "{script:?}: {reason}");
        assert_eq!(said_code, code, "{script:?}: {reason}");
        assert!(
            !cluster.logs().contains(" INFO signed"),
            "{script:?}: something was signed"
        );
    }
    approver.script(Script::Approve);
    cluster.client.sign(&order, |_| {}).await.unwrap();
    let found = async {
        while !cluster.logs().contains(" INFO signed") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .expect("the check above looks for the right words");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_say_what_is_signed_and_carry_the_nodes_key() {
    let (approver, cluster, wallet) = guarded().await;
    let before = approver.seen().len();
    let signed = cluster
        .client
        .sign(
            &cluster.order(wallet.key, "m/1/2", b"pay", None).unwrap(),
            |_| {},
        )
        .await
        .unwrap();
    let requests = approver.seen().split_off(before);
    assert_eq!(requests.len(), 2, "each signer asks");
    for request in requests {
        assert_eq!(request["request_type"], 2);
        let detail: serde_json::Value =
            serde_json::from_str(request["request_detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail["task_id"], signed.task.to_string());
        assert_eq!(detail["bip32_path_list"], serde_json::json!(["m/1/2"]));
        assert_eq!(
            detail["msg_hash_list"],
            serde_json::json!([format!("0x{}", hex::encode(b"pay"))])
        );
        assert_eq!(detail["group_id"], wallet.key.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_refuses_and_the_node_lives() {
    let (approver, cluster, wallet) = guarded().await;
    drop(approver);
    let started = Instant::now();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let (code, _) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
    assert_eq!(code, "plugin-failed:unavailable");
    assert!(started.elapsed() < Duration::from_secs(20), "retries end");
    assert!(
        cluster
            .client
            .nodes()
            .await
            .unwrap()
            .iter()
            .all(|node| node.online)
    );
}

/// Waits until every node's log has the words once more than before.
async fn logged(cluster: &Cluster, words: &str, before: &[usize]) {
    let counts = || counts(cluster, words);
    for _ in 0..400 {
        if counts()
            .iter()
            .zip(before)
            .all(|(now, before)| now > before)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{words}` is not in every log:\n{}", cluster.logs());
}

fn counts(cluster: &Cluster, words: &str) -> Vec<usize> {
    cluster
        .nodes
        .iter()
        .map(|node| node.log().matches(words).count())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_public_key_of_the_server_is_taken_up_while_the_node_runs() {
    let (approver, cluster, wallet) = guarded().await;
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let put = async |pem: &str, words: &str| {
        let before = counts(&cluster, words);
        for node in &cluster.nodes {
            std::fs::write(node.dir.join("approver.pem"), pem).unwrap();
            let id = node.daemon.as_ref().unwrap().id().to_string();
            process::expect_success(std::process::Command::new("kill").args(["-HUP", &id]))
                .unwrap();
        }
        logged(&cluster, words, &before).await;
    };
    approver.script(Script::WrongKey);
    crate::refusal(cluster.client.sign(&order, |_| {}).await);

    put(
        &jwt::public_pem(&jwt::keys().1).unwrap(),
        "plugins reloaded",
    )
    .await;
    let signed = cluster.client.sign(&order, |_| {}).await;
    let task = signed
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()))
        .task;
    assert!(rested_on_what_is_configured(&cluster.nodes[0], task));
    approver.script(Script::Approve);
    let (_, reason) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
    assert!(
        reason.contains("not signed by the expected key"),
        "{reason}"
    );

    put(
        "-----BEGIN RUBBISH-----",
        "the old ones stay in force: policy.public_keys.approver",
    )
    .await;
    approver.script(Script::WrongKey);
    cluster.client.sign(&order, |_| {}).await.unwrap();

    put(&approver.public_key_pem().unwrap(), "plugins reloaded").await;
    assert!(
        !rested_on_what_is_configured(&cluster.nodes[0], task),
        "the record keeps the key that decided"
    );
}

/// True if a decision rested on the server's key that the node is configured for now.
fn rested_on_what_is_configured(node: &Node, task: TaskId) -> bool {
    let mut replay = node.command("plugin").unwrap();
    let said =
        process::expect_success(replay.args(["replay", &task.to_string(), "--json"])).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let rested = said["rested_on"].as_array().unwrap();
    let key = rested
        .iter()
        .find(|rested| rested["then"]["name"] == "approver")
        .unwrap_or_else(|| panic!("{said}"));
    key["same"].as_bool().unwrap()
}

/// Callbacks: 0 further tries mean none, unlike those of events.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_further_tries_is_asked_once_and_info_tells_whether_it_answers_pings() {
    let approver = Approver::start().await.unwrap();
    let url = approver.url();
    let policy = format!(
        "  public_keys: {{ server: server.pem }}\n  plugins:\n    - name: jwt-callback\n      file: '{}'\n      \
         monitor_interval: 1s\n      config: {{ retry_times: 0, servers: [ {{ url: '{url}', key: server }} ] }}\n      \
         grants: {{ keys: [callback, server], http: ['{url}'] }}",
        process::plugin("jwt-callback").unwrap().display()
    );
    let blueprint = Blueprint {
        nodes: 2,
        plugins: Plugins::Text(policy),
        ..Blueprint::default()
    };
    let mut cluster = Cluster::prepare(blueprint).await.unwrap();
    for node in &cluster.nodes {
        std::fs::write(
            node.dir.join("server.pem"),
            approver.public_key_pem().unwrap(),
        )
        .unwrap();
        approver
            .trust(
                &countersign_node::public::read(&node.db())
                    .unwrap()
                    .callback_public_key,
            )
            .unwrap();
    }
    cluster.start_all().await.unwrap();
    let wallet = cluster
        .create_wallet("watched", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let told = async |ill: bool| {
        let info =
            || process::expect_success(&mut cluster.nodes[0].command("info").unwrap()).unwrap();
        for _ in 0..200 {
            if info().contains("Not reachable: ") == ill {
                return info();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("`info` does not say so:\n{}", info());
    };
    told(false).await;

    approver.script(Script::Status(500));
    crate::refusal(cluster.client.sign(&order, |_| {}).await);
    let signing = approver
        .seen()
        .into_iter()
        .filter(|request| request["request_type"] == 2)
        .count();
    assert_eq!(signing, 2, "one try of each node");
    let info = told(true).await;
    assert!(
        info.contains("HTTP status 500") && info.contains("[plugin-failed:unavailable]"),
        "{info}"
    );

    approver.script(Script::Approve);
    told(false).await;
    cluster.client.sign(&order, |_| {}).await.unwrap();
}
