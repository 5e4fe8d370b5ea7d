//! `status`: one screen on a running node, in plain words.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use countersign_cli_kit::bundles;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use countersign_node::overview::{Overview, PeerLine, PluginLine, TaskLine};
use countersign_node::world::now;
use countersign_protocol::UnixMillis;
use countersign_protocol::node_status::{BundleState, BundleStatus};
use countersign_protocol::text::escaped;

use super::{Args, time};

/// Exit code of a node that cannot do its work.
const NOT_READY: u8 = 3;
/// Milliseconds between clocks that people should look at.
const SKEWED: u64 = 2_000;

#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print the overview as JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = Config::load(&args.config)?;
        let Answer::Overview(overview) = admin::ask(&config.dir, &Question::Overview)? else {
            bail!("unexpected answer from the node")
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&overview)?);
        } else {
            print!("{}", text(&overview, now()));
        }
        Ok(if overview.not_ready.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(NOT_READY)
        })
    }
}

fn text(overview: &Overview, now: UnixMillis) -> String {
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").is_ok();
    let lines = [
        head(overview),
        waits(overview, now),
        list("Plugins", &overview.plugins, plugin),
        list("Policy bundle", &in_force(overview), bundle),
        list("Peers", &overview.peers, peer),
        list("Last tasks", &overview.tasks, task),
        care(overview, now),
    ];
    lines.into_iter().flatten().all(&mut say);
    text
}

fn head(overview: &Overview) -> Vec<String> {
    let work = format!(
        "{} under way, {} usable",
        counted(overview.under_way, "task"),
        counted(overview.keys as u64, "key")
    );
    let state = match (overview.not_ready.is_empty(), overview.draining) {
        (true, false) => "Ready",
        (true, true) => "Draining: the node takes no new tasks",
        (false, _) => "NOT READY",
    };
    let reasons = overview.not_ready.iter();
    let reasons = reasons.map(|reason| format!("  - {}", escaped(reason)));
    let mut lines = vec![format!("{state}; {work}.")];
    lines.extend(reasons);
    lines
}

fn waits(overview: &Overview, now: UnixMillis) -> Vec<String> {
    let bundles = bundles::waits(&overview.bundles, now);
    let lines = overview.waits_for.iter().chain(&bundles);
    lines.map(|line| format!("  ! {line}")).collect()
}

/// A heading with a line for each entry; nothing if there are none.
fn list<T>(heading: &str, entries: &[T], line: impl Fn(&T) -> String) -> Vec<String> {
    if entries.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), format!("{heading}:")];
    lines.extend(entries.iter().map(|entry| format!("  {}", line(entry))));
    lines
}

fn plugin(plugin: &PluginLine) -> String {
    let version = plugin.version.as_deref().map_or("", |version| version);
    let [approved, rejected, failed] = plugin.decisions;
    format!(
        "{:<16} {:<10} {:<9} {approved} approved, {rejected} rejected, {failed} failed",
        escaped(&plugin.name),
        escaped(version),
        plugin.state
    )
}

fn in_force(overview: &Overview) -> Vec<&BundleStatus> {
    let bundles = overview.bundles.iter();
    bundles
        .filter(|bundle| bundle.state == BundleState::InForce)
        .collect()
}

fn bundle(bundle: &&BundleStatus) -> String {
    format!(
        "{:<16} {:<10} in force, signed by {}; {} must",
        escaped(&bundle.name),
        bundle.version,
        bundle.signed,
        bundle.needed
    )
}

fn peer(peer: &PeerLine) -> String {
    let tunnel = if peer.connected {
        "tunnel open"
    } else {
        "no tunnel now"
    };
    let clock = match peer.skew_ms {
        None => "its clock is not known".into(),
        Some(skew) if skew.unsigned_abs() > SKEWED => {
            format!(
                "its clock is {:.1} s off; compare both clocks",
                skew as f64 / 1000.0
            )
        }
        Some(_) => "clocks agree".into(),
    };
    format!("{:<16} {tunnel:<13} {clock}", escaped(&peer.name))
}

