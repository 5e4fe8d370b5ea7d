//! `plugin list`: the state of the configured plugins in the running node, or as the files describe
//! it; and the installed plugins.

use countersign_host::{Anchor, PluginManifest, PluginStore};
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::{Component, Config, PluginEntry, Shadow};
use countersign_node::events::LiveReceiver;
use countersign_node::public::LivePlugin;
use countersign_protocol::UnixMillis;
use serde_json::json;

use crate::cli::{Args, table, time};

/// Shown below the help.
pub(super) const EXAMPLES: &str = "A running node reports the state of each entry: in force, a shadow, or broken, which refuses \
everything that the entry guards. Counts and times are those since the node started. If no node is running, the files are read.";

/// Digits of a digest that are shown in a table.
const SHORT: usize = 12;

#[derive(Debug, clap::Args)]
pub struct List {
    /// Print the lists as JSON.
    #[arg(long)]
    json: bool,
}

/// The answer of the running node.
struct Live {
    plugins: Vec<LivePlugin>,
    receivers: Vec<LiveReceiver>,
}

impl List {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let installed = PluginStore::new(&config.policy.plugin_dir).list()?;
        let live = ask(&config)?;
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&as_json(&config, &installed, live.as_ref()))?
            );
            return Ok(());
        }
        match &live {
            Some(live) => {
                println!("The node is running. Its plugins, in the order of the configuration:\n");
                show_plugins(&live.plugins);
                show_receivers(&live.receivers);
                show_news(&config, live);
            }
            None => {
                println!(
                    "No node is running in {}. According to the files:\n",
                    config.dir.display()
                );
                show_files(&config, &installed);
            }
        }
        println!("\nInstalled in {}:\n", config.policy.plugin_dir.display());
        show_installed(&installed);
        Ok(())
    }
}

fn ask(config: &Config) -> anyhow::Result<Option<Live>> {
    match admin::ask_running(&config.dir, &Question::Plugins)? {
        None => Ok(None),
        Some(Answer::Plugins { plugins, receivers }) => Ok(Some(Live { plugins, receivers })),
        Some(_) => anyhow::bail!("unexpected answer from the node; does it run this version?"),
    }
}

fn show_plugins(plugins: &[LivePlugin]) {
    if plugins.is_empty() {
        return println!("  none: every task of a requester is approved");
    }
    let state = |plugin: &LivePlugin| {
        let shown = &plugin.shown;
        let of = |text: &Option<String>| text.as_deref().map_or("-".into(), short);
        [
            shown.name.clone(),
            state_text(&shown.state).into(),
            shown.version.clone().unwrap_or_else(|| "-".into()),
            of(&shown.digest),
            of(&shown.config),
            time(UnixMillis(shown.since.0 / 1000 * 1000)),
            reach(plugin).into(),
        ]
    };
    table::print(
        [
            "NAME", "STATE", "VERSION", "SHA256", "CONFIG", "SINCE", "IN REACH",
        ],
        &plugins.iter().map(state).collect::<Vec<_>>(),
    );
    let counts = |plugin: &LivePlugin| {
        [
            plugin.shown.name.clone(),
            plugin.asked.to_string(),
            plugin.approved.to_string(),
            plugin.rejected.to_string(),
            plugin.failed.to_string(),
            plugin.mean_micros.map_or("-".into(), duration),
            plugin.slowest_micros.map_or("-".into(), duration),
            plugin.last_code.clone().unwrap_or_else(|| "-".into()),
        ]
    };
    show_anchors(plugins);
    println!();
    table::print(
        [
            "NAME",
            "ASKED",
            "APPROVED",
            "REJECTED",
            "FAILED",
            "MEAN",
            "SLOWEST",
            "LAST REFUSAL",
        ],
        &plugins.iter().map(counts).collect::<Vec<_>>(),
    );
    plugins.iter().for_each(show_trouble);
}

