//! Reshared wallets, and shares that are checked: what the client believes, and the output
//! of the command line.

use countersign_client::ReshareOrder;
use countersign_protocol::NodeId;

use super::*;

fn committee(cluster: &Cluster, numbers: &[usize]) -> Committee {
    Committee::new(nodes(cluster, numbers)).unwrap()
}

fn nodes(cluster: &Cluster, numbers: &[usize]) -> Vec<NodeId> {
    numbers
        .iter()
        .map(|number| cluster.nodes[*number])
        .collect()
}

fn hand_to(cluster: &Cluster, wallet: &KeyDescriptor, numbers: &[usize]) -> ReshareOrder {
    ReshareOrder {
        wallet: wallet.key,
        committee: committee(cluster, numbers),
        threshold: Threshold::try_from(2).unwrap(),
        dealers: None,
        note: None,
        claims: Default::default(),
    }
}

/// A wallet that was reshared twice: the book as it was before, and each generation.
async fn moved_twice() -> (Cluster, Client, String, Vec<KeyDescriptor>) {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    let before = std::fs::read_to_string(book(&cluster)).unwrap();
    let first = client
        .reshare(&hand_to(&cluster, &wallet, &[0, 1, 3]), |_| ())
        .await
        .unwrap();
    let second = client
        .reshare(&hand_to(&cluster, &first, &[1, 3]), |_| ())
        .await
        .unwrap();
    (cluster, client, before, vec![wallet, first, second])
}

fn book(cluster: &Cluster) -> std::path::PathBuf {
    cluster.dir.path().join("wallets.json")
}

