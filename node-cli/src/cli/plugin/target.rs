//! The plugin named on the command line: an entry of the configuration, an installed
//! plugin, or a file.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::CommandFactory;
use countersign_host::PluginSpec;
use countersign_node::config::{
    Component, Config, ConfigError, PluginConfig, PluginEntry, Policy, RawGrants, RawScope,
};
use countersign_node::risk;

use crate::cli::Args;

#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// An entry of policy.plugins, an installed plugin, or a component's file (with a `/`,
    /// or ending in .wasm).
    #[arg(value_name = "NAME|FILE")]
    plugin: Option<String>,
    /// The plugin's configuration (YAML or JSON), instead of the entry's.
    #[arg(long, value_name = "FILE")]
    plugin_config: Option<PathBuf>,
    /// A URL prefix that the plugin may send requests to. For plugins without an entry; repeatable.
    #[arg(long, value_name = "URL")]
    http: Vec<String>,
}

impl Target {
    /// Returns the node's policy, and the named entry or one that is made up for the named plugin.
    pub(super) fn find(&self, args: &Args) -> anyhow::Result<(Policy, PluginEntry)> {
        let plugin = self.name();
        let policy = policy(args)?;
        let mut entry = match policy.plugins.iter().find(|entry| entry.name == plugin) {
            Some(entry) => entry.clone(),
            None => self.stranger(plugin, &policy),
        };
        if let Some(file) = &self.plugin_config {
            entry.source = PluginConfig::File(file.clone());
        }
        Ok((policy, entry))
    }

    /// Returns the named plugin. A missing name is reported as wrong usage.
    fn name(&self) -> &str {
        self.plugin.as_deref().unwrap_or_else(|| {
            let missing =
                "name a plugin: an entry of policy.plugins, an installed plugin, or a component's file";
            Args::command().error(clap::error::ErrorKind::MissingRequiredArgument, missing).exit()
        })
    }

    /// Makes up an entry for a plugin that has none: it may use every key, and a
    /// little of everything else that is granted.
    fn stranger(&self, plugin: &str, policy: &Policy) -> PluginEntry {
        let component = if is_file(plugin) {
            Component::File(plugin.into())
        } else {
            Component::Installed(plugin.into())
        };
        let keys = [risk::CALLBACK_KEY.to_owned()].into_iter();
        let grants = RawGrants {
            keys: keys
                .chain(
                    policy
                        .public_keys
                        .keys()
                        .chain(policy.secrets.keys())
                        .cloned(),
                )
                .collect(),
            http: self.http.clone(),
            ..RawGrants::trial()
        };
        PluginEntry {
            name: plugin.into(),
            component,
            digest: None,
            source: PluginConfig::Inline(serde_json::json!({})),
            scope: RawScope::default(),
            shadow: None,
            monitor_interval: None,
            grants,
        }
    }
}

/// Returns the specification that the host loads. A file without an entry gets the name that
/// the component gives itself.
pub(super) async fn spec(
    host: &countersign_host::Host,
    policy: &Policy,
    entry: &PluginEntry,
) -> anyhow::Result<(PluginSpec, countersign_host::Inspection)> {
    let mut spec = risk::spec(policy, entry)?;
    let seen = host.inspect(&spec.file).await?;
    if is_file(&entry.name) {
        spec.name.clone_from(&seen.info.name);
    }
    Ok((spec, seen))
}

/// Returns the policy of the configuration file or, without one, a policy for authors
/// who have no node.
pub(super) fn policy(args: &Args) -> anyhow::Result<Policy> {
    match Config::load(&args.config) {
        Ok(config) => Ok(config.policy),
        Err(ConfigError::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound
                && args.config == Path::new(super::super::CONFIG) =>
        {
            Ok(Policy::default())
        }
        Err(error) => Err(error).context("the configuration cannot be used"),
    }
}

pub(super) fn is_file(name: &str) -> bool {
    name.contains('/') || name.ends_with(".wasm")
}
