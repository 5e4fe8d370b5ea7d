//! `plugin backtest`: asks a new version of a plugin every recorded question of a time, with the
//! answers that the old version heard then, and lists each difference.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign_cli_kit::times;
use countersign_host::{
    Answered, Candidate, Change, Doubt, Host, Plugin, PluginSpec, Tightening, Totals, Verdict,
};
use countersign_node::backtest::{BacktestDifference, BacktestResult};
use countersign_node::config::{Component, Config, PluginConfig, PluginEntry, Policy, Shadow};
use countersign_node::risk;
use countersign_protocol::UnixMillis;
use countersign_protocol::text::escaped;
use serde_json::{Value, json};

use super::target;
use super::trial::Trial;
use crate::cli::{Args, time};

/// Exit code if a question has another answer, or if that is not known of every decision.
const DIFFERENT: u8 = 3;
/// The most threads that ask.
const THREADS: usize = 16;
/// Time between two lines about the progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node plugin backtest rules --since 30d --plugin-config stricter.yaml
  countersign-node plugin backtest ./limits.wasm --since 12h
  countersign-node plugin backtest ./rules.wasm --since 2026-07-01 --entry rules:hot

NEW is asked under the scope and grants of the entry that it is to replace, with the time, randomness, state and servers' \
answers that were recorded. What it writes to its state is accepted and forgotten, so no answer depends on another. It \
cannot be judged where it asks for something that is not on record, or where it is stopped. Codes are compared, not their \
wording. Works while the node runs; a node that is stopped cannot start meanwhile.