/// A text and another one of the same kind.
fn changed(hex: &str) -> String {
    format!(
        "{}{}",
        if hex.starts_with('0') { "1" } else { "0" },
        &hex[1..]
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_handed_over_and_signs_with_its_new_nodes() {
    let (cluster, client, wallet) = ready(Mood::Honest).await;
    let mut order = hand_to(&cluster, &wallet, &[1, 3]);
    order.dealers = Some(nodes(&cluster, &[2, 0]));
    let made = client.reshare(&order, |_| ()).await.unwrap();
    assert!(made.succeeds(&wallet) && made.generation == 1);
    assert_eq!(
        (&made.committee, made.acks.len()),
        (&committee(&cluster, &[1, 3]), 4)
    );
    assert_eq!(
        client.wallet(wallet.key).await.unwrap(),
        made,
        "the book has it"
    );
    assert_eq!(client.find_wallet("hot").await.unwrap(), made);
    let signature = client.sign(&pay(&made), |_| ()).await.unwrap();
    let task = client.task(signature.task).await.unwrap();
    assert!(
        task.nodes
            .iter()
            .all(|party| made.committee.index_of(&party.node).is_some())
    );
    let listed = client.wallets().await.unwrap();
    assert!(
        matches!(&listed[..], [Listed { wallet, standing: Standing::Believed }] if *wallet == made)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_away_follows_the_wallet_from_the_one_it_knows() {
    let (cluster, client, before, all) = moved_twice().await;
    let key = all[0].key;
    std::fs::write(book(&cluster), &before).unwrap();
    assert_eq!(
        client.wallet(key).await.unwrap(),
        all[0],
        "the book alone does not know"
    );
    let listed = client.wallets().await.unwrap();
    assert!(
        matches!(&listed[0], Listed { wallet, standing: Standing::Believed } if *wallet == all[2])
    );
    assert_eq!(client.wallet(key).await.unwrap(), all[2]);

    std::fs::write(book(&cluster), &before).unwrap();
    assert_eq!(client.newest_wallet(key).await.unwrap(), all[2]);
    let third = client
        .reshare(&hand_to(&cluster, &all[2], &[0, 1, 2]), |_| ())
        .await
        .unwrap();
    assert_eq!(third.generation, 3);
    assert_eq!(client.wallet(key).await.unwrap(), third);

    std::fs::remove_file(book(&cluster)).unwrap();
    assert_eq!(
        client.wallet(key).await.unwrap(),
        third,
        "at first sight, from the order that made it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_does_not_prove_that_it_succeeds_is_refused() {
    let (cluster, _, before, all) = moved_twice().await;
    // An acknowledgement of the generation between, which the coordinator cannot make up.
    let ack = hex::encode(&all[1].acks[0].signature);
    cluster.lie(&ack, &changed(&ack)).await;
    let liar = client(&cluster);
    std::fs::write(book(&cluster), &before).unwrap();
    let error = liar.newest_wallet(all[0].key).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Belief(BeliefError::Wallet { reason, .. }) if reason.contains("follow")),
        "{error}"
    );
    let listed = liar.wallets().await.unwrap();
    assert!(
        matches!(listed[0].standing, Standing::Refused(_)),
        "{listed:?}"
    );
    let ordered = liar
        .reshare(&hand_to(&cluster, &all[2], &[0, 1]), |_| ())
        .await
        .unwrap_err();
    assert!(
        matches!(ordered, ClientError::Belief(BeliefError::Wallet { .. })),
        "{ordered}"
    );
    assert_eq!(
        std::fs::read_to_string(book(&cluster)).unwrap(),
        before,
        "nothing was written"
    );
    std::fs::remove_file(book(&cluster)).unwrap();
    let error = liar.wallet(all[0].key).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Belief(BeliefError::Wallet { reason, .. }) if reason.contains("follow")),
        "{error}"
    );
    assert!(!book(&cluster).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_moved_must_still_come_from_a_signed_order() {
    let (cluster, honest, _, all) = moved_twice().await;
    std::fs::remove_file(book(&cluster)).unwrap();
    let signature = hex::encode(honest.task(all[0].task).await.unwrap().signature.to_bytes());
    cluster.lie(&signature, &changed(&signature)).await;
    let error = client(&cluster)
        .wallet(all[0].key)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("not signed by its requester"), "{error}");
    assert!(!book(&cluster).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_knows_less_than_the_book_is_not_believed() {
    let (cluster, _, _, all) = moved_twice().await;
    cluster.lie(r#""generation":2"#, r#""generation":1"#).await;
    let error = client(&cluster)
        .newest_wallet(all[0].key)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Belief(BeliefError::Stale {
                told: 1,
                known: 2,
                ..
            })
        ),
        "{error}"
    );
    assert_eq!((error.exit_code(), error.code()), (3, "stale-coordinator"));
    assert!(error.to_string().contains("newest backup"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reshare_counts_only_with_the_acks_of_those_that_gave_it_away() {
    let (cluster, honest, wallet) = ready(Mood::Honest).await;
    let before = std::fs::read_to_string(book(&cluster)).unwrap();
    // The acknowledgements cover the session.
    cluster.lie(&"09".repeat(32), &"07".repeat(32)).await;
    let error = client(&cluster)
        .reshare(&hand_to(&cluster, &wallet, &[0, 1, 3]), |_| ())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Invalid { reason, .. } if reason.contains("those of the parties")),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(book(&cluster)).unwrap(), before);
    assert_eq!(
        honest.newest_wallet(wallet.key).await.unwrap().generation,
        1,
        "it had happened all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_up_is_verified_for_each_node() {
    let (cluster, honest, wallet) = ready(Mood::Honest).await;
    let mut expected = cluster.nodes[..3].to_vec();
    expected.sort_unstable();
    let checked = honest
        .check_up(wallet.key, None, Some("monthly".into()), |_| ())
        .await
        .unwrap();
    assert_eq!(
        checked
            .intact
            .iter()
            .map(|one| one.node)
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(checked.wallet, wallet);
    let moved = honest
        .reshare(&hand_to(&cluster, &wallet, &[0, 3]), |_| ())
        .await
        .unwrap();
    let one = honest
        .check_up(wallet.key, Some(nodes(&cluster, &[3])), None, |_| ())
        .await
        .unwrap();
    assert_eq!((one.wallet, one.intact.len()), (moved, 1));
    let gone = honest
        .check_up(wallet.key, Some(nodes(&cluster, &[1])), None, |_| ())
        .await
        .unwrap_err();
    assert_eq!(gone.code(), "wallet-holders");

    // The commitment of every proof here.
    let proof = hex::encode(&one.intact[0].proof.0[..32]);
    cluster.lie(&proof, &changed(&proof)).await;
    let error = client(&cluster)
        .check_up(wallet.key, None, None, |_| ())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Invalid { reason, .. } if reason.contains("proof")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_share_is_named() {
    let (_cluster, client, wallet) = ready(Mood::Forgetful).await;
    let error = client
        .check_up(wallet.key, None, None, |_| ())
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("wrong-result", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_hands_wallets_over_and_checks_them() {
    let (cluster, ..) = ready(Mood::Honest).await;
    let order = [
        "wallet",
        "reshare",
        "hot",
        "--nodes",
        "n0,n1,n3",
        "--threshold",
        "3",
    ];
    let extra = [
        "--dealers",
        "n0,n1",
        "--note",
        "bob left",
        "--claim",
        "ticket=17",
    ];
    let made = run(&cluster, &[&order[..], &extra].concat()).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let out = text(&made.stdout);
    let err = text(&made.stderr);
    assert!(
        out.contains("generation  1") && out.contains("threshold   3 of 3"),
        "{out}"
    );
    for words in [
        "from 2 of 3 nodes to 3 of 3",
        "stay : n0, n1",
        "join : n3",
        "leave: n2",
        "reshared",
    ] {
        let sorted = words.replace("n0, n1", "n1, n0");
        assert!(
            err.contains(words) || err.contains(&sorted),
            "{words} is missing in\n{err}"
        );
    }
    let order = [
        "wallet",
        "reshare",
        "hot",
        "--nodes",
        "n0,n2",
        "--threshold",
        "2",
        "--json",
    ];
    let made = json(&run(&cluster, &order).await);
    assert_eq!(made["wallet"]["generation"], 2, "{made}");
    let shown = run(&cluster, &["wallet", "show", "hot"]).await;
    assert!(
        text(&shown.stdout).contains("generation  2"),
        "{}",
        text(&shown.stdout)
    );

    let checked = run(&cluster, &["wallet", "check", "hot"]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert_eq!(
        text(&checked.stdout).matches("intact  ").count(),
        2,
        "{}",
        text(&checked.stdout)
    );
    assert!(
        text(&checked.stderr).contains("share intact"),
        "{}",
        text(&checked.stderr)
    );
    let one = json(
        &run(
            &cluster,
            &["wallet", "check", "hot", "--nodes", "n2", "--json"],
        )
        .await,
    );
    assert_eq!(
        (&one["generation"], &one["intact"][0]["generation"]),
        (&Value::from(2), &Value::from(2)),
        "{one}"
    );
    for args in [
        &["wallet", "check", "hot", "--nodes", "n1"][..],
        &["wallet", "check", "hot", "--nodes", "n0,n0"],
        &["wallet", "check", "cold"],
        &[
            "wallet",
            "reshare",
            "hot",
            "--nodes",
            "n0,n1",
            "--threshold",
            "3",
        ],
        &[
            "wallet",
            "reshare",
            "hot",
            "--nodes",
            "n0,mallory",
            "--threshold",
            "2",
        ],
        &[
            "wallet",
            "reshare",
            "hot",
            "--nodes",
            "n0,n1",
            "--threshold",
            "2",
            "--dealers",
            "n0,n1",
        ],
        &[
            "wallet",
            "reshare",
            "hot",
            "--nodes",
            "n0,n1",
            "--threshold",
            "2",
            "--dealers",
            "n0",
        ],
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
    let tasks = text(&run(&cluster, &["task", "list"]).await.stdout);
    assert!(
        tasks.contains("KeyReshare") && tasks.contains("KeyShareSign"),
        "{tasks}"
    );
}

#[tokio::test]
async fn help_tells_how_to_hand_over_and_to_check() {
    let dir = tempfile::tempdir().unwrap();
    let reshare = text(
        &binary(dir.path(), &["wallet", "reshare", "--help"])
            .await
            .stdout,
    );
    for word in [
        "--nodes",
        "--threshold",
        "--dealers",
        "--note",
        "--claim",
        "addresses stay",
        "destroyed",
    ] {
        assert!(reshare.contains(word), "{word} is missing in\n{reshare}");
    }
    let check = text(
        &binary(dir.path(), &["wallet", "check", "--help"])
            .await
            .stdout,
    );
    assert!(
        check.contains("--nodes") && check.contains("nothing is signed"),
        "{check}"
    );
    let help = text(&binary(dir.path(), &["--help"]).await.stdout);
    assert!(
        help.contains("wallet reshare treasury") && help.contains("wallet check treasury"),
        "{help}"
    );
}
