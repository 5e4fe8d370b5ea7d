//! Carries out the commands of `docs/upgrade.md`, in the folders of a cluster and without `sudo`. A
//! command that it does not know fails the test, and so does one of a node without the package's
//! configuration, or one that changes the system without `sudo`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign_tests::process::{self, expect_success, repository};
use countersign_tests::{Cluster, Load, Release};

/// Time for a process to end, and for the nodes to be online.
const LIMIT: Duration = Duration::from_secs(60);
/// The package's configuration of a node. The nodes of a cluster have their own.
const NODE_YAML: &str = "/etc/countersign-node/node.yaml";

/// What stands in the page for the versions.
pub struct Releases {
    /// `$OLD`.
    pub old: Release,
    /// `$NEW`.
    pub new: Release,
}

/// The commands under a heading, without comments.
pub fn commands(heading: &str) -> anyhow::Result<Vec<String>> {
    let page = std::fs::read_to_string(repository().join("docs/upgrade.md"))?;
    let title = format!("# {heading}\n");
    let (_, section) = page.split_once(&title).context("no such heading")?;
    let (_, block) = section
        .split_once("```sh\n")
        .context("no commands under the heading")?;
    let (block, _) = block.split_once("\n```").context("a block has an end")?;
    let command = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let commands: Vec<String> = block.lines().map(command).collect();
    Ok(commands
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect())
}

/// Carries out the commands under a heading; those about a node are carried out at this one.
pub async fn follow(
    cluster: &mut Cluster,
    load: &Load,
    releases: &Releases,
    heading: &str,
    node: usize,
) -> anyhow::Result<()> {
    for command in commands(heading)? {
        println!("  {command}");
        let words: Vec<&str> = command.split_whitespace().collect();
        let done = step(cluster, load, releases, &words, node).await;
        done.with_context(|| format!("{heading}: {command}"))?;
    }
    load.pause(false);
    Ok(())
}

async fn step(
    cluster: &mut Cluster,
    load: &Load,
    releases: &Releases,
    words: &[&str],
    node: usize,
) -> anyhow::Result<()> {
    match words {
        ["sudo", "systemctl", "stop", "countersign-coordinator"] => {
            let mut coordinator = cluster.coordinator.take().context("it runs")?;
            let status = coordinator.terminate(LIMIT)?;
            anyhow::ensure!(status.success(), "{status}");
        }
        ["sudo", "systemctl", "start", "countersign-coordinator"] => {
            cluster.start_coordinator()?;
        }
        ["sudo", "systemctl", "stop", "countersign-node"] => {
            let mut daemon = cluster.nodes[node].daemon.take().context("it runs")?;
            let status = daemon.terminate(LIMIT)?;
            anyhow::ensure!(status.success(), "{status}");
        }
        ["sudo", "systemctl", "start", "countersign-node"] => cluster.nodes[node].start()?,
        ["sudo", "apt", "install", .., package] => install(cluster, releases, package, node)?,
        ["countersign", "node", "list"] => all_online(cluster).await?,
        ["countersign", "task", "list", "--state", states] => {
            load.pause(true);
            none_in(cluster, states).await?;
        }
        ["countersign", arguments @ ..] => {
            let mut command = Command::new(process::program("countersign")?);
            command.arg("--config").arg(cluster.profile());
            print(expect_success(command.args(arguments))?);
        }
        [
            "sudo",
            "countersign-node",
            "backup",
            "--config",
            NODE_YAML,
            file,
        ] => {
            let node = &cluster.nodes[node];
            let mut command = node.command("backup")?;
            command.arg(place(&node.dir, file)?);
            command
                .arg("--backup-key-file")
                .arg(node.dir.join("passphrase"));
            expect_success(&mut command)?;
        }
        [
            "sudo",
            "countersign-node",
            verb,
            "--config",
            NODE_YAML,
            arguments @ ..,
        ] => {
            let mut command = cluster.nodes[node].command(verb)?;
            print(expect_success(command.args(arguments))?);
        }
        ["sudo", "cp", "-a", "/var/lib/countersign-coordinator", to] => {
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(cluster.dir().join("coordinator"));
            expect_success(copy.arg(place(cluster.dir(), to)?))?;
        }
        other => bail!("nobody knows {other:?}"),
    }
    Ok(())
}

fn print(output: String) {
    output.lines().for_each(|line| println!("    {line}"));
}

/// A file of the page, in a folder of the test.
fn place(folder: &Path, file: &str) -> anyhow::Result<PathBuf> {
    let name = Path::new(file).file_name().context("a file has a name")?;
    let mut number = 0;
    loop {
        let path = folder.join(format!("{}.{number}", name.to_string_lossy()));
        if !path.exists() {
            return Ok(path);
        }
        number += 1;
    }
}

fn install(
    cluster: &mut Cluster,
    releases: &Releases,
    package: &str,
    node: usize,
) -> anyhow::Result<()> {
    let release = match package {
        name if name.contains("$NEW") => releases.new.clone(),
        name if name.contains("$OLD") => releases.old.clone(),
        other => bail!("{other} names no version"),
    };
    match package.split('_').next() {
        Some("./countersign-coordinator") => cluster.release = release,
        Some("./countersign-node") => cluster.nodes[node].release = release,
        other => bail!("{other:?} is no package"),
    }
    Ok(())
}

/// Looks at the list until no task is in these states.
async fn none_in(cluster: &Cluster, states: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let mut list = Command::new(process::program("countersign")?);
        list.arg("--config").arg(cluster.profile());
        list.args(["--json", "task", "list", "--state", states]);
        let listed: serde_json::Value = serde_json::from_str(&expect_success(&mut list)?)?;
        let tasks = listed["tasks"].as_array().context("a list")?;
        if tasks.is_empty() {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < LIMIT, "tasks do not end: {listed}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks at the list until every node is online.
async fn all_online(cluster: &Cluster) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let nodes = cluster.client.nodes().await.unwrap_or_default();
        if nodes.len() == cluster.nodes.len() && nodes.iter().all(|node| node.online) {
            println!(
                "    all online after {:.1} s",
                begun.elapsed().as_secs_f32()
            );
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < LIMIT, "a node is not online: {nodes:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
