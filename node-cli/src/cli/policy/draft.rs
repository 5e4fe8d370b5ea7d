//! `policy draft`: puts the policy of this node into a bundle that others can sign.

use std::path::PathBuf;

use anyhow::{Context, bail};
use countersign_cli_kit::times;
use countersign_node::bundle::draft::{Title, base, draft};
use countersign_node::bundle::judge::steps;
use countersign_node::bundle::{Bundle, BundleFolder, Step};
use countersign_node::config::{Component, Config, PluginConfig, PluginEntry, Policy};
use countersign_protocol::text::escaped;

use super::bundle_file;
use crate::cli::Args;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node policy draft --name treasury --out treasury-1.bundle
  countersign-node policy draft --plugin-config rules=stricter.yaml --out treasury-2.bundle
  countersign-node policy draft --component rules=./rules.wasm --without quorum --out treasury-3.bundle

With a bundle in force, its entries are taken over as they were signed, and entries of policy.plugins are drafted only if \
--only names them. Without one, all of policy.plugins that decide are drafted. Shadows are left out. Keys and URLs are only named in a bundle: each operator grants them under \
policy.bundles.grants.";

#[derive(Debug, clap::Args)]
pub struct Draft {
    /// Name of the policy. Default: policy.bundles.name.
    #[arg(long)]
    name: Option<String>,
    /// Its version. Default: one more than that of the bundle in force.
    #[arg(long = "bundle-version", value_name = "NUMBER")]
    bundle_version: Option<u64>,
    /// Only this entry; repeatable. Default: those of the bundle in force or, if there is none, all
    /// that decide.
    #[arg(long, value_name = "ENTRY")]
    only: Vec<String>,
    /// Leave this entry out; repeatable.
    #[arg(long, value_name = "ENTRY")]
    without: Vec<String>,
    /// Another configuration for an entry; repeatable.
    #[arg(long, value_name = "ENTRY=FILE", value_parser = assignment)]
    plugin_config: Vec<(String, PathBuf)>,
    /// Another component for an entry; repeatable.
    #[arg(long, value_name = "ENTRY=FILE", value_parser = assignment)]
    component: Vec<(String, PathBuf)>,
    /// New file for the bundle.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Draft {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load_own(&args.config)?;
        let present = present(&config)?;
        let title = self.title(&config, present.as_ref())?;
        let in_force = present.as_ref().map(Bundle::hash);
        let folder = BundleFolder::of(&config.dir);
        let mut policy = base(&folder, config.policy, in_force.as_ref(), &self.only)?;
        self.edit(&mut policy)?;
        let bundle = draft(&policy, present.as_ref(), &self.only, title)?;
        bundle_file::write(&bundle, &self.out)?;
        bundle_file::show(&bundle);
        if let Some(present) = &present {
            show_difference(present, &bundle);
        }
        println!(
            "Drafted into {}; publishers sign it with `policy sign`.",
            self.out.display()
        );
        Ok(())
    }

    fn title(&self, config: &Config, present: Option<&Bundle>) -> anyhow::Result<Title> {
        let followed = config.policy.bundles.as_ref();
        let name = self.name.clone();
        let name = name.or_else(|| followed.map(|bundles| bundles.name.clone()));
        let version = present.map_or(0, |present| present.manifest().version);
        Ok(Title {
            name: name.context("the bundle has no name; give it one with --name")?,
            version: self.bundle_version.unwrap_or(version.saturating_add(1)),
            previous: present.map(Bundle::hash),
            created: times::now(),
        })
    }

    /// Makes the changes that were asked for.
    fn edit(&self, policy: &mut Policy) -> anyhow::Result<()> {
        for name in &self.without {
            entry(policy, name)?;
            policy.plugins.retain(|entry| entry.name != *name);
        }
        for (name, file) in &self.plugin_config {
            entry(policy, name)?.source = PluginConfig::File(file.clone());
            policy.from_bundle.remove(name);
        }
        for (name, file) in &self.component {
            let entry = entry(policy, name)?;
            entry.component = Component::File(file.clone());
            entry.digest = None;
            policy.from_bundle.remove(name);
        }
        Ok(())
    }
}

/// Prints what the draft changes.
fn show_difference(present: &Bundle, next: &Bundle) {
    println!(
        "Compared with version {}, which is in force:",
        present.manifest().version
    );
    let steps = steps(Some(present.manifest()), next.manifest());
    if steps.is_empty() {
        println!("  the same entries");
    }
    for step in steps {
        match step {
            Step::New(entry) => println!("  new      {}", escaped(&entry)),
            Step::Changed(entry) => println!("  changed  {}", escaped(&entry)),
            Step::Removed(entry) => println!("  removed  {}", escaped(&entry)),
        }
    }
}

/// The bundle in force.
fn present(config: &Config) -> anyhow::Result<Option<Bundle>> {
    if config.policy.bundles.is_none() {
        return Ok(None);
    }
    let folder = BundleFolder::of(&config.dir);
    let present = folder.schedule()?.present;
    Ok(present
        .map(|present| folder.bundle(&present.bundle))
        .transpose()?)
}

fn entry<'p>(policy: &'p mut Policy, name: &str) -> anyhow::Result<&'p mut PluginEntry> {
    let found = policy.plugins.iter_mut().find(|entry| entry.name == name);
    match found {
        Some(entry) => Ok(entry),
        None => bail!(
            "there is no entry `{name}` to draft; name one of the bundle in force, or one of policy.plugins, with --only if a bundle is in force"
        ),
    }
}

fn assignment(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((entry, file)) if !entry.is_empty() && !file.is_empty() => {
            Ok((entry.into(), file.into()))
        }
        Some(_) | None => Err("write ENTRY=FILE, such as rules=rules.yaml".into()),
    }
}