/// Shows keys and authorities in full, because they are compared with those of others.
fn show_anchors(plugins: &[LivePlugin]) {
    let of = |plugin: &LivePlugin| {
        let name = plugin.shown.name.clone();
        let row = move |anchor: &Anchor| {
            [
                name.clone(),
                anchor.kind.name().into(),
                anchor.name.clone(),
                anchor.digest(),
            ]
        };
        plugin.shown.anchors.iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<_> = plugins.iter().flat_map(of).collect();
    if !rows.is_empty() {
        println!();
        table::print(["NAME", "RESTS ON", "CALLED", "SHA256"], &rows);
    }
}

fn show_trouble(plugin: &LivePlugin) {
    let name = &plugin.shown.name;
    if let Some((code, reason)) = &plugin.shown.broken {
        println!(
            "\n  {name} is broken, and everything that it guards is refused: {reason} [{code}]"
        );
    }
    if let Some((code, reason)) = &plugin.shown.ill {
        println!("\n  {name} cannot reach what it needs: {reason} [{code}]");
    }
    if plugin.shown.state == "shadow" {
        println!(
            "\n  {name} decides nothing; it would have decided differently {} times, and was skipped {} times",
            plugin.differed, plugin.skipped
        );
    }
}

fn show_receivers(receivers: &[LiveReceiver]) {
    if receivers.is_empty() {
        return;
    }
    println!("\nIts receivers of events:\n");
    let row = |receiver: &LiveReceiver| {
        let state = match (&receiver.digest, &receiver.trouble) {
            (Some(_), _) => "in force",
            (None, Some(_)) => "BROKEN",
            (None, None) => "loading",
        };
        let version = receiver.version.clone().unwrap_or_else(|| "-".into());
        [
            receiver.name.clone(),
            state.into(),
            version,
            receiver.digest.as_deref().map_or("-".into(), short),
        ]
    };
    table::print(
        ["NAME", "STATE", "VERSION", "SHA256"],
        &receivers.iter().map(row).collect::<Vec<_>>(),
    );
    for receiver in receivers {
        if let Some(trouble) = &receiver.trouble {
            println!(
                "\n  {}: the files on disk cannot be used: {trouble}",
                receiver.name
            );
        }
    }
}

/// Reports entries of the file that the node has not loaded yet.
fn show_news(config: &Config, live: &Live) {
    let names = |plugins: &mut dyn Iterator<Item = &String>| plugins.cloned().collect::<Vec<_>>();
    let node = names(&mut live.plugins.iter().map(|plugin| &plugin.shown.name));
    let file = names(&mut config.policy.plugins.iter().map(|entry| &entry.name));
    if node != file {
        println!(
            "\nThe configuration file lists other plugins now: {}. They take effect when the node is restarted.",
            if file.is_empty() {
                "none".into()
            } else {
                file.join(", ")
            }
        );
    }
}

fn show_files(config: &Config, installed: &[PluginManifest]) {
    let receivers = config
        .receivers
        .iter()
        .map(|receiver| (&receiver.plugin, "told of events".to_owned()));
    let plugins = config
        .policy
        .plugins
        .iter()
        .map(|entry| (entry, role(entry)));
    let row = |(entry, role): (&PluginEntry, String)| {
        let (component, version, digest) = component(entry, installed);
        [entry.name.clone(), role, version, digest, component]
    };
    let rows: Vec<_> = plugins.chain(receivers).map(row).collect();
    if rows.is_empty() {
        println!("  no plugin is configured")
    } else {
        table::print(["NAME", "ROLE", "VERSION", "SHA256", "COMPONENT"], &rows)
    }
}

fn role(entry: &PluginEntry) -> String {
    match &entry.shadow {
        None => "decides".into(),
        Some(Shadow::Chain) => "shadow".into(),
        Some(Shadow::Entry(other)) => format!("shadow of {other}"),
    }
}

/// Returns place, version and digest of an entry's component, as far as the files tell.
fn component(entry: &PluginEntry, installed: &[PluginManifest]) -> (String, String, String) {
    let pinned = entry
        .digest
        .map_or("-".into(), |digest| short(&hex::encode(digest)));
    match &entry.component {
        Component::File(file) => (file.display().to_string(), "-".into(), pinned),
        Component::Installed(name) => match found(installed, name) {
            Some(PluginManifest { current, .. }) => (
                format!("installed {name}"),
                current.version.clone(),
                short(&hex::encode(current.digest)),
            ),
            None => (
                format!("NOT INSTALLED: {name}; run `plugin install`"),
                "-".into(),
                pinned,
            ),
        },
    }
}

fn show_installed(installed: &[PluginManifest]) {
    if installed.is_empty() {
        return println!("  none; `plugin install FILE` installs one");
    }
    let mut rows = Vec::new();
    for manifest in installed {
        for (index, release) in manifest.releases().enumerate() {
            let name = if index == 0 {
                manifest.name.clone()
            } else {
                "  before".into()
            };
            let publisher = release.publisher.clone().unwrap_or_else(|| "-".into());
            let at = time(UnixMillis(release.installed_at / 1000 * 1000));
            rows.push([
                name,
                release.version.clone(),
                short(&hex::encode(release.digest)),
                publisher,
                at,
            ]);
        }
    }
    table::print(
        ["NAME", "VERSION", "SHA256", "SIGNED BY", "INSTALLED"],
        &rows,
    );
}

fn state_text(state: &str) -> &str {
    match state {
        "in-force" => "in force",
        "broken" => "BROKEN",
        other => other,
    }
}

fn reach(plugin: &LivePlugin) -> &'static str {
    match (&plugin.probed, &plugin.shown.ill) {
        (None, _) => "-",
        (Some(_), None) => "yes",
        (Some(_), Some(_)) => "NO",
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(SHORT).collect()
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

fn found<'a>(installed: &'a [PluginManifest], name: &str) -> Option<&'a PluginManifest> {
    installed.iter().find(|manifest| manifest.name == name)
}

fn as_json(
    config: &Config,
    installed: &[PluginManifest],
    live: Option<&Live>,
) -> serde_json::Value {
    let configured: Vec<_> = config
        .policy
        .plugins
        .iter()
        .map(|entry| entry_as_json(entry, installed))
        .collect();
    json!({
        "running": live.is_some(),
        "plugins": live.map(|live| &live.plugins),
        "receivers": live.map(|live| &live.receivers),
        "configured": configured,
        "installed": installed,
    })
}

fn entry_as_json(entry: &PluginEntry, installed: &[PluginManifest]) -> serde_json::Value {
    let (file, installed_as) = match &entry.component {
        Component::File(file) => (Some(file), None),
        Component::Installed(name) => (None, Some(name)),
    };
    let release = installed_as
        .and_then(|name| found(installed, name))
        .map(|manifest| &manifest.current);
    json!({
        "name": entry.name,
        "file": file,
        "installed": installed_as,
        "version": release.map(|release| &release.version),
        "digest": release.map(|release| format!("sha256:{}", hex::encode(release.digest))),
        "pinned": entry.digest.map(|digest| format!("sha256:{}", hex::encode(digest))),
        "decides": entry.shadow.is_none(),
    })
}