Exit codes: 0 the same answers in every decision of the time; 3 differences, or decisions that could not be compared; \
1 error; 2 wrong usage.";

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Backtest {
    /// An entry of policy.plugins as it is configured now, an installed plugin, or a component's
    /// file (with a `/`, or ending in .wasm).
    #[arg(value_name = "NEW")]
    new: String,
    /// Ask about tasks received since then: an age such as 30d or 12h, or a date such as 2026-07-01
    /// or 2026-07-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = times::point)]
    since: UnixMillis,
    /// The new configuration (YAML or JSON), instead of the entry's.
    #[arg(long, value_name = "FILE")]
    plugin_config: Option<PathBuf>,
    /// The entry of policy.plugins that NEW is to replace. Default: the entry NEW, or the only
    /// entry of that plugin.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The new version, and the entry whose decisions it is compared with.
struct Match {
    spec: PluginSpec,
    decided: String,
}

impl Backtest {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = Config::load(&args.config)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.min(THREADS))
            .enable_all()
            .build()?;
        let result = runtime.block_on(async {
            let host = risk::sandbox(&config.policy, None)?;
            let matched = self.choose(&host, &config.policy).await?;
            let trial = Trial::new(risk::scratch(&config.policy)?, None, false);
            let candidate = host.candidate(&matched.spec, Arc::new(trial)).await;
            let candidate = candidate.with_context(|| format!("`{}` cannot be used", self.new))?;
            self.ask(&config, &matched, candidate).await
        })?;
        Ok(if result.is_same() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(DIFFERENT)
        })
    }

    /// Finds the new version, and the entry that it is to replace.
    async fn choose(&self, host: &Host, policy: &Policy) -> anyhow::Result<Match> {
        let present = policy.plugins.iter().find(|entry| entry.name == self.new);
        let (mut entry, decided) = match present {
            Some(entry) => (entry.clone(), self.decided(entry)),
            None => {
                let entry = self.replacement(host, policy).await?;
                let decided = entry.name.clone();
                (entry, decided)
            }
        };
        if let Some(file) = &self.plugin_config {
            entry.source = PluginConfig::File(file.clone());
        }
        Ok(Match {
            spec: risk::spec(policy, &entry)?,
            decided,
        })
    }

    /// The entry whose decisions count for the configured entry: that of --entry, the one that it
    /// shadows, or itself.
    fn decided(&self, entry: &PluginEntry) -> String {
        let shadowed = match &entry.shadow {
            Some(Shadow::Entry(name)) => Some(name),
            Some(Shadow::Chain) | None => None,
        };
        let decided = self.entry.as_ref().or(shadowed).unwrap_or(&entry.name);
        decided.clone()
    }

    /// The entry that is to be replaced, with the new component.
    async fn replacement(&self, host: &Host, policy: &Policy) -> anyhow::Result<PluginEntry> {
        let (component, plugin) = if target::is_file(&self.new) {
            let seen = host.inspect(self.new.as_ref()).await?;
            (Component::File(self.new.clone().into()), seen.info.name)
        } else {
            (Component::Installed(self.new.clone()), self.new.clone())
        };
        let replaced = |entry: &&PluginEntry| match &self.entry {
            Some(name) => entry.name == *name,
            None => entry.shadow.is_none() && entry.name.split(':').next() == Some(&plugin),
        };
        let entries: Vec<_> = policy.plugins.iter().filter(replaced).collect();
        let [entry] = entries[..] else {
            let wanted = self.entry.as_ref().unwrap_or(&plugin);
            let names: Vec<_> = policy.plugins.iter().map(|entry| &*entry.name).collect();
            bail!(
                "{} entries of policy.plugins are of `{wanted}`, and one must be replaced; name it with --entry: {}",
                entries.len(),
                names.join(", ")
            );
        };
        Ok(PluginEntry {
            component,
            digest: None,
            ..entry.clone()
        })
    }

    /// Asks every question, and prints the differences and the result.
    async fn ask(
        &self,
        config: &Config,
        matched: &Match,
        candidate: Candidate,
    ) -> anyhow::Result<BacktestResult> {
        if !self.json {
            self.introduce(matched, &candidate);
        }
        let backtest = countersign_node::backtest::Backtest {
            candidate: Arc::new(candidate),
            entry: matched.decided.clone(),
            since: self.since,
            version: None,
            parallel: std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(THREADS),
        };
        let started = Instant::now();
        let mut progress = Progress { said: started };
        let mut listed = Vec::new();
        let tell = |differences: Vec<BacktestDifference>, result: &BacktestResult| {
            if self.json {
                listed.extend(differences.iter().map(as_json));
            } else {
                differences.iter().for_each(show);
            }
            progress.show(result);
        };
        let result = backtest.run(&config.dir, tell).await?;
        let elapsed = started.elapsed();
        if self.json {
            let plugin = backtest.candidate.plugin();
            let json = self.result_as_json(matched, plugin, &result, listed, elapsed);
            println!("{}", serde_json::to_string_pretty(&json)?);
        } else {
            show_result(&result, elapsed);
        }
        Ok(result)
    }

    fn introduce(&self, matched: &Match, candidate: &Candidate) {
        let plugin = candidate.plugin();
        let digest = hex::encode(plugin.digest());
        let info = plugin.info();
        println!("{} {} sha256:{digest}", info.name, info.version);
        println!("  component  {}", matched.spec.file.display());
        println!("  config     sha256:{}", hex::encode(plugin.revision()));
        println!(
            "  against    the decisions of `{}` since {}",
            matched.decided,
            time(self.since)
        );
    }

    fn result_as_json(
        &self,
        matched: &Match,
        plugin: &Plugin,
        result: &BacktestResult,
        differences: Vec<Value>,
        elapsed: Duration,
    ) -> Value {
        let totals = result.totals;
        json!({
            "entry": matched.decided,
            "plugin": plugin.info().name,
            "version": plugin.info().version,
            "digest": format!("sha256:{}", hex::encode(plugin.digest())),
            "config": format!("sha256:{}", hex::encode(plugin.revision())),
            "component": matched.spec.file,
            "since": self.since,
            "differences": differences,
            "asked": totals.all(),
            "same": totals.same,
            "looser": totals.looser,
            "tighter": totals.tighter,
            "other_reason": totals.other_reason,
            "not_judged": totals.not_judged,
            "not_asked": result.not_asked,
            "gap": result.gap,
            "tightening_proven": result.tightening() == Tightening::Proven,
            "millis": elapsed.as_millis() as u64,
        })
    }
}

