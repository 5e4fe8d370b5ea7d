//! Limits count what may have been signed: a failed task uses up none of them.

use std::time::Duration;

use countersign_client::api::TaskView;
use countersign_protocol::Scheme;
use countersign_tests::{Approver, Blueprint, Cluster, Plugins, Script, process};

/// Rules for every key, and a server that is asked about signatures.
fn rules_and_server(url: &str) -> Plugins {
    let file = |name| process::plugin(name).unwrap().display().to_string();
    Plugins::Text(format!(
        "  public_keys: {{ server: server.pem }}\n  plugins:\n    - {{ name: rules, file: '{}', config_file: rules.yaml, \
         grants: {{ state_bytes: 1048576 }} }}\n    - name: jwt-callback\n      file: '{}'\n      scope: {{ operations: [keysign] }}\n      \
         config: {{ retry_times: 0, request_timeout: 1, servers: [ {{ url: '{url}', key: server }} ] }}\n      \
         grants: {{ keys: [callback, server], http: ['{url}'] }}",
        file("rules"),
        file("jwt-callback"),
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_another_signer_refuses_does_not_use_up_a_limit() {
    let approver = Approver::start().await.unwrap();
    let mut cluster = Cluster::prepare(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let rules = cluster.permissive_rules();
    let one_an_hour =
        "  policies: [ { name: all, messages: {}, limits: [ { per: hour, tasks: 1 } ] } ]\n";
    let [alice, bob] = &cluster.nodes[..] else {
        panic!("two nodes")
    };
    std::fs::write(alice.rules(), format!("{rules}{one_an_hour}")).unwrap();
    cluster
        .write_node_config(1, &rules_and_server(&approver.url()))
        .unwrap();
    std::fs::write(
        bob.dir.join("server.pem"),
        approver.public_key_pem().unwrap(),
    )
    .unwrap();
    approver
        .trust(
            &countersign_node::public::read(&bob.db())
                .unwrap()
                .callback_public_key,
        )
        .unwrap();
    let alice = alice.id;
    cluster.start_all().await.unwrap();
    let wallet = cluster
        .create_wallet("limited", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();

    // By the time at which the server has failed to answer, the other node has long approved.
    approver.script(Script::Slow(Duration::from_secs(30)));
    let mut task = None;
    let refused = cluster
        .client
        .sign(&order, |view| task = Some(view.summary.id))
        .await;
    assert_eq!(crate::refusal(refused).0, "plugin-failed:unavailable");
    let party = |view: TaskView| {
        view.nodes
            .into_iter()
            .find(|party| party.node == alice)
            .unwrap()
    };
    let decision = loop {
        let party = party(cluster.client.task(task.unwrap()).await.unwrap());
        match party.outcome {
            Some(_) => break party.decision.unwrap(),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(
        decision.refusal, None,
        "the rules had reserved a task for it"
    );

    approver.script(Script::Approve);
    cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
    assert_eq!(
        crate::refusal(cluster.client.sign(&order, |_| {}).await).0,
        "keysign-limit-tasks"
    );
}
