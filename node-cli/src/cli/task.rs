//! `task`: reshares of which this node does not know the outcome, and the operator's decisions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use countersign_node::admin::{self, Answer, AskError, Question};
use countersign_node::config::Config;
use countersign_node::events::Events;
use countersign_node::key_switch;
use countersign_node::task::{Register, Settlement, participant};
use countersign_node::vault::Vault;
use countersign_node::world::{World, now};
use countersign_protocol::{GenerationProof, KeyDescriptor, NodeId, TaskId};
use countersign_store::{Journal, PreparedReshare, ReshareStage};

use super::{Args, passphrase, time};

const NOTHING_STORED: &str =
    "this node has stored nothing for such a task; see `countersign-node task list`";

#[derive(Debug, clap::Subcommand)]
pub enum TaskCommand {
    /// List the reshares for which this node has stored a share or given one up, and their
    /// outcomes. Works while the node runs.
    List {
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Decide the outcome of a reshare that waits for parties which will never respond.
    /// Stop the node first.
    ///
    /// A node settles reshares by itself as soon as it and the other parties are connected to the
    /// coordinator. Use this only if a party is lost for good.
    Resolve(Resolve),
    /// Show the node that a reshare is complete: FILE is the output of `info proof ID` at a node
    /// that knows. Works while the node runs. Only the signed acknowledgements in the file are
    /// trusted, so the file may come from anybody.
    Learn {
        /// The file with the proof.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// The output of `info proof`.
#[derive(serde::Deserialize)]
struct Proofs {
    generations: Vec<GenerationProof>,
}

#[derive(Debug, clap::Args)]
pub struct Resolve {
    /// The task, as shown by `task list`.
    task: TaskId,
    #[command(flatten)]
    how: How,
    /// Confirms that you asked every party: none has switched, and all abandon the task too. If one
    /// did switch, this node's share no longer fits anybody else's.
    #[arg(long)]
    nobody_switched: bool,
}

/// The operator's decision about the key.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct How {
    /// Put the next generation in force: FILE is the key descriptor with the
    /// acknowledgements of all parties, as JSON, from a node that has switched (`info --json
    /// key ID`) or from the coordinator (`/v1/wallets/ID`).
    #[arg(long, value_name = "FILE")]
    adopt: Option<PathBuf>,
    /// Stay with the present generation.
    #[arg(long, requires = "nobody_switched")]
    abandon: bool,
}

/// A key descriptor in one of the forms that programs print.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Given {
    Wallet {
        #[serde(rename = "announcement")]
        descriptor: KeyDescriptor,
    },
    Group([KeyDescriptor; 1]),
    Plain(KeyDescriptor),
}

impl Given {
    fn descriptor(self) -> KeyDescriptor {
        match self {
            Self::Wallet { descriptor } | Self::Group([descriptor]) | Self::Plain(descriptor) => {
                descriptor
            }
        }
    }
}

impl TaskCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        match self {
            Self::List { json } => list(&config, *json),
            Self::Resolve(resolve) => resolve.run(args, &config),
            Self::Learn { file } => learn(&config, file),
        }
    }
}

fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let Answer::PreparedReshares(prepared_reshares) =
        admin::ask(&config.dir, &Question::PreparedReshares)?
    else {
        bail!("unexpected answer from the node")
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&prepared_reshares)?);
        return Ok(());
    }
    println!("Reshares: {}", prepared_reshares.len());
    prepared_reshares
        .iter()
        .for_each(|prepared| show(prepared, config));
    Ok(())
}

fn learn(config: &Config, file: &Path) -> anyhow::Result<()> {
    let read = || {
        format!(
            "{} cannot be read; give the output of `info proof ID`",
            file.display()
        )
    };
    let text = countersign_files::read(file, super::MAX_INPUT).with_context(read)?;
    let given: Proofs = serde_json::from_slice(&text).with_context(read)?;
    let mut news = false;
    let mut refused = None;
    for proof in given
        .generations
        .into_iter()
        .filter(|proof| proof.descriptor.generation > 0)
    {
        let question = Question::Learn(Box::new(proof));
        match admin::ask_running(&config.dir, &question) {
            Ok(Some(Answer::Learnt(learnt))) => news |= learnt,
            Ok(Some(_)) => bail!("unexpected answer from the node"),
            Ok(None) => bail!("no node is running here; start it, then try again"),
            // The node may not know generations that it never needed.
            Err(error @ AskError::Told(_)) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    if let (Some(error), false) = (refused, news) {
        return Err(error.into());
    }
    println!(
        "{}",
        if news {
            "The node has adopted it; see `info moved`."
        } else {
            "The node already knew it."
        }
    );
    Ok(())
}

fn show(prepared: &PreparedReshare, config: &Config) {
    let next = &prepared.descriptor;
    let stage = match prepared.stage {
        ReshareStage::InDoubt => "waiting for the other parties; both shares are kept",
        ReshareStage::Committed => "done: the next generation is in force",
        ReshareStage::Aborted => "aborted: a party never stored; the previous generation remains",
        ReshareStage::Abandoned => "abandoned by the operator; the previous generation remains",
    };
    println!("\nTask: {}", prepared.task);
    println!("  Key ID: {}, to generation {}", next.key, next.generation);
    println!(
        "  This node: {}",
        if prepared.joins {
            "will hold a share"
        } else {
            "gives up its share"
        }
    );
    println!("  Since: {}", time(prepared.opened));
    println!("  State: {stage}");
    println!(
        "  Next members: {} of {}",
        next.threshold.get(),
        next.committee.members().len()
    );
    next.committee
        .members()
        .iter()
        .for_each(|node| println!("    {node} {}", name(config, node)));
}

fn name<'a>(config: &'a Config, node: &NodeId) -> &'a str {
    config.roster.get(node).map_or("", String::as_str)
}

impl Resolve {
    fn run(&self, args: &Args, config: &Config) -> anyhow::Result<()> {
        let vault = Vault::open(
            &config.dir,
            &passphrase::existing(args, config)?,
            &config.recipients,
        )?;
        let journal = Journal::open(&config.dir)?;
        let me = NodeId::from_bytes(vault.identity()?.public().0)?;
        let register = Register {
            journal: journal.clone(),
            events: Arc::new(Events::new(me, World::system(), &config.receivers)),
            counters: Arc::default(),
        };
        let prepared = journal.prepared(&self.task)?;
        let key = prepared.context(NOTHING_STORED)?.descriptor.key;
        let place = (self.task, key);
        match &self.how.adopt {
            Some(file) => {
                let read = || {
                    format!(
                        "{} cannot be read; give the key descriptor as JSON",
                        file.display()
                    )
                };
                let text = countersign_files::read(file, super::MAX_INPUT).with_context(read)?;
                let given: Given = countersign_strict::json(&text).with_context(read)?;
                let settlement = Settlement::AllStored(given.descriptor().into());
                participant::resolve(&register, me, now(), place, settlement)?;
                println!("The next generation is in force.");
            }
            None => {
                participant::resolve(&register, me, now(), place, Settlement::Abandoned)?;
                println!("The present generation stays in force.");
            }
        }
        key_switch::align(&journal, &vault, now(), key)?;
        Ok(())
    }
}
