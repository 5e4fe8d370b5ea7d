//! `roster`, `requester`: adds entries to the configuration.

use std::path::Path;

use clap::Subcommand;
use countersign_node::config::Config;
use countersign_protocol::{NodeId, RequesterId};

use super::Args;

#[derive(Debug, Subcommand)]
pub enum RosterCommand {
    /// Add another node to the configuration. Its operator gives you the id, over a channel on
    /// which you recognise them. Takes effect at the next start.
    Add {
        /// Name of the node, for people and plugins.
        name: String,
        /// Its id, which `countersign-node info` prints.
        id: NodeId,
    },
}

#[derive(Debug, Subcommand)]
pub enum RequesterCommand {
    /// Add a requester to the configuration: from the next start, the node considers its tasks.
    Add {
        /// Name of the requester, for people and plugins.
        name: String,
        /// Its id, which `countersign requester new` prints.
        id: RequesterId,
    },
}

impl RosterCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let Self::Add { name, id } = self;
        let own = Config::load(&args.config)
            .ok()
            .and_then(|config| countersign_node::public::read(&config.dir).ok());
        if own.is_some_and(|own| own.node == *id) {
            anyhow::bail!("{id} is this node itself; add the others");
        }
        add(&args.config, "roster", name, &id.to_string())
    }
}

impl RequesterCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let Self::Add { name, id } = self;
        add(&args.config, "requesters", name, &id.to_string())
    }
}

fn add(config: &Path, list: &str, name: &str, id: &str) -> anyhow::Result<()> {
    let entry = serde_json::json!({"name": name, "id": id}).to_string();
    let base = config.parent().unwrap_or(Path::new("."));
    countersign_cli_kit::add_entry(config, list, &entry, |new| {
        Config::parse(new, base).map(drop)
    })?;
    println!(
        "Added `{name}` to {list} of {}; restart the node if it runs.",
        config.display()
    );
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
