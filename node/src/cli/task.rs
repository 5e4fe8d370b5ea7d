//! `task`: reshares whose end this node does not know, and what its operator decides of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use countersign_protocol::{Announcement, GenerationProof, NodeId, TaskId};
use countersign_store::{Handover, HandoverStage, Journal};

use super::{Args, passphrase, time};
use crate::admin::{self, Answer, AskError, Question};
use crate::config::Config;
use crate::core::now;
use crate::events::Events;
use crate::task::{Register, Word, handover};
use crate::vault::Vault;

const NOTHING_STORED: &str =
    "this node has stored nothing for such a task; see `countersign-node task list`";

/// What `task` can do.
#[derive(Debug, clap::Subcommand)]
pub enum TaskCommand {
    /// List the reshares for which this node has stored a share or given one up, and what became of
    /// them. Works while the node runs.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Decide what becomes of a reshare that waits for others which will never come. Stop the node
    /// first.
    ///
    /// A node settles reshares by itself as soon as it and the other parties are connected to the
    /// coordinator. Use this only if a party is lost for good.
    Resolve(Resolve),
    /// Show the node that a reshare is complete: FILE is what `info proof ID` prints at a node that
    /// knows. Works while the node runs. It believes the marks in the file and nothing else, so the
    /// file may come from anybody.
    Learn {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// What `info proof` prints.
#[derive(serde::Deserialize)]
struct Proofs {
    generations: Vec<GenerationProof>,
}

/// Arguments of `task resolve`.
#[derive(Debug, clap::Args)]
pub struct Resolve {
    /// The task, as `task list` shows it.
    task: TaskId,
    #[command(flatten)]
    how: How,
    /// I asked every party: none has switched, and all abandon the task too. If one did switch,
    /// this node's share fits nobody's any more.
    #[arg(long)]
    nobody_switched: bool,
}

/// What becomes of the key.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct How {
    /// Put the next generation in force: FILE is the announcement with the marks of all parties,
    /// JSON, as a node that has switched shows it (`info --json key ID`), or the coordinator
    /// (`/v1/wallets/ID`).
    #[arg(long, value_name = "FILE")]
    adopt: Option<PathBuf>,
    /// Stay with the present generation.
    #[arg(long, requires = "nobody_switched")]
    abandon: bool,
}

/// An announcement in one of the forms that programs print.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Given {
    Wallet { announcement: Announcement },
    Group([Announcement; 1]),
    Plain(Announcement),
}

impl Given {
    fn announcement(self) -> Announcement {
        match self {
            Self::Wallet { announcement }
            | Self::Group([announcement])
            | Self::Plain(announcement) => announcement,
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
    let Answer::Handovers(handovers) = admin::ask(&config.dir, &Question::Handovers)? else {
        bail!("the node answered something else")
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&handovers)?);
        return Ok(());
    }
    println!("Reshares: {}", handovers.len());
    handovers.iter().for_each(|handover| show(handover, config));
    Ok(())
}

fn learn(config: &Config, file: &Path) -> anyhow::Result<()> {
    let read = || {
        format!(
            "{} cannot be read; give what `info proof ID` prints",
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
        .filter(|proof| proof.announcement.generation > 0)
    {
        let question = Question::Learn(Box::new(proof));
        match admin::ask_running(&config.dir, &question) {
            Ok(Some(Answer::Learnt(learnt))) => news |= learnt,
            Ok(Some(_)) => bail!("the node answered something else"),
            Ok(None) => bail!("no node runs here; start it, then try again"),
            // Of generations that it never needed it may know nothing.
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
            "The node has learnt it; see `info moved`."
        } else {
            "The node knew it already."
        }
    );
    Ok(())
}

fn show(handover: &Handover, config: &Config) {
    let next = &handover.announcement;
    let stage = match handover.stage {
        HandoverStage::Open => "waits for the other parties; both shares are kept",
        HandoverStage::Switched => "done: the next generation is in force",
        HandoverStage::Void => {
            "came to nothing: a party never stored; the generation before stayed"
        }
        HandoverStage::Abandoned => "abandoned by the operator; the generation before stayed",
    };
    println!("\nTask: {}", handover.task);
    println!("  Key ID: {}, to generation {}", next.key, next.generation);
    println!(
        "  This node: {}",
        if handover.joins {
            "will hold a share"
        } else {
            "gives its share up"
        }
    );
    println!("  Since: {}", time(handover.opened));
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
            events: Arc::new(Events::new(me, &config.receivers)),
            tally: Arc::default(),
        };
        let handover = journal.handover(&self.task)?;
        let key = handover.context(NOTHING_STORED)?.announcement.key;
        let place = (self.task, key);
        match &self.how.adopt {
            Some(file) => {
                let read = || {
                    format!(
                        "{} cannot be read; give the announcement as JSON",
                        file.display()
                    )
                };
                let text = countersign_files::read(file, super::MAX_INPUT).with_context(read)?;
                let given: Given = countersign_strict::json(&text).with_context(read)?;
                let word = Word::AllStored(given.announcement().into());
                handover::resolve(&register, me, now(), place, word)?;
                println!("The next generation is in force.");
            }
            None => {
                handover::resolve(&register, me, now(), place, Word::GivenUp)?;
                println!("The present generation stays in force.");
            }
        }
        handover::align(&journal, &vault, now(), key)?;
        Ok(())
    }
}
