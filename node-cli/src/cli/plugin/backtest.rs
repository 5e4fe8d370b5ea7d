//! `plugin backtest`: asks a new version of a plugin every recorded question of a time, with the
//! answers that the old version heard then, and lists each difference. Reads the journal only.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign_cli_kit::times;
use countersign_host::{
    Answered, Candidate, Change, Doubt, Host, NotJudged, PluginSpec, Recorded, Recording, Task,
    Tightening, Totals, Verdict,
};
use countersign_node::admin::{Answer, Conversation, Question};
use countersign_node::config::{Component, Config, PluginConfig, PluginEntry, Policy, Shadow};
use countersign_node::past_decisions::{KeptRecording, PastDecision, PastDecisions};
use countersign_node::risk;
use countersign_protocol::text::escaped;
use countersign_protocol::{TaskId, UnixMillis};
use serde_json::{Value, json};

use super::target;
use super::trial::Trial;
use crate::cli::{Args, time};

/// Exit code if a question has another answer, or one that is not known.
const DIFFERENT: u8 = 3;
/// Questions that one thread asks at a stretch.
const STRETCH: usize = 64;
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

Exit codes: 0 no difference, 3 differences, 1 error, 2 wrong usage.";

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

/// A recorded question with another answer, or one that is not known.
struct Difference {
    task: TaskId,
    received_at: UnixMillis,
    change: Change,
    then: Verdict,
    now: Answered,
}

/// The result of a backtest, as far as it has come.
#[derive(Default)]
struct Outcome {
    totals: Totals,
    /// Kept for the output as JSON.
    differences: Vec<Difference>,
    not_asked: u64,
    gap: bool,
    elapsed: Duration,
}