fn task(task: &TaskLine) -> String {
    format!(
        "{} {} {:<13} {}",
        time(task.received),
        task.task,
        task.kind.title(),
        escaped(&task.state)
    )
}

fn care(overview: &Overview, now: UnixMillis) -> Vec<String> {
    let line = |what: &str, at: Option<UnixMillis>, never: &str| match at {
        None => format!("{what:<12} never: {never}"),
        Some(at) => format!("{what:<12} {} ago", age(at, now)),
    };
    let mut lines = vec![
        String::new(),
        line("Backup", overview.backup, "run `countersign-node backup`"),
        line(
            "Drill",
            overview.drill,
            "run `countersign-node restore --drill` on a backup",
        ),
        line(
            "Check-up",
            overview.all_intact,
            "the first one comes by itself if `check_up` is configured",
        ),
    ];
    if let (Some(journal), Some(free)) = (overview.journal_bytes, overview.free_bytes) {
        let disk = format!("{} of journal, {} free", size(journal), size(free));
        lines.push(format!("{:<12} {disk}", "Disk"));
    }
    lines
}

/// The largest whole unit.
fn age(at: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.0.saturating_sub(at.0) / 1000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=0xF_FFFF => format!("{} KiB", bytes >> 10),
        0x10_0000..=0x3FFF_FFFF => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

fn counted(number: u64, what: &str) -> String {
    match number {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Hash;

    use super::*;

    fn overview() -> Overview {
        Overview {
            not_ready: Vec::new(),
            draining: false,
            under_way: 1,
            waits_for: Vec::new(),
            keys: 2,
            tasks: Vec::new(),
            peers: vec![PeerLine {
                name: "bob\u{1b}[2J".into(),
                connected: true,
                skew_ms: Some(-3_000),
            }],
            plugins: Vec::new(),
            bundles: Vec::new(),
            backup: None,
            drill: Some(UnixMillis(0)),
            all_intact: Some(UnixMillis(9_990_000)),
            journal_bytes: Some(3 << 20),
            free_bytes: Some(5 << 30),
        }
    }

    #[test]
    fn a_node_that_is_well_is_told_in_a_few_lines() {
        let text = text(&overview(), UnixMillis(10_000_000));
        let expected = "\
Ready; 1 task under way, 2 keys usable.

Peers:
  bob\\u{1b}[2J     tunnel open   its clock is -3.0 s off; compare both clocks

Backup       never: run `countersign-node backup`
Drill        2 hours ago
Check-up     10 s ago
Disk         3 MiB of journal, 5.0 GiB free
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_bundle_that_waits_is_told_before_what_is_in_force() {
        let bundle = |version: u64, until: Option<u64>| BundleStatus {
            name: "treasury".into(),
            version,
            digest: Hash([1; 32]),
            state: match until {
                Some(_) => BundleState::Waiting,
                None => BundleState::InForce,
            },
            until: until.map(UnixMillis),
            signed: 2,
            needed: 2,
        };
        let waiting = Overview {
            bundles: vec![bundle(6, None), bundle(7, Some(7_200_000))],
            ..overview()
        };
        let text = text(&waiting, UnixMillis(0));
        let lines: Vec<&str> = text.lines().take(5).collect();
        assert_eq!(
            lines,
            [
                "Ready; 1 task under way, 2 keys usable.",
                "  ! waits: bundle treasury 7 replaces 6 in 2 h; `countersign-node policy withdraw` stops it",
                "",
                "Policy bundle:",
                "  treasury         6          in force, signed by 2; 2 must",
            ]
        );
    }

    #[test]
    fn what_is_wrong_comes_first() {
        let ill = Overview {
            not_ready: vec!["coordinator: there is no link; the log says why".into()],
            waits_for: vec!["1 reshare waits".into()],
            ..overview()
        };
        let text = text(&ill, UnixMillis(0));
        let first: Vec<&str> = text.lines().take(3).collect();
        assert_eq!(
            first,
            [
                "NOT READY; 1 task under way, 2 keys usable.",
                "  - coordinator: there is no link; the log says why",
                "  ! 1 reshare waits",
            ]
        );
    }
}
