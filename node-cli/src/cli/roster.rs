//! `roster`, `requester`: the nodes and requesters that this node knows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Subcommand;
use countersign_cli_kit::joining;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use countersign_node::contacts;
use countersign_node::vault::Vault;
use countersign_protocol::contact::{Contact, is_name};
use countersign_protocol::{NodeId, RequesterId};

use super::confirm::{self, Confirm};
use super::id::own_id;
use super::{Args, init, passphrase};

/// First line of a file for another operator.
const HEADING: &str = "# For `countersign-node roster confirm --from FILE`. Compare the six words of each entry with its owner.\n";
/// The most proposals that are shown. Six words take a while to compute, and a coordinator may
/// propose a thousand names.
const SHOWN: usize = 50;

#[derive(Debug, Subcommand)]
pub enum RosterCommand {
    /// Add another node to the configuration. Its operator gives you the id, over a channel on
    /// which you recognise them. A running node takes it up.
    Add {
        /// Name of the node, for people and plugins.
        name: String,
        /// Its id, which `countersign-node id` prints.
        id: NodeId,
    },
    /// Add the nodes and requesters that the coordinator proposes, or another operator in a file,
    /// each after you have compared its six words with its owner. A running node takes them up.
    Confirm(Confirm),
    /// Ask the coordinator whom it proposes. Stop the node first: a running node is told by itself.
    Fetch,
    /// Write this node, and all nodes and requesters that it knows, into a file for another
    /// operator.
    Export {
        /// The name of this node.
        name: String,
        /// The file; replaced. Default: standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum RequesterCommand {
    /// Add a requester to the configuration: the node considers its tasks. A running node takes it
    /// up.
    Add {
        /// Name of the requester, for people and plugins.
        name: String,
        /// Its id, which `countersign requester id` prints.
        id: RequesterId,
    },
}

impl RosterCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        match self {
            Self::Add { name, id } => {
                let own = Config::load(&args.config)
                    .ok()
                    .and_then(|config| countersign_node::public::read(&config.dir).ok());
                if own.is_some_and(|own| own.node == *id) {
                    anyhow::bail!("{id} is this node itself; add the others");
                }
                add(&args.config, "roster", name, &id.to_string())?;
                take_up(args)
            }
            Self::Confirm(confirm) => confirm.run(args),
            Self::Fetch => fetch(args),
            Self::Export { name, out } => export(args, name, out.as_deref()),
        }
    }

    /// True if the command changes nothing.
    pub(super) fn only_prints(&self) -> bool {
        matches!(self, Self::Export { out: None, .. })
    }
}

impl RequesterCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let Self::Add { name, id } = self;
        add(&args.config, "requesters", name, &id.to_string())?;
        take_up(args)
    }
}

/// Adds an entry to a list of the configuration.
pub(super) fn add(config: &Path, list: &str, name: &str, id: &str) -> anyhow::Result<()> {
    let entry = serde_json::json!({"name": name, "id": id}).to_string();
    let base = config.parent().unwrap_or(Path::new("."));
    countersign_cli_kit::add_entry(config, list, &entry, |new| {
        Config::parse(new, base).map(drop)
    })?;
    println!("Added `{name}` to {list} of {}.", config.display());
    Ok(())
}

/// Has a running node put new contacts in force, and says what came of it.
pub(super) fn take_up(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    match admin::ask_running(&config.dir, &Question::TakeContacts) {
        Ok(None) => println!("It counts from the next start of the node."),
        Ok(Some(Answer::TakenUp(taken))) if taken.held.is_empty() => {
            println!("The running node has put it in force.");
        }
        Ok(Some(Answer::TakenUp(taken))) => println!(
            "The running node holds it back, since the file has other guards than those in force: {}. \
             Send the node SIGHUP, or restart it if its log says so.",
            taken.held.join(", ")
        ),
        Ok(Some(_)) => println!("The running node takes it up when you send it SIGHUP."),
        Err(error) => println!(
            "The running node has not put it in force: {error}\nOnce that is mended, send the node SIGHUP."
        ),
    }
    Ok(())
}

