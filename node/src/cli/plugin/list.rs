//! `plugin list`: what is configured, and what is installed.

use crate::cli::Args;
use crate::config::{Component, Config, PluginEntry, Shadow};
use countersign_host::{PluginManifest, PluginStore};
use serde_json::json;

/// Arguments of `plugin list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let policy = Config::load(&args.config)?.policy;
        let installed = PluginStore::new(&policy.plugin_dir).list()?;
        if self.json {
            let entries: Vec<_> = policy.plugins.iter().map(|entry| as_json(entry, &installed)).collect();
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({ "configured": entries, "installed": installed }))?
            );
            return Ok(());
        }
        println!("Configured, in the order in which they are asked:");
        policy.plugins.iter().for_each(|entry| show_entry(entry, &installed));
        if policy.plugins.is_empty() {
            println!("  none");
        }
        println!("\nInstalled in {}:", policy.plugin_dir.display());
        installed.iter().for_each(show_installed);
        if installed.is_empty() {
            println!("  none; `plugin install FILE` installs one");
        }
        Ok(())
    }
}

fn show_entry(entry: &PluginEntry, installed: &[PluginManifest]) {
    let role = match &entry.shadow {
        None => String::new(),
        Some(Shadow::Chain) => ", decides nothing".into(),
        Some(Shadow::Entry(other)) => format!(", decides nothing, compared with {other}"),
    };
    let component = match &entry.component {
        Component::File(file) => file.display().to_string(),
        Component::Installed(name) => match found(installed, name) {
            Some(manifest) => format!("installed {name} {}", manifest.current.version),
            None => format!("NOT INSTALLED: {name}; run `plugin install`"),
        },
    };
    println!("  {:<20} {component}{role}", entry.name);
}

fn show_installed(manifest: &PluginManifest) {
    let release = &manifest.current;
    println!("  {:<20} {:<10} sha256:{}", manifest.name, release.version, hex::encode(release.digest));
    if let Some(publisher) = &release.publisher {
        println!("  {:<20} signed by {publisher}", "");
    }
    for previous in &manifest.previous {
        println!("  {:<20} {:<10} sha256:{}", "  before", previous.version, hex::encode(previous.digest));
    }
}

fn found<'a>(installed: &'a [PluginManifest], name: &str) -> Option<&'a PluginManifest> {
    installed.iter().find(|manifest| manifest.name == name)
}

fn as_json(entry: &PluginEntry, installed: &[PluginManifest]) -> serde_json::Value {
    let (file, installed_as) = match &entry.component {
        Component::File(file) => (Some(file), None),
        Component::Installed(name) => (None, Some(name)),
    };
    let release = installed_as.and_then(|name| found(installed, name)).map(|manifest| &manifest.current);
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