impl Backtest {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = Config::load(&args.config)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.min(THREADS))
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(async {
            let host = risk::sandbox(&config.policy, None)?;
            let matched = self.choose(&host, &config.policy).await?;
            let trial = Trial::new(risk::scratch(&config.policy)?, None, false);
            let candidate = host.candidate(&matched.spec, Arc::new(trial)).await;
            let candidate = candidate.with_context(|| format!("`{}` cannot be used", self.new))?;
            if !self.json {
                self.introduce(&matched, &candidate);
            }
            let outcome = self.ask(&config, &matched, Arc::new(candidate)).await?;
            if self.json {
                let json = self.as_json(&matched, &outcome);
                println!("{}", serde_json::to_string_pretty(&json)?);
            } else {
                outcome.show();
            }
            anyhow::Ok(outcome)
        })?;
        Ok(if outcome.totals.differences() == 0 {
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

    /// Puts the recorded questions page by page, and reads the next page meanwhile.
    async fn ask(
        &self,
        config: &Config,
        matched: &Match,
        candidate: Arc<Candidate>,
    ) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let mut outcome = Outcome::default();
        let mut progress = Progress::new();
        let mut reading = Some(self.read(Conversation::with(&config.dir), &matched.decided, 0));
        while let Some(read) = reading {
            let (node, page) = read.await??;
            reading = page
                .next
                .map(|from| self.read(node, &matched.decided, from));
            outcome.not_asked += page.not_asked;
            outcome.gap |= page.gap;
            let recordings = page.recordings;
            for difference in judge(&candidate, page.decisions, &mut outcome.totals).await? {
                if self.json {
                    outcome.differences.push(difference);
                } else {
                    difference.show();
                }
            }
            progress.show(&outcome, recordings);
        }
        outcome.elapsed = started.elapsed();
        Ok(outcome)
    }

    /// Reads a page on a thread of its own.
    fn read(
        &self,
        mut node: Conversation,
        plugin: &str,
        from: u64,
    ) -> tokio::task::JoinHandle<anyhow::Result<(Conversation, PastDecisions)>> {
        let question = Question::PastDecisions {
            plugin: plugin.into(),
            since: self.since,
            from,
        };
        tokio::task::spawn_blocking(move || {
            let Answer::PastDecisions(page) = node.ask(&question)? else {
                bail!("unexpected answer from the node; update it, and restart it");
            };
            Ok((node, page))
        })
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

    fn as_json(&self, matched: &Match, outcome: &Outcome) -> Value {
        let Outcome {
            totals,
            differences,
            not_asked,
            gap,
            elapsed,
        } = outcome;
        json!({
            "entry": matched.decided,
            "component": matched.spec.file,
            "since": self.since,
            "differences": differences.iter().map(Difference::as_json).collect::<Vec<_>>(),
            "asked": totals.all(),
            "same": totals.same,
            "looser": totals.looser,
            "tighter": totals.tighter,
            "other_reason": totals.other_reason,
            "not_judged": totals.not_judged,
            "not_asked": not_asked,
            "gap": gap,
            "tightening_proven": totals.tightening(*gap) == Tightening::Proven,
            "millis": elapsed.as_millis() as u64,
        })
    }
}

/// Puts the questions of one page on all threads, counts the answers, and gives the differences in
/// the order of the page.
async fn judge(
    candidate: &Arc<Candidate>,
    decisions: Vec<PastDecision>,
    totals: &mut Totals,
) -> anyhow::Result<Vec<Difference>> {
    let mut decisions = decisions.into_iter();
    let mut stretches = Vec::new();
    loop {
        let stretch: Vec<_> = decisions.by_ref().take(STRETCH).collect();
        if stretch.is_empty() {
            break;
        }
        let candidate = candidate.clone();
        stretches.push(tokio::spawn(async move {
            let mut judged = Vec::with_capacity(stretch.len());
            for past in stretch {
                judged.push(compare(&candidate, past).await);
            }
            judged
        }));
    }
    let mut differences = Vec::new();
    for stretch in stretches {
        for judged in stretch.await? {
            totals.count(judged.change);
            if judged.change != Change::Same {
                differences.push(judged);
            }
        }
    }
    Ok(differences)
}

/// Puts one recorded question, and compares the answers.
async fn compare(candidate: &Candidate, past: PastDecision) -> Difference {
    let said = past.verdict;
    let then = if said.approved {
        Verdict::Approve
    } else {
        Verdict::Reject {
            code: said.code,
            reason: said.reason,
        }
    };
    let now = match recorded(past.recording, past.bytes, &said.plugin) {
        Ok((question, recorded)) => candidate.answer(&question, &recorded).await,
        Err(unknown) => Answered::NotJudged(unknown),
    };
    Difference {
        task: past.task,
        received_at: past.received_at,
        change: Change::between(&then, &now),
        then,
        now,
    }
}

/// The question, and the part of the recording that is of the plugin.
fn recorded(
    recording: KeptRecording,
    task: Vec<u8>,
    plugin: &str,
) -> Result<(Task, Recorded), NotJudged> {
    let bytes = match recording {
        KeptRecording::Whole(bytes) => bytes,
        KeptRecording::Unvouched => return Err(NotJudged::Unvouched),
        KeptRecording::Changed => return Err(NotJudged::Changed),
        KeptRecording::Dropped => return Err(NotJudged::Dropped),
    };
    let recording = Recording::decode(&bytes, task).map_err(|_| NotJudged::Unreadable)?;
    let question = recording.question.ok_or(NotJudged::TooLarge)?;
    let mut evaluations = recording.evaluations.into_iter();
    let recorded = evaluations.find(|recorded| recorded.plugin == plugin);
    Ok((question, recorded.ok_or(NotJudged::Unreadable)?))
}

impl Difference {
    fn show(&self) {
        println!("\n{}  task {}", time(self.received_at), self.task);
        println!("  {}", title(self.change));
        println!("  then  {}", words(&self.then));
        match &self.now {
            Answered::Said(verdict) => println!("  now   {}", words(verdict)),
            Answered::OutOfScope => {
                println!("  now   approve: the entry's scope does not cover the task")
            }
            Answered::NotJudged(why) => println!("  now   {}", escaped(&why.to_string())),
        }
    }

    fn as_json(&self) -> Value {
        let approved = match &self.now {
            Answered::Said(verdict) => Some(*verdict == Verdict::Approve),
            Answered::OutOfScope => Some(true),
            Answered::NotJudged(_) => None,
        };
        let unknown = match &self.now {
            Answered::NotJudged(why) => Some(why.to_string()),
            Answered::Said(_) | Answered::OutOfScope => None,
        };
        json!({
            "task": self.task,
            "received_at": self.received_at,
            "change": name(self.change),
            "then": side(Some(self.then == Verdict::Approve), self.then.refusal()),
            "now": side(approved, self.now.refusal()),
            "not_judged": unknown,
        })
    }
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

impl Outcome {
    fn show(&self) {
        let Totals {
            same,
            looser,
            tighter,
            other_reason,
            not_judged,
        } = self.totals;
        let millis = self.elapsed.as_millis();
        println!("\n{} questions in {millis} ms", self.totals.all());
        println!("  {same:>7}  the same");
        println!("  {looser:>7}  refused then, approved now");
        println!("  {tighter:>7}  approved then, refused now");
        println!("  {other_reason:>7}  refused for another reason");
        println!("  {not_judged:>7}  could not be judged");
        if self.not_asked > 0 {
            println!(
                "Not compared: {} decisions in which the entry was not asked",
                self.not_asked
            );
        }
        match self.totals.tightening(self.gap) {
            Tightening::Proven => println!("Everything that was refused is still refused."),
            Tightening::NotProven(doubts) => {
                println!("NOT SHOWN to refuse everything that was refused:");
                doubts
                    .iter()
                    .for_each(|doubt| println!("  {}", doubted(*doubt)));
            }
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
        Doubt::NothingAsked => "there was no question; choose an earlier --since".to_owned(),
    }
}

/// Says on stderr from time to time how far a long backtest has come.
struct Progress {
    said: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            said: Instant::now(),
        }
    }

    fn show(&mut self, outcome: &Outcome, recordings: u64) {
        if self.said.elapsed() >= PROGRESS {
            let asked = outcome.totals.all();
            eprintln!("asked {asked} questions; the journal has {recordings} recordings");
            self.said = Instant::now();
        }
    }
}
