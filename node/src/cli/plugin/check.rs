//! `plugin check`: loads one plugin as the node would.

use super::target::{self, Target};
use crate::cli::Args;
use crate::risk;
use std::sync::Arc;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node plugin check rules
  countersign-node plugin check ./limits.wasm --plugin-config limits.yaml --http https://risk.example.com/";

/// Arguments of `plugin check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    target: Target,
    /// Print the JSON Schema of its configuration, and nothing else.
    #[arg(long, conflicts_with = "json")]
    schema: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let (policy, entry) = self.target.find(args)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let host = risk::sandbox(&policy, None)?;
            let (spec, seen) = target::spec(&host, &policy, &entry).await?;
            if self.schema {
                let none =
                    || anyhow::anyhow!("`{}` publishes no schema of its configuration", seen.info.name);
                println!("{}", seen.info.config_schema.as_deref().ok_or_else(none)?);
                return Ok(());
            }
            let loaded = host.load(&spec, Arc::new(risk::scratch(&policy)?)).await;
            match self.json {
                true => println!("{}", serde_json::to_string_pretty(&as_json(&seen, loaded.as_ref().err()))?),
                false => show(&seen, &spec),
            }
            match loaded {
                Ok(_) if !self.json => println!("\nIts configuration is sound."),
                Ok(_) => {}
                Err(error) => anyhow::bail!("`{}` cannot be used: {error}", entry.name),
            }
            Ok(())
        })
    }
}

fn show(seen: &countersign_host::Inspection, spec: &countersign_host::PluginSpec) {
    println!("{} {}", seen.info.name, seen.info.version);
    println!("{}\n", seen.info.description);
    println!("  file       {}", spec.file.display());
    println!("  digest     sha256:{}", hex::encode(seen.digest));
    println!(
        "  publisher  {}",
        seen.publisher.as_deref().unwrap_or("not checked: policy.trusted_publishers is empty")
    );
    let schema = if seen.info.config_schema.is_some() { "yes, see --schema" } else { "none" };
    println!("  schema     {schema}");
    let (ours, wasi): (Vec<&String>, Vec<&String>) =
        seen.imports.iter().partition(|import| import.starts_with("countersign:"));
    ours.iter().for_each(|import| println!("  imports    {import}"));
    if !wasi.is_empty() {
        println!(
            "  imports    {} interfaces of WASI (clocks, randomness, streams that lead nowhere)",
            wasi.len()
        );
    }
}

fn as_json(
    seen: &countersign_host::Inspection,
    error: Option<&countersign_host::LoadError>,
) -> serde_json::Value {
    serde_json::json!({
        "name": seen.info.name,
        "version": seen.info.version,
        "description": seen.info.description,
        "digest": format!("sha256:{}", hex::encode(seen.digest)),
        "publisher": seen.publisher,
        "imports": seen.imports,
        "schema": seen.info.config_schema.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok()),
        "code": error.map(|error| error.code().as_str()),
        "reason": error.map(ToString::to_string),
    })
}
