//! `plugin replay`: asks the plugins again about a past decision, with the answers they received
//! then. The components and configurations are those that decided, found by their digests; nothing
//! of the present configuration is needed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use countersign_host::{
    Anchor, AnchorKind, Grants, Host, InForce, PluginSpec, PluginStore, Recorded, Recording,
    Replay, Role, Services, Task, Verdict, With,
};
use countersign_node::admin::{self, Answer, Question, TaskRecording};
use countersign_node::config::{Component, Config, PluginEntry, Policy};
use countersign_node::risk;
use countersign_protocol::{Hash, TaskId};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cli::Args;

/// Exit code if a plugin decides differently than it did.
const DIFFERENT: u8 = 3;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node plugin replay 0b5e…

Works while the node runs. The recording is the one that the audit log vouches for, or the command fails. The \
configuration that decided is in the journal; the component is found in policy.plugin_dir by its digest. --what-if asks \
the present ones instead.

Exit codes: 0 every plugin repeats its verdict, 3 one does not, 1 something cannot be replayed.";

#[derive(Debug, clap::Args)]
pub struct ReplayTask {
    /// Id of the task.
    task: TaskId,
    /// Ask the components and configurations that are configured now, instead
    /// of those that decided.
    #[arg(long)]
    what_if: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The environment in which plugins are asked again.
struct Stage<'a> {
    host: Host,
    policy: &'a Policy,
    kept: &'a TaskRecording,
    what_if: bool,
}

/// A plugin that was asked again, with its answer.
struct Asked {
    replay: Replay,
    component: PathBuf,
    /// Source of the configuration, as printed.
    configuration: &'static str,
}

/// A key, a secret or authorities on which a decision rested, with what is configured
/// under that name now.
struct Rested<'a> {
    plugin: &'a str,
    then: Anchor,
    now: Option<Anchor>,
}

type Told<'a> = Vec<(&'a Recorded, anyhow::Result<Asked>)>;

impl ReplayTask {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = Config::load(&args.config)?;
        let Answer::Recording(Some(kept)) =
            admin::ask(&config.dir, &Question::Recording(self.task))?
        else {
            bail!(
                "no decision about the task {} is on record; the newest are kept",
                self.task
            );
        };
        let recording = Recording::decode(&kept.recording, kept.task.clone())?;
        let too_large = "the question was too large to be kept; the journal has the verdicts";
        let question = recording.question.as_ref().context(too_large)?;
        let policy = self.policy(config.policy);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let told = runtime.block_on(async {
            let host = risk::sandbox(&policy, None)?;
            let stage = Stage {
                host,
                policy: &policy,
                kept: &kept,
                what_if: self.what_if,
            };
            let mut told = Vec::new();
            for recorded in &recording.evaluations {
                told.push((recorded, stage.ask(question, recorded).await));
            }
            anyhow::Ok(told)
        })?;
        let rested = rested(&policy, &kept, &recording);
        if self.json {
            self.print_json(&kept, &recording, &told, &rested)?
        } else {
            self.print(&kept, &recording, &told, &rested)
        }
        Ok(conclude(&told))
    }

    /// Drops the trusted publishers unless the present configuration is replayed: the component on
    /// record is asked regardless of whom the node trusts now, and its answer has no effect.
    fn policy(&self, policy: Policy) -> Policy {
        if self.what_if {
            policy
        } else {
            Policy {
                trusted_publishers: Default::default(),
                ..policy
            }
        }
    }

    fn print(&self, kept: &TaskRecording, recording: &Recording, told: &Told, rested: &[Rested]) {
        println!(
            "Task {}, decided by chain {}",
            self.task,
            hex::encode(recording.chain)
        );
        if kept.vouched {
            println!("Audit entry {} vouches for the recording.", kept.entry)
        } else {
            println!(
                "Audit entry {} vouches for the verdicts; the program that made the recording did not vouch for it.",
                kept.entry
            )
        }
        told.iter()
            .for_each(|(recorded, asked)| show(recorded, asked));
        show_rested(kept, recording, rested);
    }

    fn print_json(
        &self,
        kept: &TaskRecording,
        recording: &Recording,
        told: &Told,
        rested: &[Rested],
    ) -> anyhow::Result<()> {
        let plugins: Vec<_> = told
            .iter()
            .map(|(recorded, asked)| as_json(recorded, asked))
            .collect();
        let json = json!({
            "task": self.task,
            "chain": hex::encode(recording.chain),
            "audit_entry": kept.entry,
            "vouched": kept.vouched,
            "plugins": plugins,
            "in_force": in_force(kept, recording),
            "rested_on": rested.iter().map(Rested::as_json).collect::<Vec<_>>(),
        });
        println!("{}", serde_json::to_string_pretty(&json)?);
        Ok(())
    }
}

