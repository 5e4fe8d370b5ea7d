//! Backups made while the node works, drills, and nodes that come back from their backup.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use countersign_client::{ClientError, ReshareOrder};
use countersign_protocol::{KeyDescriptor, Operation, Scheme};
use countersign_store::journal::Journal;
use countersign_store::{Passphrase, Quarantine};
use countersign_tests::process::{expect_success, run};
use countersign_tests::{Blueprint, Cluster, Node, Plugins};

const STOP: Duration = Duration::from_secs(30);

async fn cluster() -> Cluster {
    Cluster::start(Blueprint {
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    })
    .await
    .unwrap()
}

/// A command on a backup, whose password is in a file beside the node's own.
fn about(node: &Node, verb: &str, file: &Path) -> Command {
    let mut command = node.command(verb).unwrap();
    command
        .arg(file)
        .arg("--backup-key-file")
        .arg(node.dir.join("passphrase"));
    command
}

fn back_up(node: &Node, name: &str) -> PathBuf {
    let file = node.dir.join(name);
    let printed = expect_success(&mut about(node, "backup", &file)).unwrap();
    assert!(printed.contains(&node.id.to_string()), "{printed}");
    file
}

/// The output of a command that must fail.
fn fails(command: &mut Command) -> String {
    let output = run(command).unwrap();
    assert!(
        !output.status.success(),
        "{command:?} succeeded: {output:?}"
    );
    String::from_utf8(output.stderr).unwrap()
}

/// New shares for the same nodes.
fn refresh(wallet: &KeyDescriptor) -> ReshareOrder {
    ReshareOrder::new(wallet.key, wallet.committee.clone(), wallet.threshold)
}

