//! `quarantine`: peers that have cheated with a key.

use super::{Args, time};
use crate::admin::{self, Answer, Question};
use crate::config::Config;
use anyhow::bail;
use countersign_protocol::{KeyId, NodeId};

/// What `quarantine` can do. Both work while the node runs.
#[derive(Debug, clap::Subcommand)]
pub enum QuarantineCommand {
    /// List the peers that are kept away from a key, and why.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Use a key together with a peer again. Examine that node first: it did what our program never does.
    Lift {
        /// The key (csk1…).
        key: KeyId,
        /// The peer (csn1…).
        peer: NodeId,
    },
}

impl QuarantineCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        match self {
            QuarantineCommand::List { json } => list(&config, *json),
            QuarantineCommand::Lift { key, peer } => {
                let question = Question::Lift { key: *key, peer: *peer };
                match admin::ask(&config.dir, &question)? {
                    Answer::Lifted(true) => println!("Lifted: {peer} may take part in tasks of {key} again."),
                    Answer::Lifted(false) => {
                        bail!("{peer} is not kept away from {key}; see `quarantine list`")
                    }
                    _ => bail!("the node answered something else"),
                }
                Ok(())
            }
        }
    }
}

fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let Answer::Quarantines(kept) = admin::ask(&config.dir, &Question::Quarantines)? else {
        bail!("the node answered something else")
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&kept)?);
        return Ok(());
    }
    println!("Quarantined: {}", kept.len());
    for kept in kept {
        let name = config.roster.get(&kept.peer).map_or("", String::as_str);
        println!("\nPeer: {} {name}", kept.peer);
        println!("  Group ID: {}", kept.key);
        println!("  Since: {}, task {}", time(kept.since), kept.task);
        println!("  Why: {} [{}]", kept.text, kept.code);
    }
    Ok(())
}