impl Stage<'_> {
    async fn ask(&self, question: &Task, recorded: &Recorded) -> anyhow::Result<Asked> {
        recorded.is_replayable()?;
        let (spec, with, configuration) = if self.what_if {
            (
                risk::spec(self.policy, self.entry(recorded)?)?,
                With::Another,
                "now",
            )
        } else {
            self.as_it_was(recorded)?
        };
        let replay = self.host.replay(&spec, question, recorded, with).await?;
        Ok(Asked {
            replay,
            component: spec.file,
            configuration,
        })
    }

    /// Returns the component that decided, with the configuration that decided.
    fn as_it_was(
        &self,
        recorded: &Recorded,
    ) -> anyhow::Result<(PluginSpec, With<'_>, &'static str)> {
        let file = self.component(recorded)?;
        let pinned = |spec| PluginSpec {
            file,
            digest: Some(recorded.digest),
            ..spec
        };
        match self.kept.configurations.get(&Hash(recorded.revision)) {
            Some(document) => Ok((pinned(self.bare(recorded)), With::Kept(document), "journal")),
            // Decided by a program that did not keep the document: the entry may still have it.
            None => {
                let entry = self.entry(recorded).with_context(|| not_kept(recorded))?;
                let spec = risk::spec(self.policy, entry).with_context(|| not_kept(recorded))?;
                Ok((pinned(spec), With::TheSame, "policy"))
            }
        }
    }

    /// Builds an entry of that name with neither component nor configuration. Memory and time
    /// limits are those on record or, if there are none, those of today's entry.
    fn bare(&self, recorded: &Recorded) -> PluginSpec {
        let now = self
            .entry(recorded)
            .ok()
            .and_then(|entry| risk::spec(self.policy, entry).ok());
        PluginSpec {
            name: recorded.plugin.clone(),
            file: PathBuf::new(),
            digest: None,
            config: serde_json::Value::Null,
            grants: now.map_or_else(Grants::default, |spec| spec.grants),
            role: Role::default(),
            written: None,
        }
    }

    fn component(&self, recorded: &Recorded) -> anyhow::Result<PathBuf> {
        let kept = PluginStore::new(&self.policy.plugin_dir).component_file(&recorded.digest);
        if kept.exists() {
            return Ok(kept);
        }
        let digest = hex::encode(recorded.digest);
        let kept = kept.display();
        let missing = format!("the component with SHA-256 {digest} decided");
        let Some(Component::File(file)) = self.entry(recorded).ok().map(|entry| &entry.component)
        else {
            bail!("{missing}, and it no longer exists; put it back as {kept}");
        };
        match countersign_files::read(file, 1 << 30).map(Sha256::digest) {
            Ok(found) if found[..] == recorded.digest => Ok(file.clone()),
            Ok(found) => bail!(
                "{missing}, and {} has SHA-256 {} now; put the former one back as {kept}",
                file.display(),
                hex::encode(found)
            ),
            Err(error) => {
                bail!(
                    "{missing}, and {} cannot be read ({error}); put it back as {kept}",
                    file.display()
                )
            }
        }
    }

    fn entry(&self, recorded: &Recorded) -> anyhow::Result<&PluginEntry> {
        let entry = self
            .policy
            .plugins
            .iter()
            .find(|entry| entry.name == recorded.plugin);
        entry.with_context(|| {
            format!(
                "policy.plugins no longer has an entry `{}`; write it again",
                recorded.plugin
            )
        })
    }
}

/// Returns the record of everything that was in force for the decision, if the journal has it.
fn in_force(kept: &TaskRecording, recording: &Recording) -> Option<InForce> {
    InForce::parse(kept.configurations.get(&Hash(recording.chain))?)
}

/// Lists the keys and authorities on which the decision rested. Present ones are read
/// only for the comparison.
fn rested<'a>(policy: &Policy, kept: &TaskRecording, recording: &'a Recording) -> Vec<Rested<'a>> {
    let Some(in_force) = in_force(kept, recording) else {
        return Vec::new();
    };
    let now = risk::scratch(policy).ok();
    let present = |then: &Anchor| {
        let now = now.as_ref()?;
        match then.kind {
            AnchorKind::Authorities => now.authorities(),
            AnchorKind::PublicKey if risk::is_own_key(&then.name) => None,
            AnchorKind::PublicKey | AnchorKind::Secret => now.anchor(&then.name),
        }
    };
    let of = |recorded: &'a Recorded| {
        let anchors = in_force.anchors(&recorded.plugin).to_vec();
        anchors.into_iter().map(|then| Rested {
            plugin: &recorded.plugin,
            now: present(&then),
            then,
        })
    };
    recording.evaluations.iter().flat_map(of).collect()
}