/// Deletes the files of the store; public data about the node is left.
fn lose_the_store(node: &mut Node) {
    node.daemon().terminate(STOP).unwrap();
    node.daemon = None;
    for name in ["secrets.redb.age", "identity.age", "journal.redb"] {
        std::fs::rename(node.db().join(name), node.dir.join(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_from_a_backup_that_was_made_while_it_signed() {
    let mut cluster = cluster().await;
    let wallet = cluster
        .create_wallet("kept", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster
        .order(wallet.key, "m/3", b"pay", Some(&[0, 1]))
        .unwrap();
    let (command, file) = {
        let node = &cluster.nodes[0];
        let file = node.dir.join("backup.age");
        (about(node, "backup", &file), file)
    };
    let backing_up = tokio::task::spawn_blocking(move || {
        let mut command = command;
        expect_success(&mut command)
    });
    for _ in 0..20 {
        cluster.client.sign(&order, |_| {}).await.unwrap();
    }
    let printed = backing_up.await.unwrap().unwrap();
    assert!(
        printed.contains(&cluster.nodes[0].id.to_string()),
        "{printed}"
    );
    let drill = expect_success(about(&cluster.nodes[0], "restore", &file).arg("--drill")).unwrap();
    assert!(
        drill.contains("intact") && drill.contains("The drill succeeded"),
        "{drill}"
    );

    let before = cluster
        .sign_order(sign_operation(&cluster, wallet.key))
        .unwrap();
    lose_the_store(&mut cluster.nodes[0]);
    let printed = expect_success(&mut about(&cluster.nodes[0], "restore", &file)).unwrap();
    assert!(printed.contains("Restored into"), "{printed}");
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));

    // Earlier orders may have been decided after the backup: nobody here can know.
    let view = cluster.hand_in(&before).await.unwrap();
    assert_eq!(view.summary.reason.unwrap().code, "task-before-restore");
}

/// Waits until all of these are in the logs.
async fn said(words: &[(&str, &dyn Fn() -> String)]) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while let Some((word, log)) = words.iter().find(|(word, log)| !log().contains(word)) {
        assert!(
            std::time::Instant::now() < deadline,
            "nobody says `{word}`:\n{}",
            log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_runs_beside_its_original_signs_nothing_and_stops_it_until_its_operator_decides()
 {
    let cluster = cluster().await;
    let wallet = cluster
        .create_wallet("kept", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[0, 1]))
        .unwrap();
    let file = back_up(&cluster.nodes[0], "backup.age");
    let original = &cluster.nodes[0];
    let mut copy = Node {
        id: original.id,
        name: "copy".into(),
        dir: cluster.dir().join("copy"),
        daemon: None,
        streams: original.streams,
        release: original.release.clone(),
    };
    std::fs::create_dir(&copy.dir).unwrap();
    for name in ["node.yaml", "passphrase"] {
        std::fs::copy(original.dir.join(name), copy.dir.join(name)).unwrap();
    }
    expect_success(&mut about(&copy, "restore", &file)).unwrap();
    copy.start().unwrap();

    said(&[
        ("two processes run with the identity of this node", &|| {
            cluster.coordinator_log()
        }),
        (
            "ALARM: another process runs with the identity of this node",
            &|| cluster.nodes[0].log(),
        ),
        ("ALARM: two processes run with the identity of", &|| {
            cluster.nodes[1].log()
        }),
        ("another process", &|| copy.log()),
    ])
    .await;
    assert_eq!(
        crate::refusal(cluster.client.sign(&order, |_| {}).await).0,
        "twin"
    );

    copy.daemon().terminate(STOP).unwrap();
    let mut lift = cluster.nodes[0].command("quarantine").unwrap();
    expect_success(lift.arg("lift-twin")).unwrap();
    cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
}

fn sign_operation(cluster: &Cluster, key: countersign_protocol::KeyId) -> Operation {
    let order = cluster.order(key, "m", b"pay", Some(&[0, 1])).unwrap();
    Operation::KeySign(countersign_protocol::KeySign {
        key,
        path: order.path,
        payload: order.payload,
        signers: order.signers,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsuitable_backup_restores_nothing() {
    let mut cluster = cluster().await;
    let wallet = cluster
        .create_wallet("moves", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let backup = back_up(&cluster.nodes[0], "first.age");
    let foreign = back_up(&cluster.nodes[1], "foreign.age");
    cluster
        .client
        .reshare(&refresh(&wallet), |_| {})
        .await
        .unwrap();

    let node = &mut cluster.nodes[0];
    let text = fails(&mut about(node, "restore", &backup));
    assert!(
        text.contains("already") && text.contains("move the old store away"),
        "{text}"
    );
    let text = fails(&mut about(node, "backup", &backup));
    assert!(text.contains("not overwritten"), "{text}");
    lose_the_store(node);
    let text = fails(&mut about(node, "restore", &foreign));
    assert!(text.contains("use that node's backup"), "{text}");
    let text = fails(&mut about(node, "restore", &backup));
    assert!(
        text.contains("generation") && text.contains("use the newest backup"),
        "{text}"
    );
    let whole = std::fs::read(&backup).unwrap();
    let cut = node.dir.join("cut.age");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert!(fails(&mut about(node, "restore", &cut)).contains("use another copy"));
    let mut wrong = node.command("restore").unwrap();
    std::fs::write(node.dir.join("other"), "quite another passphrase").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(node.dir.join("other"), private).unwrap();
    wrong
        .arg(&backup)
        .arg("--backup-key-file")
        .arg(node.dir.join("other"));
    assert!(fails(&mut wrong).contains("does not open"));
    assert!(
        !node.db().join("identity.age").exists(),
        "nothing was restored"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_and_the_old_one_opens_nothing() {
    let mut cluster = Cluster::prepare(Blueprint::default()).await.unwrap();
    let node = &mut cluster.nodes[0];
    let new = node.dir.join("new-passphrase");
    std::fs::write(&new, "a new passphrase for tests").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&new, private).unwrap();
    let mut change = node.command("change-password").unwrap();
    let printed = expect_success(change.arg("--new-key-file").arg(&new)).unwrap();
    assert!(printed.contains("old"), "{printed}");
    let open = |file: &Path| {
        countersign_node::vault::Vault::open(&node.db(), &Passphrase::from_file(file).unwrap(), &[])
    };
    assert!(open(&node.dir.join("passphrase")).is_err());
    open(&new).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_in_quarantine_takes_no_part_until_it_is_lifted() {
    let mut cluster = cluster().await;
    let wallet = cluster
        .create_wallet("guarded", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let peer = cluster.nodes[1].id;
    cluster.nodes[0].daemon().terminate(STOP).unwrap();
    let journal = Journal::open(&cluster.nodes[0].db()).unwrap();
    let kept = Quarantine {
        key: wallet.key,
        peer,
        task: wallet.task,
        since: countersign_protocol::UnixMillis(1),
        code: "protocol".into(),
        text: "a wrong proof".into(),
        evidence: None,
    };
    journal.quarantine(kept).unwrap();
    drop(journal);
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();

    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[0, 1]))
        .unwrap();
    let (code, _) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
    assert_eq!(code, "peer-quarantined");
    let without = cluster
        .order(wallet.key, "m", b"pay", Some(&[0, 2]))
        .unwrap();
    cluster.client.sign(&without, |_| {}).await.unwrap();

    let node = &cluster.nodes[0];
    let listed = expect_success(node.command("quarantine").unwrap().arg("list")).unwrap();
    assert!(listed.contains("a wrong proof [protocol]"), "{listed}");
    let mut lift = node.command("quarantine").unwrap();
    expect_success(lift.args(["lift", &wallet.key.to_string(), &peer.to_string()])).unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();
    let mut again = node.command("quarantine").unwrap();
    assert!(
        fails(again.args(["lift", &wallet.key.to_string(), &peer.to_string()]))
            .contains("not quarantined")
    );
}

/// An older copy of a node's files, restored without telling anybody.
#[tokio::test(flavor = "multi_thread")]
async fn peers_notice_a_store_that_was_rolled_back_and_say_so() {
    let mut cluster = cluster().await;
    let wallet = cluster
        .create_wallet("first", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let old = cluster.nodes[0].dir.join("old");
    std::fs::create_dir(&old).unwrap();
    cluster.nodes[0].daemon().terminate(STOP).unwrap();
    let names = ["secrets.redb.age", "identity.age", "journal.redb"];
    let db = cluster.nodes[0].db();
    for name in names {
        std::fs::copy(db.join(name), old.join(name)).unwrap();
    }
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    cluster
        .client
        .reshare(&refresh(&wallet), |_| {})
        .await
        .unwrap();
    // The peers hear how far it came with its next tunnel.
    cluster.nodes[0].daemon().terminate(STOP).unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[0, 1]))
        .unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();
    assert!(!cluster.logs().contains("older copy"), "{}", cluster.logs());

    cluster.nodes[0].daemon().terminate(STOP).unwrap();
    for name in names {
        std::fs::copy(old.join(name), db.join(name)).unwrap();
    }
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(15);
    let told = |node: &Node| node.log().contains("older copy");
    while !told(&cluster.nodes[0]) || !told(&cluster.nodes[1]) {
        assert!(std::time::Instant::now() < deadline, "{}", cluster.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Its old share does not fit any new one.
    match cluster.client.sign(&order, |_| {}).await {
        Err(ClientError::Failed { code, .. }) => assert_eq!(&*code, "generation-mismatch"),
        other => panic!("{other:?}"),
    }
    let without = cluster
        .order(wallet.key, "m", b"pay", Some(&[1, 2]))
        .unwrap();
    cluster.client.sign(&without, |_| {}).await.unwrap();
}

/// Commands that an operator types in the course of a key's life, beside backups.
#[tokio::test(flavor = "multi_thread")]
async fn shares_are_checked_logs_shown_and_stores_written_anew_by_hand() {
    let mut cluster = cluster().await;
    let wallet = cluster
        .create_wallet("typed", Scheme::Ed25519, 2)
        .await
        .unwrap();
    cluster
        .client
        .reshare(&refresh(&wallet), |_| {})
        .await
        .unwrap();
    let typed = |node: &Node, verb: &str, arguments: &[&str]| {
        expect_success(node.command(verb).unwrap().args(arguments)).unwrap()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !typed(&cluster.nodes[0], "audit", &["show"]).contains("destroyed") {
        assert!(std::time::Instant::now() < deadline, "{}", cluster.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(typed(&cluster.nodes[0], "audit", &["verify"]).contains("is intact"));
    cluster.nodes[0].daemon().terminate(STOP).unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    assert!(
        cluster.nodes[0]
            .log()
            .contains("the storage key was renewed"),
        "{}",
        cluster.nodes[0].log()
    );

    cluster.nodes[0].daemon().terminate(STOP).unwrap();
    let checked = typed(&cluster.nodes[0], "sign", &["--message", "today"]);
    assert!(
        checked.contains(&format!("intact  {}  generation 1", wallet.key)),
        "{checked}"
    );
    let proofs = typed(
        &cluster.nodes[0],
        "sign",
        &["--group-id", &wallet.key.to_string(), "--json"],
    );
    assert!(proofs.contains("public_shares"), "{proofs}");
    let migrated = typed(&cluster.nodes[0], "migrate", &[]);
    assert!(
        migrated.contains("Backup: ") && migrated.contains("0 recovery recipients"),
        "{migrated}"
    );
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[0, 1]))
        .unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();

    let mut address = Command::new(countersign_tests::process::program("countersign").unwrap());
    address
        .args(["address", "typed", "--path", "m/44/501/0,m", "--config"])
        .arg(cluster.profile());
    let printed = expect_success(&mut address).unwrap();
    assert_eq!(
        printed
            .lines()
            .filter(|line| line.starts_with("solana "))
            .count(),
        2,
        "{printed}"
    );
}
