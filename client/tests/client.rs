//! The client against a real coordinator: what it accepts, what it refuses, and the output
//! of the command line.

mod cases;
mod cluster;
mod connecting;
mod forged;
mod moving;
mod operators;
mod routes;
mod table;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use countersign_client::{
    BeliefError, Client, ClientError, Listed, NewWallet, SignOrder, Standing,
};
use countersign_protocol::{Committee, KeyDescriptor, Payload, PayloadKind, Scheme, Threshold};
use serde_json::Value;

use cluster::{Cluster, Mood};

fn new_wallet(cluster: &Cluster) -> NewWallet {
    NewWallet {
        name: "hot".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(cluster.nodes[..3].to_vec()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        note: None,
        claims: Default::default(),
    }
}

fn named(cluster: &Cluster, name: &str) -> NewWallet {
    NewWallet {
        name: name.into(),
        ..new_wallet(cluster)
    }
}

fn pay(wallet: &KeyDescriptor) -> SignOrder {
    let payload = Payload::new(PayloadKind::Message, b"pay".to_vec());
    SignOrder::new(wallet.key, "m".parse().unwrap(), payload)
}

fn client(cluster: &Cluster) -> Client {
    Client::new(cluster.profile()).unwrap()
}

/// Waits until all nodes are online, so that no task has to wait for them.
async fn all_on_line(client: &Client) {
    while client
        .nodes()
        .await
        .unwrap()
        .iter()
        .any(|node| !node.online)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn ready(mood: Mood) -> (Cluster, Client, KeyDescriptor) {
    let cluster = Cluster::start(mood).await;
    let client = client(&cluster);
    all_on_line(&client).await;
    let wallet = client
        .create_wallet(&new_wallet(&cluster), |_| ())
        .await
        .unwrap();
    (cluster, client, wallet)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_and_a_signature_are_made_followed_and_verified() {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    assert!(
        client
            .extended_public_key(&wallet)
            .unwrap()
            .starts_with("cpub")
    );
    let mut states = Vec::new();
    let signature = client
        .sign(&pay(&wallet), |task| {
            states.push(task.summary.state.clone())
        })
        .await
        .unwrap();
    assert_eq!(signature.signed.signatures[0].signed_bytes, b"pay");
    assert!(
        states
            .last()
            .and_then(|state| state.known())
            .is_some_and(|state| state.is_final()),
        "{states:?}"
    );
    let task = client.wait(signature.task, |_| ()).await.unwrap();
    assert_eq!(
        (
            task.summary.operation.to_string().as_str(),
            task.nodes.len()
        ),
        ("KeySign", 2)
    );
    assert_eq!(client.tasks(10, None).await.unwrap().tasks.len(), 2);
    assert_eq!(client.find_wallet("hot").await.unwrap(), wallet);
    assert!(cluster.dir.path().join("wallets.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinators_addresses_are_those_that_this_client_derives() {
    let (cluster, _, wallet) = ready(Mood::Honest).await;
    let path = "m,m/44/501/0,m/0/1,m/0/2,m/0/3";
    let args = ["address", "hot", "--path", path, "--json"];
    let own = json(&binary(cluster.dir.path(), &args).await);
    let key = std::fs::read_to_string(cluster.dir.path().join("api.key")).unwrap();
    let mut told = Vec::new();
    for query in ["path=m,m/44/501/0", "path=m/0&first=1&count=3"] {
        let base = format!("http://{}/v1/wallets", cluster.coordinator.http);
        let url = format!("{base}/{}/addresses?{query}", wallet.key);
        let request = reqwest::Client::new().get(url).bearer_auth(&key);
        let answer = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["wallet"], own["wallet"]);
        told.extend(answer["children"].as_array().unwrap().clone());
    }
    assert_eq!(Value::from(told), own["children"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_book_that_was_changed_is_verified_again() {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    client.sign(&pay(&wallet), |_| ()).await.unwrap();
    let book = cluster.dir.path().join("wallets.json");
    let text = std::fs::read_to_string(&book).unwrap();
    std::fs::write(&book, text.replace(r#""threshold":2"#, r#""threshold":3"#)).unwrap();
    let error = client.sign(&pay(&wallet), |_| ()).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Belief(BeliefError::Wallet { .. })),
        "{error}"
    );
    std::fs::write(&book, text).unwrap();
    client.sign(&pay(&wallet), |_| ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_book_grows_by_one_line_for_each_wallet() {
    let (cluster, client, first) = ready(Mood::Honest).await;
    let book = cluster.dir.path().join("wallets.json");
    let before = std::fs::read_to_string(&book).unwrap();
    let second = client
        .create_wallet(&named(&cluster, "second"), |_| ())
        .await
        .unwrap();
    let after = std::fs::read_to_string(&book).unwrap();
    let added = after.strip_prefix(&before).unwrap();
    assert_eq!((before.lines().count(), added.lines().count()), (2, 1));

    // A program that was stopped while it wrote: it reported nothing that it did not finish.
    let torn = format!("{before}{}", &added[..added.len() / 2]);
    std::fs::write(&book, &torn).unwrap();
    assert_eq!(client.find_id("hot").unwrap(), first.key);
    assert!(client.find_id("second").is_err());
    let third = client
        .create_wallet(&named(&cluster, "third"), |_| ())
        .await
        .unwrap();
    let healed = std::fs::read_to_string(&book).unwrap();
    assert!(
        healed
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{healed}"
    );
    assert_eq!(client.find_id("third").unwrap(), third.key);
    // The coordinator knows the second.
    assert_eq!(client.wallet(second.key).await.unwrap(), second);
    let met = std::fs::read_to_string(&book).unwrap();
    assert_eq!(met.strip_prefix(&healed).unwrap().lines().count(), 1);

    std::fs::write(&book, before.replace("\"wallet\"", "\"purse\"")).unwrap();
    let error = client.find_id("hot").unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("purse"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_book_that_was_one_document_is_read_and_continued() {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    let book = cluster.dir.path().join("wallets.json");
    let text = std::fs::read_to_string(&book).unwrap();
    let entry: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let document =
        serde_json::json!({ "version": 2, "wallets": { wallet.key.to_string(): entry } });
    std::fs::write(&book, serde_json::to_vec_pretty(&document).unwrap()).unwrap();
    client.sign(&pay(&wallet), |_| ()).await.unwrap();
    client
        .create_wallet(&named(&cluster, "second"), |_| ())
        .await
        .unwrap();
    assert!(
        std::fs::read_to_string(&book)
            .unwrap()
            .starts_with(&text[..text.find('\n').unwrap()])
    );
    assert_eq!(client.find_id("hot").unwrap(), wallet.key);

    std::fs::write(&book, text.replace("{\"version\":3}", "{\"version\":4}")).unwrap();
    let error = client.find_id("hot").unwrap_err().to_string();
    assert!(error.contains("version 4, this program knows 3"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_node_and_plugin() {
    let (_cluster, client, wallet) = ready(Mood::Strict).await;
    let error = client.sign(&pay(&wallet), |_| ()).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let ClientError::Rejected {
        node, plugin, code, ..
    } = error
    else {
        panic!("{error}")
    };
    assert!(
        node.starts_with('n') && node.len() == 2,
        "the profile's own name, not {node}"
    );
    assert_eq!((plugin.as_deref(), code.as_str()), (Some("rules"), "limit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refused_is_not_gone_around_and_the_end_is_the_coordinators_word() {
    let (cluster, client, wallet) = ready(Mood::OneStrict).await;
    let mut order = pay(&wallet);
    order.signers = Some(cluster.nodes[..2].to_vec());
    let error = client.sign(&order, |_| ()).await.unwrap_err();
    assert_eq!(error.others(), []);
    assert!(error.open_until().is_some());
    let args = ["sign", "hot", "--message", "pay 5", "--signers", "n0,n1"];
    let refused = run(&cluster, &args).await;
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("the coordinator's word alone")
            && said.contains("order nothing in its place before"),
        "{said}"
    );
    assert!(
        !said.contains("--signers") && !said.contains("new task"),
        "{said}"
    );
    let told = run(&cluster, &[&args[..], &["--json"]].concat()).await;
    assert!(json(&told)["error"]["open_until"].as_u64().is_some());
}

/// The coordinator tells the end of the order before that is there, and afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn other_signers_are_named_once_an_order_is_over_whose_signer_was_not_online() {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    cluster.leave(0).await;
    let mut order = pay(&wallet);
    order.signers = Some(cluster.nodes[..2].to_vec());
    let client = client.with_timeout(Some(Duration::from_secs(1)));
    let error = client.sign(&order, |_| ()).await.unwrap_err();
    assert_eq!(error.code(), "expired", "{error}");
    let mut others = error.others().to_vec();
    others.sort_unstable();
    let mut expected = cluster.nodes[1..3].to_vec();
    expected.sort_unstable();
    assert_eq!((error.open_until(), others), (None, expected));
    let args = [
        "sign",
        "hot",
        "--message",
        "pay 5",
        "--signers",
        "n0,n1",
        "--timeout",
        "1",
    ];
    let expired = run(&cluster, &args).await;
    assert_eq!(expired.status.code(), Some(3));
    let offered = text(&expired.stderr);
    assert!(
        offered.contains("--signers n1,n2") || offered.contains("--signers n2,n1"),
        "{offered}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_names_and_columns_and_programs_see_no_colours() {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    client.sign(&pay(&wallet), |_| ()).await.unwrap();
    let long: Vec<String> = cluster.nodes.iter().map(ToString::to_string).collect();
    let out = async |args: &[&str]| {
        let output = run(&cluster, args).await;
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert!(
            !output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b),
            "no terminal, no colours"
        );
        text(&output.stdout)
    };
    let nodes = out(&["node", "list"]).await;
    assert!(
        nodes.starts_with("NAME") && nodes.contains("n0    online"),
        "{nodes}"
    );
    let wallets = out(&["wallet", "list"]).await;
    assert!(
        wallets.contains("2 of 3") && wallets.contains("n1") && !wallets.contains(&long[1]),
        "{wallets}"
    );
    let tasks = out(&["task", "list"]).await;
    assert!(tasks.contains("KeySign    hot     completed"), "{tasks}");
    let signed = run(&cluster, &["sign", "hot", "--message", "pay"]).await;
    let progress = text(&signed.stderr);
    assert!(
        long.iter().all(|id| !progress.contains(id.as_str())),
        "{progress}"
    );
    let shown = out(&["task", "show", &wallet.task.to_string()]).await;
    assert!(
        shown.contains("requester   you (csr1") && shown.contains("with wallet hot (csk1"),
        "{shown}"
    );
    let refused = run(&cluster, &["wallet", "descriptor", "hot"]).await;
    assert!(
        text(&refused.stderr).contains("ecdsa-secp256k1 or taproot"),
        "{}",
        text(&refused.stderr)
    );
}

/// A node of another id, under a name that the profile has for somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn the_coordinators_name_for_a_node_is_not_accepted_as_a_name() {
    let cluster = Cluster::start(Mood::Honest).await;
    cluster.lie(r#""name":"n0""#, r#""name":"n1""#).await;
    let listed = text(&run(&cluster, &["node", "list"]).await.stdout);
    assert!(listed.contains("n1 (NOT your n1)"), "{listed}");
    let id = cluster.nodes[0].to_string();
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("n0 ") && line.contains(&id)),
        "{listed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_signature_is_not_accepted() {
    let (cluster, honest, wallet) = ready(Mood::Honest).await;
    let signature = hex::encode(
        honest
            .sign(&pay(&wallet), |_| ())
            .await
            .unwrap()
            .signed
            .signatures[0]
            .signature
            .clone(),
    );
    let changed = format!(
        "{}{}",
        if signature.starts_with('0') { "1" } else { "0" },
        &signature[1..]
    );
    cluster.lie(&signature, &changed).await;
    let error = client(&cluster)
        .sign(&pay(&wallet), |_| ())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Invalid { .. }), "{error}");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_with_another_root_key_is_refused_known_or_not() {
    let (cluster, _, wallet) = ready(Mood::Honest).await;
    let root = hex::encode(&wallet.root_public_key);
    let other = hex::encode(cluster.nodes[0].as_bytes());
    cluster.lie(&root, &other).await;
    let liar = client(&cluster);
    let known = liar
        .find_wallet(&wallet.key.to_string())
        .await
        .unwrap_err()
        .to_string();
    assert!(known.contains("root key differs"), "{known}");
    let listed = liar.wallets().await.unwrap();
    assert!(
        matches!(
            &listed[..],
            [Listed {
                standing: Standing::Refused(_),
                ..
            }]
        ),
        "{listed:?}"
    );
    std::fs::remove_file(cluster.dir.path().join("wallets.json")).unwrap();
    let fresh = liar
        .find_wallet(&wallet.key.to_string())
        .await
        .unwrap_err()
        .to_string();
    assert!(fresh.contains("acknowledgement"), "{fresh}");
    let made = liar
        .create_wallet(&new_wallet(&cluster), |_| ())
        .await
        .unwrap_err();
    assert!(
        matches!(made, ClientError::Belief(BeliefError::Wallet { .. })),
        "{made}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_is_met_later_must_belong_to_a_signed_order() {
    let (cluster, honest, wallet) = ready(Mood::Honest).await;
    let book = cluster.dir.path().join("wallets.json");
    std::fs::remove_file(&book).unwrap();
    let task = honest.task(wallet.task).await.unwrap();
    let signature = hex::encode(task.signature.to_bytes());
    let changed = format!(
        "{}{}",
        if signature.starts_with('0') { "1" } else { "0" },
        &signature[1..]
    );
    cluster.lie(&signature, &changed).await;
    let error = client(&cluster)
        .wallet(wallet.key)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("not signed by its requester"), "{error}");
    assert!(!book.exists());
    assert_eq!(honest.wallet(wallet.key).await.unwrap(), wallet);
    assert!(book.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_in_time_says_so() {
    let (cluster, _, wallet) = ready(Mood::Honest).await;
    let client = client(&cluster).with_timeout(Some(Duration::from_millis(1)));
    let error = client.sign(&pay(&wallet), |_| ()).await.unwrap_err();
    assert!(
        matches!(
            error.code(),
            "expired" | "decision-timeout" | "task-expired"
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_answer_was_lost_is_handed_in_again_and_carried_out_once() {
    let cluster = Cluster::start(Mood::Honest).await;
    let honest = client(&cluster);
    all_on_line(&honest).await;
    cluster::swallow_first_answer(&cluster).await;
    client(&cluster)
        .create_wallet(&new_wallet(&cluster), |_| ())
        .await
        .unwrap();
    assert_eq!(honest.tasks(10, None).await.unwrap().tasks.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_wallets_and_signatures() {
    let cluster = Cluster::start(Mood::Honest).await;
    all_on_line(&client(&cluster)).await;
    let create = [
        "wallet",
        "create",
        "hot",
        "--scheme",
        "ed25519",
        "--threshold",
        "2",
        "--nodes",
        "n0,n1,n2",
    ];
    let made = json(&run(&cluster, &[&create[..], &["--json"]].concat()).await);
    assert!(
        made["extended_public_key"]
            .as_str()
            .unwrap()
            .starts_with("cpub"),
        "{made}"
    );
    let sign = run(&cluster, &["sign", "hot", "--message", "pay"]).await;
    assert_eq!(sign.status.code(), Some(0), "{}", text(&sign.stderr));
    assert_eq!(
        text(&sign.stdout).trim().len(),
        128,
        "stdout is the signature and nothing else"
    );
    assert!(
        text(&sign.stderr).contains("completed") && text(&sign.stderr).contains("verified under")
    );
    for (args, key) in [
        (&["wallet", "list"][..], "wallets"),
        (&["wallet", "show", "hot"], "wallet"),
        (&["task", "list"], "tasks"),
        (&["node", "list"], "nodes"),
        (&["version"], "version"),
        (&["sign", "hot", "--digest", &"00".repeat(32)], "signatures"),
    ] {
        let output = run(&cluster, &[args, &["--json"]].concat()).await;
        assert!(
            !json(&output)[key].is_null(),
            "{args:?} {}",
            text(&output.stderr)
        );
        assert!(run(&cluster, args).await.status.success());
    }
    let tasks = json(&run(&cluster, &["task", "list", "--json"]).await);
    let id = tasks["tasks"][0]["id"].as_str().unwrap();
    assert!(
        text(&run(&cluster, &["task", "show", id]).await.stdout)
            .contains("approved by all parties")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_transaction_is_written_once_and_never_over_another_file() {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    // One signer, who pays 5 lamports to 0x22…22 by the system program.
    let transfer = [
        &[2, 2, 0, 1, 12][..],
        &2u32.to_le_bytes(),
        &5u64.to_le_bytes(),
    ]
    .concat();
    let accounts = [&wallet.root_public_key[..], &[0x22; 32], &[0; 32]].concat();
    let message = [&[1, 0, 1, 3][..], &accounts, &[0x33; 32], &[1], &transfer].concat();
    let hex = hex::encode(&message);
    let file = cluster.dir.path().join("signed.tx");
    let order = [
        "sign",
        "hot",
        "--solana",
        &hex,
        "--out",
        file.to_str().unwrap(),
    ];

    let made = json(&run(&cluster, &[&order[..], &["--json"]].concat()).await);
    let facts = (&made["out"]["bytes"], &made["out"]["missing_signatures"]);
    assert_eq!(facts, (&Value::from(215), &Value::from(0)), "{made}");
    let written = std::fs::read(&file).unwrap();
    let [1, rest @ ..] = &written[..] else {
        panic!("one signature, not {}", written[0])
    };
    let (signature, rest) = rest.split_first_chunk().unwrap();
    let key =
        ed25519_dalek::VerifyingKey::from_bytes(wallet.root_public_key[..].try_into().unwrap())
            .unwrap();
    key.verify_strict(rest, &ed25519_dalek::Signature::from_bytes(signature))
        .unwrap();
    assert_eq!(rest, message);

    let orders = client.tasks(10, None).await.unwrap().tasks.len();
    let refused = run(&cluster, &order).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("--force"),
        "{}",
        text(&refused.stderr)
    );
    let text_form = run(
        &cluster,
        &[&order[..], &["--force", "--encoding", "base64"]].concat(),
    )
    .await;
    assert!(text_form.status.success(), "{}", text(&text_form.stderr));
    let encoded = std::fs::read_to_string(&file).unwrap();
    assert!(
        encoded.starts_with('A') && encoded.ends_with('\n') && encoded.is_ascii(),
        "{encoded}"
    );
    let orders = orders + 1;
    let form = run(
        &cluster,
        &[&order[..], &["--force", "--format", "tx"]].concat(),
    )
    .await;
    assert!(
        text(&form.stderr).contains("leave out --format"),
        "{}",
        text(&form.stderr)
    );
    assert_eq!(
        client.tasks(10, None).await.unwrap().tasks.len(),
        orders,
        "nothing was ordered in vain"
    );
    let forced = run(&cluster, &[&order[..], &["--force"]].concat()).await;
    assert!(
        text(&forced.stderr).contains("complete"),
        "{}",
        text(&forced.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_refusal_from_failure_and_from_wrong_usage() {
    let (cluster, ..) = ready(Mood::Strict).await;
    let refused = run(&cluster, &["sign", "hot", "--message", "pay", "--json"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let body: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(body["error"]["code"], "limit");
    for args in [
        &["sign", "cold", "--message", "pay"][..],
        &["sign", "hot"],
        &["sign", "hot", "--message", "a", "--digest", "00"],
        &["sign", "hot", "--digest", "00"],
        &["sign", "hot", "--message-hex", "xy"],
        &["sign", "hot", "--message", "a", "--psbt", "cHNidP8="],
        &["sign", "hot", "--psbt", "?"],
        &["sign", "hot", "--solana", "?"],
        &["sign", "hot", "--eip712", "/nowhere/at/all"],
        &["sign", "hot", "--message", "a", "--claim", "reference"],
        &["sign", "hot", "--message", "a", "--claim", "Reference=1"],
        &[
            "sign",
            "hot",
            "--message",
            "a",
            "--claim",
            "a=1",
            "--claim",
            "a=2",
        ],
        &["sign", "hot", "--message", "a", "--expect-digest", "xy"],
        &["sign", "hot", "--message", "a", "--path", "m/44'"],
        &["sign", "hot", "--message", "a", "--signers", "mallory,n1"],
        &[
            "wallet",
            "create",
            "x",
            "--scheme",
            "ed25519",
            "--threshold",
            "4",
            "--nodes",
            "n0,n1,n2",
        ],
        &["nonsense"],
    ] {
        let output = run(&cluster, args).await;
        assert_eq!(
            output.status.code(),
            Some(1),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}"
        );
    }
    let cluster_http = cluster.coordinator.http;
    cluster.coordinator.stop().await;
    let gone = binary(cluster.dir.path(), &["node", "list"]).await;
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        text(&gone.stderr).contains(&cluster_http.to_string()),
        "{}",
        text(&gone.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_can_be_asked_about_first_and_nothing_is_ordered() {
    let (cluster, client, _) = ready(Mood::Honest).await;
    let orders = client.tasks(10, None).await.unwrap().tasks.len();
    let new = ["--threshold", "2", "--nodes", "n0,n1,n3", "--dry-run"];
    for args in [
        &["sign", "hot", "--message", "pay", "--dry-run"][..],
        &["wallet", "check", "hot", "--dry-run"],
        &[&["wallet", "create", "x", "--scheme", "ed25519"], &new[..]].concat(),
        &[&["wallet", "reshare", "hot"], &new[..]].concat(),
    ] {
        let asked = run(&cluster, args).await;
        let said = text(&asked.stderr);
        assert_eq!(asked.status.code(), Some(0), "{args:?}: {said}");
        assert!(
            text(&asked.stdout).contains("would be approved by"),
            "{args:?}"
        );
    }
    let out = ["--dry-run", "--out", "signed"];
    let both = run(
        &cluster,
        &[&["sign", "hot", "--message", "a"], &out[..]].concat(),
    )
    .await;
    assert_eq!(both.status.code(), Some(1));
    assert_eq!(client.tasks(10, None).await.unwrap().tasks.len(), orders);
    let (cluster, ..) = ready(Mood::Strict).await;
    let asked = run(&cluster, &["sign", "hot", "--message", "pay", "--dry-run"]).await;
    assert_eq!(asked.status.code(), Some(2));
    assert!(text(&asked.stdout).contains("over the limit [limit]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_explained_listed_and_watched() {
    let (cluster, _, wallet) = ready(Mood::Honest).await;
    let task = wallet.task.to_string();
    for (args, shown) in [
        (&["task", "explain", &task][..], "completed"),
        (&["task", "watch", &task], "KeyGen hot: completed"),
        (
            &["task", "list", "--wallet", "hot", "--state", "completed"],
            "KeyGen",
        ),
        (
            &["event", "list", "--type", "wallet.created"],
            "wallet.created",
        ),
    ] {
        let done = run(&cluster, args).await;
        let lines = text(&done.stdout);
        assert!(
            done.status.success() && lines.contains(shown),
            "{args:?}: {lines}"
        );
    }
    let cancelled = run(&cluster, &["task", "cancel", &task]).await;
    assert_eq!(cancelled.status.code(), Some(1), "it has ended");
}

#[tokio::test]
async fn help_says_what_exit_codes_and_files_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let help = text(&binary(dir.path(), &["--help"]).await.stdout);
    for word in [
        "requester",
        "wallet",
        "sign",
        "connect",
        "task",
        "node",
        "Exit codes",
        "api_key_file",
        "--json",
        "--timeout",
    ] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
    let sign = text(&binary(dir.path(), &["sign", "--help"]).await.stdout);
    for word in [
        "--message-hex",
        "blindly",
        "--evm-transaction",
        "--eip191",
        "--eip712",
        "--psbt",
        "--solana",
        "--claim",
        "--expect-digest",
    ] {
        assert!(sign.contains(word), "{word} is missing in\n{sign}");
    }
}

#[tokio::test]
async fn help_says_how_tools_are_connected() {
    let dir = tempfile::tempdir().unwrap();
    for (command, words) in [
        (
            "evm",
            &[
                "--path",
                "--rpc",
                "--rpc-file",
                "--chain-id",
                "--listen",
                "--token-file",
                "--origin",
            ][..],
        ),
        (
            "evm",
            &[
                "--max-fee",
                "--wait",
                "--note",
                "--claim",
                "--timeout",
                "pending",
            ],
        ),
        (
            "bitcoin",
            &[
                "-signer",
                "enumerate",
                "getdescriptors",
                "displayaddress",
                "signtx",
            ],
        ),
    ] {
        let help = text(
            &binary(dir.path(), &["connect", command, "--help"])
                .await
                .stdout,
        );
        for word in words {
            assert!(help.contains(word), "{word} is missing in\n{help}");
        }
    }
}

#[tokio::test]
async fn a_requester_is_made_once_and_only_its_id_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("requester.key");
    let args = [
        "requester",
        "new",
        "--out",
        file.to_str().unwrap(),
        "--json",
    ];
    let made = json(&binary(dir.path(), &args).await);
    assert!(
        made["requester"].as_str().unwrap().starts_with("csr1"),
        "{made}"
    );
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(!made.to_string().contains(secret.trim()));
    assert_eq!(binary(dir.path(), &args).await.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
}

async fn run(cluster: &Cluster, args: &[&str]) -> Output {
    binary(cluster.dir.path(), args).await
}

/// Runs the binary with the profile in this directory, beside the coordinator's own threads.
async fn binary(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(args)
        .arg("--config")
        .arg(dir.join("profile.yaml"));
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}\n{}",
            text(&output.stdout),
            text(&output.stderr)
        )
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Failing output leads to an exit code and never a panic, whether it is a result, an
/// error or a remark.
#[test]
fn a_full_or_closed_output_does_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let file = dir.path().join("requester.key");
    let new = [
        "requester",
        "new",
        "--out",
        file.to_str().unwrap(),
        "--json",
    ];
    for args in [
        &["version"][..],
        &["version", "--json"],
        &new,
        &new,
        &["wallet", "list"],
        &["--help"],
    ] {
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
            command.args(args).current_dir(dir.path());
            command
        };
        let status = command().stdout(full()).stderr(full()).status().unwrap();
        assert!(matches!(status.code(), Some(0..=5)), "{args:?}: {status}");
        let mut closed = Command::new("sh");
        closed
            .args([
                "-c",
                "exec \"$0\" \"$@\" >&- 2>&-",
                env!("CARGO_BIN_EXE_countersign"),
            ])
            .args(args);
        let status = closed.current_dir(dir.path()).status().unwrap();
        assert!(matches!(status.code(), Some(0..=5)), "{args:?}: {status}");
    }
}
