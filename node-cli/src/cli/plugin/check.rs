//! `plugin check`: loads one plugin as the node would, and asks it about one example, so that
//! defects which only an answer reveals are found before a task is refused because of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_host::{Code, Plugin, Services, Verdict};
use countersign_node::risk;

use super::target::{self, Target};
use super::task_file::Example;
use super::trial::Trial;
use crate::cli::Args;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node plugin check rules
  countersign-node plugin check ./limits.wasm --plugin-config limits.yaml --http https://risk.example.com/";

/// Description of the example task.
const EXAMPLE: &str = "a transfer on Ethereum";
/// Time limit for the plugin's answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    target: Target,
    /// Print the JSON Schema of its configuration, and nothing else.
    #[arg(long, conflicts_with = "json")]
    schema: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let (policy, entry) = self.target.find(args)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let host = risk::sandbox(&policy, None)?;
            let (spec, seen) = target::spec(&host, &policy, &entry).await?;
            if self.schema {
                let none = || {
                    anyhow::anyhow!(
                        "`{}` does not publish a schema of its configuration",
                        seen.info.name
                    )
                };
                println!("{}", seen.info.config_schema.as_deref().ok_or_else(none)?);
                return Ok(());
            }
            let trial = Arc::new(Trial::new(risk::scratch(&policy)?, None, false));
            let loaded = host.load(&spec, trial.clone()).await;
            let asked = match &loaded {
                Ok(plugin) => Some(Asked::about_an_example(plugin, &trial).await),
                Err(_) => None,
            };
            let asked = asked.as_ref();
            if self.json {
                println!(
                    "{}",
                    serde_json::to_string_pretty(&as_json(&seen, loaded.as_ref().err(), asked))?
                )
            } else {
                show(&seen, &spec)
            }
            if let Err(error) = loaded {
                anyhow::bail!("`{}` cannot be used: {error}", entry.name);
            }
            if let Some(defect) = asked.and_then(Asked::defect) {
                anyhow::bail!(
                    "`{}` cannot answer: asked about an example ({EXAMPLE}), {defect}",
                    entry.name
                );
            }
            if !self.json {
                println!("\nIts configuration is valid.");
                asked.into_iter().for_each(Asked::show);
            }
            Ok(())
        })
    }
}

/// A plugin's answer about an example, without network and with an empty memory.
struct Asked {
    verdict: Verdict,
    /// True if it tried to contact a server, whose silence is not a defect of the plugin.
    outside: bool,
}

impl Asked {
    async fn about_an_example(plugin: &Plugin, trial: &Trial) -> Self {
        let mut task = Example::Keysign.task();
        task.received_at = trial.now();
        let evaluation = plugin.evaluate(&task, Instant::now() + PATIENCE).await;
        Self {
            verdict: evaluation.verdict,
            outside: !trial.requests().is_empty(),
        }
    }

    /// Returns the defect that its author has to fix, if there is one.
    fn defect(&self) -> Option<String> {
        let Verdict::Failed { code, reason } = &self.verdict else {
            return None;
        };
        let fine = match code {
            Code::Unavailable
            | Code::Unsupported
            | Code::Misconfigured
            | Code::Timeout
            | Code::Busy => true,
            // A code from a later version is not known to be fine.
            _ => false,
        };
        (!fine && !self.outside).then(|| format!("it gave no usable answer: {reason} [{code}]"))
    }

    fn show(&self) {
        match (&self.verdict, self.outside) {
            (_, true) => println!(
                "Asked about an example ({EXAMPLE}), it wants to ask a server; `plugin run` shows how."
            ),
            (Verdict::Approve, _) => println!("Asked about an example ({EXAMPLE}), it approves."),
            (Verdict::Reject { code, reason }, _) => {
                println!("Asked about an example ({EXAMPLE}), it rejects: {reason} [{code}]");
            }
            (Verdict::Failed { code, reason }, _) => {
                println!(
                    "Asked about an example ({EXAMPLE}), it gives no answer: {reason} [{code}]"
                );
            }
        }
    }

    fn as_json(&self) -> serde_json::Value {
        let refusal = self.verdict.refusal();
        serde_json::json!({
            "about": EXAMPLE,
            "approved": refusal.is_none(),
            "code": refusal.map(|(code, _)| code),
            "reason": refusal.map(|(_, reason)| reason),
            "asks_a_server": self.outside,
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
        seen.publisher
            .as_deref()
            .unwrap_or("not checked: policy.trusted_publishers is empty")
    );
    let schema = if seen.info.config_schema.is_some() {
        "yes, see --schema"
    } else {
        "none"
    };
    println!("  schema     {schema}");
    let (ours, wasi): (Vec<&String>, Vec<&String>) = seen
        .imports
        .iter()
        .partition(|import| import.starts_with("countersign:"));
    ours.iter()
        .for_each(|import| println!("  imports    {import}"));
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
    asked: Option<&Asked>,
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
        "example": asked.map(Asked::as_json),
    })
}
