//! `quarantine`: peers that have cheated with a key, and keys that are
//! stopped without naming anybody.

use anyhow::bail;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use countersign_protocol::{KeyId, NodeId};

use super::{Args, time};

#[derive(Debug, clap::Subcommand)]
pub enum QuarantineCommand {
    /// List the peers that are quarantined for a key, and the keys that are
    /// stopped, with the reasons.
    List {
        /// Print the lists as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Use a key again, in general or with this peer only. Examine the nodes that took part first.
    Lift {
        /// The key (csk1…).
        key: KeyId,
        /// The quarantined peer (csn1…), which did something that our program never does. Without
        /// it, lifts the stop of the key, which names nobody.
        peer: Option<NodeId>,
    },
    /// Take part in tasks again after another process ran with this node's identity. End the other
    /// one first, for good, and make sure that this folder is the newer one.
    LiftTwin,
}

impl QuarantineCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        match self {
            Self::LiftTwin => match admin::ask(&config.dir, &Question::LiftTwin)? {
                Answer::Lifted(true) => {
                    println!("Lifted: this node takes part in tasks again.");
                    Ok(())
                }
                Answer::Lifted(false) => {
                    bail!("this node does not know of another process with its identity")
                }
                _ => bail!("unexpected answer from the node"),
            },
            Self::List { json } => list(&config, *json),
            Self::Lift { key, peer } => {
                let question = Question::Lift {
                    key: *key,
                    peer: *peer,
                };
                match admin::ask(&config.dir, &question)? {
                    Answer::Lifted(lifted) => lifted_text(*key, *peer, lifted),
                    _ => bail!("unexpected answer from the node"),
                }
            }
        }
    }
}

fn lifted_text(key: KeyId, peer: Option<NodeId>, lifted: bool) -> anyhow::Result<()> {
    match (peer, lifted) {
        (Some(peer), true) => println!("Lifted: {peer} may take part in tasks of {key} again."),
        (None, true) => println!("Lifted: {key} may be used again."),
        (Some(peer), false) => bail!("{peer} is not quarantined for {key}; see `quarantine list`"),
        (None, false) => {
            bail!("{key} is not stopped; see `quarantine list`, and name the quarantined peer")
        }
    }
    Ok(())
}

fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let Answer::Quarantines { peers, keys } = admin::ask(&config.dir, &Question::Quarantines)?
    else {
        bail!("unexpected answer from the node")
    };
    if json {
        let both = serde_json::json!({ "peers": peers, "keys": keys });
        println!("{}", serde_json::to_string_pretty(&both)?);
        return Ok(());
    }
    let named = |node: &NodeId| {
        format!(
            "{node} {}",
            config.roster.get(node).map_or("", String::as_str)
        )
    };
    println!("Quarantined: {}", peers.len());
    for kept in &peers {
        let proof = if kept.evidence.is_some() {
            "its own signatures"
        } else {
            "this node saw it"
        };
        println!("\nPeer: {}", named(&kept.peer));
        println!("  Key ID: {}", kept.key);
        println!("  Since: {}, task {}", time(kept.since), kept.task);
        println!("  Why: {} [{}]", kept.text, kept.code);
        println!("  Proof: {proof}");
    }
    println!("\nStopped: {}", keys.len());
    for stop in &keys {
        println!("\nKey ID: {}", stop.key);
        stop.signers
            .iter()
            .for_each(|node| println!("  With: {}", named(node)));
        println!("  Since: {}, task {}", time(stop.since), stop.task);
        println!("  Why: {} [{}]", stop.text, stop.code);
    }
    Ok(())
}
