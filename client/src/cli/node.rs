//! `countersign node`.

use clap::Subcommand;
use countersign_cli_kit::bundles::waits;
use countersign_client::api::{NodeView, Open};
use countersign_client::{Client, ClientError, Profile};
use countersign_protocol::UnixMillis;
use countersign_protocol::node_status::{BundleState, BundleStatus, PluginState, PluginStatus};
use serde_json::json;

use super::line::{Line, Table, Tone};
use super::output::Output;
use super::time;

/// A difference between clocks that people should look at, in ms.
const SKEWED: u64 = 2_000;

/// Subcommands for nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the nodes that the coordinator admits, and which of them are online,
    /// as reported by the coordinator.
    ///
    /// The first column is your profile's name for the node. The coordinator's name for it is in
    /// the last one and is used for nothing.
    ///
    /// Software, clock, plugins and policy bundles are what each node says of itself. The clock is
    /// its difference from the coordinator's, and contains the time that the message travelled.
    List,
}

pub async fn execute(
    command: NodeCommand,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let NodeCommand::List = command;
    let nodes = client.nodes().await?;
    output.result(
        &json!({ "nodes": nodes }),
        &lines(&nodes, client.profile(), time::now()),
    )
}

fn lines(nodes: &[NodeView], profile: &Profile, now: UnixMillis) -> Vec<Line> {
    let mut table = Table::new(&[
        "name",
        "state",
        "last seen",
        "clock",
        "software",
        "id",
        "coordinator's name",
    ]);
    for node in nodes {
        let state = if node.draining {
            ("draining".into(), Tone::Attention)
        } else if node.online {
            ("online".into(), Tone::Good)
        } else {
            ("offline".into(), Tone::Attention)
        };
        table.row([
            own_name(profile, node),
            state,
            seen(node, now),
            clock(node),
            (software(node), Tone::Plain),
            (node.id.to_string(), Tone::Dim),
            there(profile, node),
        ]);
    }
    let mut rows = table.lines().into_iter();
    let mut lines: Vec<Line> = rows.next().into_iter().collect();
    for (row, node) in rows.zip(nodes) {
        lines.push(row);
        lines.extend(described(node));
    }
    lines
}

fn seen(node: &NodeView, now: UnixMillis) -> (String, Tone) {
    match node.last_seen {
        Some(at) => (time::ago(at, now), Tone::Plain),
        None => ("-".into(), Tone::Dim),
    }
}

fn clock(node: &NodeView) -> (String, Tone) {
    let Some(reported) = &node.reported else {
        return ("-".into(), Tone::Dim);
    };
    let tone = if reported.skew_ms.unsigned_abs() > SKEWED {
        Tone::Bad
    } else {
        Tone::Plain
    };
    (format!("{:+} ms", reported.skew_ms), tone)
}

/// What an offline node said last.
fn software(node: &NodeView) -> String {
    let reported = node.reported.as_ref();
    let status = reported.and_then(|reported| reported.status.known());
    let reported = status.map(|status| status.software.clone());
    let software = node.software.clone().or(reported);
    software.unwrap_or_else(|| "-".into())
}

/// Plugins and policy bundles.
fn described(node: &NodeView) -> Vec<Line> {
    let Some(reported) = &node.reported else {
        return Vec::new();
    };
    let status = match &reported.status {
        Open::Known(status) => status,
        Open::Unknown(_) => {
            let text = "  says of itself what this version cannot read; update this program";
            return vec![Line::new(text, Tone::Attention)];
        }
    };
    let mut lines: Vec<Line> = status.plugins.iter().map(plugin).collect();
    if status.more_plugins > 0 {
        lines.push(format!("  and {} more plugins", status.more_plugins).into());
    }
    let bundles = status.bundles.iter();
    let in_force = bundles.filter(|bundle| bundle.state == BundleState::InForce);
    lines.extend(in_force.map(bundle));
    // A wait counts by the node's clock, and stands still while the node does.
    let waits = waits(&status.bundles, status.clock).into_iter();
    lines.extend(waits.map(|line| Line::new(format!("  {line}"), Tone::Attention)));
    lines
}

fn bundle(bundle: &BundleStatus) -> Line {
    Line::from(format!("  bundle {} {}: ", bundle.name, bundle.version))
        .and("in force", Tone::Good)
        .and(
            format!(", signed by {}; {} must", bundle.signed, bundle.needed),
            Tone::Plain,
        )
        .and(format!(", digest {}", bundle.digest), Tone::Dim)
}

fn plugin(plugin: &PluginStatus) -> Line {
    let (state, tone) = match plugin.state {
        PluginState::InForce => ("in force", Tone::Good),
        PluginState::Shadow => ("in the shadow: decides nothing", Tone::Attention),
        PluginState::Broken => ("BROKEN: what it guards is refused", Tone::Bad),
    };
    let version = plugin.version.as_deref().unwrap_or("-");
    let remote = if plugin.remote {
        ", may ask others"
    } else {
        ""
    };
    let digest = plugin.digest.map(|digest| digest.to_string());
    let digest = digest.map_or(String::new(), |digest| format!(", digest {digest}"));
    Line::from(format!("  plugin {} {version}: ", plugin.name))
        .and(state, tone)
        .and(remote, Tone::Plain)
        .and(digest, Tone::Dim)
}

fn own_name(profile: &Profile, node: &NodeView) -> (String, Tone) {
    if profile.names_node(&node.id) {
        (profile.name_of(&node.id), Tone::Plain)
    } else {
        ("-".into(), Tone::Dim)
    }
}

/// A coordinator may use the profile's name of one node for another.
fn there(profile: &Profile, node: &NodeView) -> (String, Tone) {
    match profile.nodes.get(&node.name) {
        Some(known) if *known != node.id => {
            (format!("{} (NOT your {})", node.name, node.name), Tone::Bad)
        }
        Some(_) | None => (node.name.clone(), Tone::Dim),
    }
}
