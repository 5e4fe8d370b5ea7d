//! `info`: shows public information about the node.

use anyhow::Context;
use countersign_node::admin::{self, Answer, MovedKey, Question};
use countersign_node::check_ups::Round;
use countersign_node::config::Config;
use countersign_node::public::{self, PublicKeyRecord, PublicPluginRecord, PublicRecord};
use countersign_protocol::text::escaped;
use countersign_protocol::{KeyId, NodeId};
use countersign_store::KeyStatus;

use super::{Args, time};

#[derive(Debug, clap::Args)]
pub struct Info {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// `key` lists the keys; `key ID` shows a single one.
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show the keys of which the node holds a share.
    #[command(alias = "group")]
    Key {
        /// Show this key only.
        id: Option<String>,
    },
    /// Show the keys that were reshared: the generation known to this node, whether it
    /// holds a share of it, and the members that have confirmed that it is in force. Works
    /// while the node runs.
    Moved,
    /// Print the proof of all generations of a key that this node can prove, as JSON: for `task
    /// learn` at another node, or for a coordinator. Works while the node runs.
    Proof {
        /// Id of the key to prove.
        id: KeyId,
    },
}

impl Info {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let missing = || {
            format!(
                "{} cannot be read; run `countersign-node init` first",
                config.dir.join(public::FILE).display()
            )
        };
        let record = public::read(&config.dir).with_context(missing)?;
        match &self.what {
            None if self.json => println!(
                "{}",
                serde_json::to_string_pretty(&whole(&config, &record)?)?
            ),
            None => {
                println!("Node ID: {}", record.node);
                println!(
                    "Callback public key:\n{}",
                    record.callback_public_key.trim_end()
                );
                record.check_up.iter().for_each(show_check_up);
                record.plugins.iter().for_each(show_plugin);
            }
            Some(What::Key { id }) => {
                let keys = match id {
                    Some(id) => vec![one(&config, id)?],
                    None => all(&config)?,
                };
                if self.json {
                    println!("{}", serde_json::to_string_pretty(&keys)?)
                } else {
                    show(&keys, &record.node, &config)
                }
            }
            Some(What::Moved) => moved(&config, self.json)?,
            Some(What::Proof { id }) => proof(&config, *id)?,
        }
        Ok(())
    }
}

/// Returns the record, with all keys as records of version 1 listed them.
fn whole(config: &Config, record: &PublicRecord) -> anyhow::Result<serde_json::Value> {
    let mut whole = serde_json::to_value(record)?;
    whole["keys"] = serde_json::to_value(all(config)?)?;
    Ok(whole)
}

/// Returns the keys of which the node holds a share, oldest first.
fn all(config: &Config) -> anyhow::Result<Vec<PublicKeyRecord>> {
    let mut active = admin::keys(&config.dir)?;
    active.retain(|record| record.status == KeyStatus::Active);
    active.sort_by_key(|record| (record.created, record.key()));
    Ok(active
        .into_iter()
        .map(|record| public::describe(record.descriptor))
        .collect::<Result<_, _>>()?)
}

fn one(config: &Config, id: &str) -> anyhow::Result<PublicKeyRecord> {
    let none = || format!("this node holds no share of {id}; `info key` lists the keys it holds");
    let Answer::Keys(keys) =
        admin::ask(&config.dir, &Question::Key(id.parse().with_context(none)?))?
    else {
        anyhow::bail!("unexpected answer from the node")
    };
    let active = keys
        .into_iter()
        .find(|record| record.status == KeyStatus::Active);
    Ok(public::describe(active.with_context(none)?.descriptor)?)
}

fn moved(config: &Config, json: bool) -> anyhow::Result<()> {
    let Answer::Moved(moved) = admin::ask(&config.dir, &Question::Moved)? else {
        anyhow::bail!("unexpected answer from the node")
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&moved)?);
        return Ok(());
    }
    println!("Reshared keys: {}", moved.len());
    for MovedKey {
        record,
        in_force,
        unheard,
    } in &moved
    {
        let key = &record.descriptor;
        let state = match record.status {
            KeyStatus::Pending => "waiting for its members' confirmation",
            KeyStatus::Active => "this node holds a share of this generation",
            KeyStatus::Leaving => {
                "others hold it; this node's old share is kept until a quorum of them has it in force"
            }
            KeyStatus::Released => "others hold it; this node's old share was destroyed",
        };
        println!("\nKey ID: {}", key.key);
        println!("  Name: {}", escaped(&key.name));
        println!("  Generation: {}", key.generation);
        println!("  State: {state}");
        println!(
            "  In force: at {} members, {} required",
            in_force.len(),
            key.threshold.get()
        );
        for node in unheard {
            let name = config.roster.get(node).map_or("", String::as_str);
            println!("  Not heard from: {node} {name}");
        }
    }
    Ok(())
}

fn proof(config: &Config, key: KeyId) -> anyhow::Result<()> {
    let Answer::Proof(proofs) = admin::ask(&config.dir, &Question::Proof(key))? else {
        anyhow::bail!("unexpected answer from the node")
    };
    if proofs.is_empty() {
        anyhow::bail!(
            "this node does not know the key {key}; `info key` and `info moved` list the keys it knows"
        );
    }
    println!(
        "{}",
        serde_json::to_string_pretty(&serde_json::json!({ "generations": proofs }))?
    );
    Ok(())
}

fn show_check_up(round: &Round) {
    println!(
        "Check-up: {} shares intact, {} damaged, {}",
        round.intact,
        round.damaged.len(),
        time(round.at)
    );
    round
        .damaged
        .iter()
        .for_each(|(key, why)| println!("  {key}: {why}"));
}

fn show_plugin(plugin: &PublicPluginRecord) {
    let version = plugin.version.as_deref().unwrap_or("");
    println!("\nPlugin: {} {version}", plugin.name);
    println!("  State: {} since {}", plugin.state, time(plugin.since));
    if let Some(digest) = &plugin.digest {
        println!("  Digest: sha256:{digest}");
    }
    if let Some((code, reason)) = &plugin.broken {
        println!("  Everything that it guards is refused: {reason} [{code}]");
    }
    if let Some((code, reason)) = &plugin.ill {
        println!("  Not reachable: {reason} [{code}]");
    }
}

fn show(keys: &[PublicKeyRecord], me: &NodeId, config: &Config) {
    println!(
        "Total number of keys: {}, from {}",
        keys.len(),
        config.dir.display()
    );
    for key in keys {
        let descriptor = &key.descriptor;
        println!("\nKey info:");
        println!("  Key ID: {}", descriptor.key);
        println!("  Name: {}", escaped(&descriptor.name));
        println!("  Root Extended Public Key: {}", key.extended_public_key);
        println!("  ChainCode: 0x{}", descriptor.chain_code);
        println!("  Scheme: {}", descriptor.scheme);
        println!("  Curve: {}", descriptor.scheme.curve());
        println!("  Threshold: {}", descriptor.threshold.get());
        println!("  Generation: {}", descriptor.generation);
        println!("  Local Node ID: {me}");
        println!("  Participants: {}", descriptor.committee.members().len());
        for (index, node) in descriptor.committee.members().iter().enumerate() {
            let name = config.roster.get(node).map_or("", String::as_str);
            println!("    ({index}) {node} {name}");
        }
    }
}
