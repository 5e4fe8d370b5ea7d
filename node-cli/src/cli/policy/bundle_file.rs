//! Reads bundles from files, writes them, and describes them.

use std::path::Path;

use anyhow::Context;
use countersign_node::bundle::file::LARGEST;
use countersign_node::bundle::{Bundle, BundleEntry};
use countersign_node::config::Config;
use countersign_protocol::text::escaped;

use crate::cli::{Args, time};

/// Reads a bundle. Nobody need have signed it.
pub(super) fn read(file: &Path) -> anyhow::Result<Bundle> {
    let bytes = countersign_files::read(file, LARGEST).with_context(|| {
        format!(
            "cannot read {}; name a bundle that `policy draft` or `policy publish` wrote",
            file.display()
        )
    })?;
    Bundle::decode(&bytes).with_context(|| format!("{} cannot be used", file.display()))
}

/// Writes a bundle into a new file.
pub(super) fn write(bundle: &Bundle, file: &Path) -> anyhow::Result<()> {
    countersign_files::create(file, &bundle.encode()?)
        .with_context(|| format!("cannot write {}; name a new file", file.display()))
}

/// Prints what a bundle is about, for somebody who is to sign or to take it.
pub(super) fn show(bundle: &Bundle) {
    let manifest = bundle.manifest();
    println!("{} version {}", manifest.name, manifest.version);
    println!("  hash      {}", bundle.hash());
    println!("  drafted   {}", time(manifest.created));
    if let Some(previous) = &manifest.previous {
        println!("  follows   {previous}");
    }
    for entry in &manifest.entries {
        show_entry(entry);
    }
}

fn show_entry(entry: &BundleEntry) {
    println!("  entry     {}", escaped(&entry.name));
    println!("    component  sha256:{}", entry.component);
    println!("    config     sha256:{}", entry.config);
    let scope = serde_json::to_string(&entry.scope).unwrap_or_default();
    let grants = serde_json::to_string(&entry.grants).unwrap_or_default();
    println!("    scope      {}", escaped(&scope));
    println!("    grants     {}", escaped(&grants));
}

/// The same with the texts of its configurations, and with those who have signed it.
pub(super) fn show_whole(bundle: &Bundle) {
    show(bundle);
    for signature in bundle.signatures() {
        let by = hex::encode(signature.key);
        if signature.verifies(bundle.hash().as_bytes()) {
            println!("  signature by {by}");
        } else {
            println!("  FALSE SIGNATURE in the name of {by}; `policy publish` leaves it out");
        }
    }
    for entry in &bundle.manifest().entries {
        println!("\nConfiguration of {}", escaped(&entry.name));
        let text = bundle.file(&entry.config).unwrap_or_default();
        for line in String::from_utf8_lossy(text).lines() {
            println!("  {}", escaped(line));
        }
    }
}

/// The configuration with a section `policy.bundles`, and with the entries of the bundle in force.
pub(super) fn following(args: &Args) -> anyhow::Result<Config> {
    followed(Config::load(&args.config)?)
}

/// The same without these entries: they may be damaged or lost.
pub(super) fn own(args: &Args) -> anyhow::Result<Config> {
    followed(Config::load_own(&args.config)?)
}

fn followed(config: Config) -> anyhow::Result<Config> {
    if config.policy.bundles.is_none() {
        return Err(countersign_node::bundle::TakeError::NotFollowed.into());
    }
    Ok(config)
}