impl Rested<'_> {
    /// True if it is the same now; `None` if that cannot be determined here.
    fn is_same(&self) -> Option<bool> {
        let own = self.then.kind == AnchorKind::PublicKey && risk::is_own_key(&self.then.name);
        match &self.now {
            None => (!own).then_some(false),
            Some(now) => Some(self.then.sha256? == now.sha256?),
        }
    }

    fn as_json(&self) -> serde_json::Value {
        json!({ "plugin": self.plugin, "then": self.then, "now": self.now, "same": self.is_same() })
    }
}

fn show_rested(kept: &TaskRecording, recording: &Recording, rested: &[Rested]) {
    if in_force(kept, recording).is_none() {
        return println!("\nThe program that decided did not record keys and authorities.");
    }
    for rested @ Rested { plugin, then, now } in rested {
        println!(
            "\n{plugin} relied on the {} {}: {}",
            then.kind.name(),
            then.name,
            then.digest()
        );
        let now = now
            .as_ref()
            .map_or("none of that name".into(), Anchor::digest);
        match rested.is_same() {
            Some(true) => println!("  the same is configured now"),
            Some(false) => println!("  ANOTHER IS CONFIGURED NOW: {now}"),
            None => println!("  `plugin list` shows the present one of a running node"),
        }
    }
}

fn not_kept(recorded: &Recorded) -> String {
    let digest = hex::encode(recorded.revision);
    format!("the configuration with SHA-256 {digest} decided, and it is not in the journal")
}

fn conclude(told: &Told) -> ExitCode {
    if told.iter().any(|(_, asked)| asked.is_err()) {
        return ExitCode::FAILURE;
    }
    let same = told
        .iter()
        .all(|(_, asked)| asked.as_ref().is_ok_and(|asked| asked.replay.same));
    if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DIFFERENT)
    }
}

fn show(recorded: &Recorded, asked: &anyhow::Result<Asked>) {
    println!(
        "\n{} {} sha256:{}",
        recorded.plugin,
        recorded.version,
        hex::encode(recorded.digest)
    );
    println!("  said       {}", verdict(&recorded.verdict));
    let Asked {
        replay,
        component,
        configuration,
    } = match asked {
        Ok(asked) => asked,
        Err(error) => return println!("  NOT REPLAYED: {error:#}"),
    };
    println!("  component  {}", component.display());
    println!(
        "  config     sha256:{} ({configuration})",
        hex::encode(replay.evaluation.revision)
    );
    println!("  now says   {}", verdict(&replay.evaluation.verdict));
    if let Some(divergence) = &replay.divergence {
        println!("  it diverged from the record: {divergence}");
    }
    println!("  {}", if replay.same { "the same" } else { "DIFFERENT" });
}

fn verdict(verdict: &Verdict) -> String {
    verdict
        .refusal()
        .map_or("approve".into(), |(code, reason)| {
            format!("{code}: {reason}")
        })
}

fn as_json(recorded: &Recorded, asked: &anyhow::Result<Asked>) -> serde_json::Value {
    let replayed = asked.as_ref().ok();
    let sha256 = |digest: [u8; 32]| format!("sha256:{}", hex::encode(digest));
    json!({
        "plugin": recorded.plugin,
        "version": recorded.version,
        "digest": sha256(recorded.digest),
        "said": verdict(&recorded.verdict),
        "component": replayed.map(|asked| &asked.component),
        "config": replayed.map(|asked| sha256(asked.replay.evaluation.revision)),
        "config_from": replayed.map(|asked| asked.configuration),
        "now": replayed.map(|asked| verdict(&asked.replay.evaluation.verdict)),
        "same": replayed.is_some_and(|asked| asked.replay.same),
        "error": asked.as_ref().err().map(|error| format!("{error:#}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_digests_are_the_same_key() {
        let anchor = |kind, name: &str, byte: Option<u8>| Anchor {
            kind,
            name: name.into(),
            sha256: byte.map(|byte| [byte; 32]),
        };
        let same = |then, now| {
            Rested {
                plugin: "p",
                then,
                now,
            }
            .is_same()
        };
        let key = |byte| anchor(AnchorKind::PublicKey, "server", Some(byte));
        assert_eq!(same(key(1), Some(key(1))), Some(true));
        assert_eq!(same(key(1), Some(key(2))), Some(false));
        assert_eq!(same(key(1), None), Some(false), "it is configured no more");
        let secret = |byte| anchor(AnchorKind::Secret, "hmac", byte);
        assert_eq!(
            same(secret(Some(1)), Some(secret(None))),
            None,
            "a running node alone can tell"
        );
        let own = anchor(AnchorKind::PublicKey, "callback", Some(1));
        assert!(risk::is_own_key(&own.name));
        assert_eq!(same(own, None), None);
    }
}