fn show(difference: &BacktestDifference) {
    let received = time(difference.received_at);
    println!("\n{received}  task {}", difference.task);
    println!("  {}", title(difference.change));
    println!("  then  {}", words(&difference.then));
    match &difference.now {
        Answered::Said(verdict) => println!("  now   {}", words(verdict)),
        Answered::OutOfScope => {
            println!("  now   approve: the entry's scope does not cover the task")
        }
        Answered::NotJudged(why) => println!("  now   {}", escaped(&why.to_string())),
    }
}

fn as_json(difference: &BacktestDifference) -> Value {
    let BacktestDifference { then, now, .. } = difference;
    let (approved, unknown) = match now {
        Answered::Said(verdict) => (Some(*verdict == Verdict::Approve), None),
        Answered::OutOfScope => (Some(true), None),
        Answered::NotJudged(why) => (None, Some(why.to_string())),
    };
    json!({
        "task": difference.task,
        "received_at": difference.received_at,
        "change": name(difference.change),
        "then": side(Some(*then == Verdict::Approve), then.refusal()),
        "now": side(approved, now.refusal()),
        "not_judged": unknown,
    })
}

fn side(approved: Option<bool>, refusal: Option<(&str, &str)>) -> Value {
    json!({
        "approved": approved,
        "code": refusal.map(|(code, _)| code),
        "reason": refusal.map(|(_, reason)| reason),
    })
}

fn words(verdict: &Verdict) -> String {
    verdict
        .refusal()
        .map_or("approve".into(), |(code, reason)| {
            format!("{}: {}", escaped(code), escaped(reason))
        })
}

fn title(change: Change) -> &'static str {
    match change {
        Change::Same => "the same",
        Change::Looser => "REFUSED THEN, APPROVED NOW",
        Change::Tighter => "approved then, refused now",
        Change::OtherReason => "refused for another reason",
        Change::NotJudged => "COULD NOT BE JUDGED",
    }
}

fn name(change: Change) -> &'static str {
    match change {
        Change::Same => "same",
        Change::Looser => "looser",
        Change::Tighter => "tighter",
        Change::OtherReason => "other-reason",
        Change::NotJudged => "not-judged",
    }
}

fn show_result(result: &BacktestResult, elapsed: Duration) {
    let Totals {
        same,
        looser,
        tighter,
        other_reason,
        not_judged,
    } = result.totals;
    let asked = result.totals.all();
    println!("\n{asked} questions in {} ms", elapsed.as_millis());
    println!("  {same:>7}  the same");
    println!("  {looser:>7}  refused then, approved now");
    println!("  {tighter:>7}  approved then, refused now");
    println!("  {other_reason:>7}  refused for another reason");
    println!("  {not_judged:>7}  could not be judged");
    if result.not_asked > 0 {
        let others = result.not_asked;
        println!("Not compared: {others} decisions in which the entry was not asked");
    }
    match result.tightening() {
        Tightening::Proven => println!("Everything that was refused is still refused."),
        Tightening::NotProven(doubts) => {
            println!("NOT SHOWN to refuse everything that was refused:");
            let doubts = doubts.into_iter().map(doubted);
            doubts.for_each(|doubt| println!("  {doubt}"));
        }
    }
}

fn doubted(doubt: Doubt) -> String {
    match doubt {
        Doubt::Looser(tasks) => format!("{tasks} of the refused would be approved"),
        Doubt::NotJudged(tasks) => format!("{tasks} could not be judged"),
        Doubt::Gap => {
            "recordings of the time are no longer kept; choose a later --since".to_owned()
        }
        Doubt::NothingAsked => {
            "the entry was asked nothing; choose an earlier --since, or another --entry".to_owned()
        }
    }
}

/// Says on stderr from time to time how far a long backtest has come.
struct Progress {
    said: Instant,
}

impl Progress {
    fn show(&mut self, result: &BacktestResult) {
        if self.said.elapsed() >= PROGRESS {
            let asked = result.totals.all();
            let recordings = result.recordings;
            eprintln!("asked {asked} questions; the journal has {recordings} recordings");
            self.said = Instant::now();
        }
    }
}