fn fetch(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    let coordinator = config.coordinator.clone().with_context(|| {
        format!(
            "{} names no coordinator; write `coordinator`, or run `init --join`",
            args.config.display()
        )
    })?;
    let passphrase = passphrase::existing(args, &config)?;
    init::give_up_root(&config)?;
    let vault = Vault::open(&config.dir, &passphrase, &config.recipients)?;
    let identity = Arc::new(vault.identity()?);
    let asked = joining::ask(&identity, &coordinator.address, &coordinator.id);
    propose(&config, own_id(&config)?, in_runtime(asked)??)
}

/// Runs a future to its end.
pub(super) fn in_runtime<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime; raise the process limit")?;
    Ok(runtime.block_on(work))
}

/// Keeps what the coordinator proposes, and shows it.
pub(super) fn propose(config: &Config, me: NodeId, proposed: Vec<Contact>) -> anyhow::Result<()> {
    let file = config.dir.join(contacts::PROPOSALS);
    contacts::propose(&config.dir, &me, proposed)
        .with_context(|| format!("cannot write {}; check the disk", file.display()))?;
    let kept = contacts::read(&file)?;
    if kept.is_empty() {
        println!(
            "The coordinator knows nobody else yet. A running node hears of others by itself."
        );
        return Ok(());
    }
    println!("The coordinator proposes, and nothing of it counts before you confirm it:");
    for contact in kept.iter().take(SHOWN) {
        let words = confirm::words(contact);
        println!("  {:<9}  {}  {words}", contact.role(), contact.name());
    }
    if let Some(more @ 1..) = kept.len().checked_sub(SHOWN) {
        println!("  ... and {more} more in {}", file.display());
    }
    println!("Compare the words with their owners, then run: countersign-node roster confirm");
    Ok(())
}

fn export(args: &Args, name: &str, out: Option<&Path>) -> anyhow::Result<()> {
    if !is_name(name) {
        anyhow::bail!(
            "`{}` cannot be a name; choose another",
            name.escape_default()
        );
    }
    let config = Config::load(&args.config)?;
    let own = Contact::Node {
        name: name.into(),
        id: own_id(&config)?,
    };
    let nodes = config.roster.iter().map(|(id, name)| Contact::Node {
        name: name.clone(),
        id: *id,
    });
    let requesters = config.requesters.iter();
    let requesters = requesters.map(|(id, name)| Contact::Requester {
        name: name.clone(),
        id: *id,
    });
    let all: Vec<Contact> = [own].into_iter().chain(nodes).chain(requesters).collect();
    let text = contacts::text(HEADING, &all);
    match out {
        None => print!("{text}"),
        Some(file) => {
            countersign_files::replace(file, text.as_bytes())
                .with_context(|| format!("cannot write {}; check the disk", file.display()))?;
            println!("Wrote {} entries to {}.", all.len(), file.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use countersign_node::config::EXAMPLE;

    use super::*;

    /// A valid point of the curve.
    const POINT: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];

    fn enter(config: &Path, words: &[&str]) -> anyhow::Result<()> {
        let program = ["countersign-node", "--config", config.to_str().unwrap()];
        let args = Args::try_parse_from(program.iter().chain(words))?;
        super::super::run(args).map(drop)
    }

    #[test]
    fn what_is_added_is_in_the_configuration_beside_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        std::fs::write(&file, EXAMPLE).unwrap();
        let node = NodeId::from_bytes(POINT).unwrap();
        let requester = RequesterId::from_bytes(POINT).unwrap();
        enter(&file, &["roster", "add", "bank", &node.to_string()]).unwrap();
        enter(&file, &["requester", "add", "desk", &requester.to_string()]).unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.roster, [(node, "bank".into())].into());
        assert_eq!(config.requesters, [(requester, "desk".into())].into());

        let before = std::fs::read_to_string(&file).unwrap();
        assert!(EXAMPLE.lines().all(|line| before.contains(line)));
        let twice = enter(&file, &["roster", "add", "other", &node.to_string()]);
        assert!(twice.unwrap_err().to_string().contains("would be refused"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }
}
