//! `plugin replay`: asks the plugins again what they decided, with what they heard then.

use crate::admin::{self, Answer, Question};
use crate::cli::Args;
use crate::config::{Config, Policy};
use crate::risk;
use anyhow::{Context, bail};
use countersign_host::{Host, PluginStore, Recorded, Recording, Replay, Task, Verdict, With};
use countersign_protocol::TaskId;
use serde_json::json;
use std::process::ExitCode;

/// Exit code if a plugin says something else than it did.
const DIFFERENT: u8 = 3;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node plugin replay 0b5e…

Works while the node runs. A component that is no longer in force is found in policy.plugin_dir by its digest. The \
configuration must be the one that decided; --what-if asks what the present one would say.

Exit codes: 0 every plugin says what it said, 3 one does not, 1 something cannot be replayed.";

/// Arguments of `plugin replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayTask {
    /// The task's id.
    task: TaskId,
    /// Ask the components and configurations that are configured now, instead of those that decided.
    #[arg(long)]
    what_if: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ReplayTask {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = Config::load(&args.config)?;
        let Answer::Recording(Some(kept)) = admin::ask(&config.dir, &Question::Recording(self.task))? else {
            bail!("no decision about the task {} is on record; the newest are kept", self.task);
        };
        let recording = Recording::decode(&kept.recording, kept.task)?;
        let too_large = "the question was too large to be kept; the journal has the verdicts";
        let question = recording.question.as_ref().context(too_large)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let replays = runtime.block_on(async {
            let host = risk::sandbox(&config.policy, None)?;
            let mut replays = Vec::new();
            for recorded in &recording.evaluations {
                replays.push(self.replay(&host, &config.policy, question, recorded).await);
            }
            anyhow::Ok(replays)
        })?;
        let told: Vec<_> = recording.evaluations.iter().zip(&replays).collect();
        match self.json {
            true => {
                let plugins: Vec<_> =
                    told.iter().map(|(recorded, replay)| as_json(recorded, replay)).collect();
                let chain = hex::encode(recording.chain);
                let json = json!({ "task": self.task, "chain": chain, "plugins": plugins });
                println!("{}", serde_json::to_string_pretty(&json)?);
            }
            false => {
                println!("Task {}, decided by chain {}", self.task, hex::encode(recording.chain));
                told.iter().for_each(|(recorded, replay)| show(recorded, replay));
            }
        }
        if replays.iter().any(Result::is_err) {
            return Ok(ExitCode::FAILURE);
        }
        let same = replays.iter().flatten().all(|replay| replay.same);
        Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
    }

    async fn replay(
        &self,
        host: &Host,
        policy: &Policy,
        question: &Task,
        recorded: &Recorded,
    ) -> anyhow::Result<Replay> {
        let entry = policy.plugins.iter().find(|entry| entry.name == recorded.plugin);
        let gone = || format!("policy.plugins has no entry `{}` any more; write it again", recorded.plugin);
        let mut spec = risk::spec(policy, entry.with_context(gone)?)?;
        let with = if self.what_if { With::Another } else { With::TheSame };
        if let (With::TheSame, Some(file)) =
            (with, PluginStore::new(&policy.plugin_dir).component(&recorded.digest))
        {
            (spec.file, spec.digest) = (file, Some(recorded.digest));
        }
        Ok(host.replay(&spec, question, recorded, with).await?)
    }
}

fn show(recorded: &Recorded, replay: &anyhow::Result<Replay>) {
    println!("\n{} {} sha256:{}", recorded.plugin, recorded.version, hex::encode(recorded.digest));
    println!("  said     {}", verdict(&recorded.verdict));
    match replay {
        Err(error) => println!("  NOT REPLAYED: {error:#}"),
        Ok(replay) => {
            println!("  now says {}", verdict(&replay.evaluation.verdict));
            if let Some(divergence) = &replay.divergence {
                println!("  it left the record: {divergence}");
            }
            println!("  {}", if replay.same { "the same" } else { "DIFFERENT" });
        }
    }
}

fn verdict(verdict: &Verdict) -> String {
    verdict.refusal().map_or("approve".into(), |(code, reason)| format!("{code}: {reason}"))
}

fn as_json(recorded: &Recorded, replay: &anyhow::Result<Replay>) -> serde_json::Value {
    let now = replay.as_ref().ok().map(|replay| &replay.evaluation.verdict);
    json!({
        "plugin": recorded.plugin,
        "version": recorded.version,
        "digest": format!("sha256:{}", hex::encode(recorded.digest)),
        "said": verdict(&recorded.verdict),
        "now": now.map(verdict),
        "same": replay.as_ref().is_ok_and(|replay| replay.same),
        "error": replay.as_ref().err().map(|error| format!("{error:#}")),
    })
}
