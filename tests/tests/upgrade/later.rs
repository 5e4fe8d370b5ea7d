//! Stores in a form that the program does not know, as after a rollback from a later release.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_protocol::Scheme;
use countersign_tests::process::Daemon;
use countersign_tests::{Blueprint, Cluster, Plugins, Release};
use redb::{Database, ReadableTable, TableDefinition};
use tokio::time::timeout;

const END: Duration = Duration::from_secs(30);
/// A format of the journal that no release knows.
const LATER: u64 = 1000;

/// What the daemon says when it does not start.
async fn refused(command: &mut Command, file: &Path) -> String {
    let log = file.with_extension("log");
    let mut daemon = Daemon::start(command, &log).unwrap();
    let code = timeout(END, daemon.exit_code()).await;
    let code = code.unwrap_or_else(|_| panic!("it runs:\n{}", daemon.log()));
    assert_ne!(code.unwrap(), Some(0), "{}", daemon.log());
    daemon.log()
}

fn stop(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.daemon().terminate(END).unwrap();
        node.daemon = None;
    }
    let mut coordinator = cluster.coordinator.take().unwrap();
    coordinator.terminate(END).unwrap();
}

fn set_journal_format(file: &Path, format: u64) {
    const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
    let database = Database::open(file).unwrap();
    let write = database.begin_write().unwrap();
    let mut meta = write.open_table(META).unwrap();
    meta.insert("format", format).unwrap();
    drop(meta);
    write.commit().unwrap();
}

/// Sets the version byte of every task.
fn set_row_version(file: &Path, version: u8) {
    const TASKS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("tasks");
    let database = Database::open(file).unwrap();
    let write = database.begin_write().unwrap();
    let mut tasks = write.open_table(TASKS).unwrap();
    let rows = tasks.iter().unwrap().map(|row| {
        let (id, row) = row.unwrap();
        (id.value(), row.value().to_vec())
    });
    for (id, mut row) in rows.collect::<Vec<_>>() {
        row[0] = version;
        tasks.insert(id, row.as_slice()).unwrap();
    }
    drop(tasks);
    write.commit().unwrap();
}

/// A program of this release refuses later forms, and goes on once they are gone.
pub async fn forms_are_refused(release: Release) {
    let blueprint = Blueprint {
        nodes: 2,
        release,
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::start(blueprint).await.unwrap();
    let wallet = cluster.create_wallet("kept", Scheme::Ed25519, 2).await;
    let wallet = wallet.unwrap();
    stop(&mut cluster);

    let node = &cluster.nodes[0];
    let journal = node.db().join("journal.redb");
    set_journal_format(&journal, LATER);
    let said = refused(&mut node.command("start").unwrap(), &journal).await;
    println!("{said}");
    assert!(
        said.contains(&format!("has format {LATER}"))
            && said.contains("run the program that wrote it"),
        "{said}"
    );
    set_journal_format(&journal, 1);

    // A coordinator reads a row when it needs it: one that it cannot read has no part in anything.
    let rows = cluster.dir().join("coordinator/coordinator.redb");
    set_row_version(&rows, 2);
    cluster.start_all().await.unwrap();
    let said = cluster
        .client
        .task(wallet.task)
        .await
        .unwrap_err()
        .to_string();
    println!("{said}");
    assert!(said.contains("run the version that wrote it"), "{said}");
    stop(&mut cluster);
    set_row_version(&rows, 1);

    cluster.start_all().await.unwrap();
    cluster.client.task(wallet.task).await.unwrap();
    let order = cluster.order(wallet.key, "m", b"pay 7", None).unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();
}
