//! The part of `init --join` that concerns the coordinator: its entry in the configuration, and the
//! registration.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use countersign_cli_kit::joining;
use countersign_files::Custody;
use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_protocol::NodeId;
use countersign_protocol::contact::Role;
use countersign_protocol::invitation::Token;

use super::roster::{in_runtime, propose};

/// Largest configuration, in bytes.
const LARGEST: u64 = 4 << 20;
/// The coordinator in the example, which is not in force.
const COMMENTED: [&str; 3] = [
    "#coordinator:",
    "#  address: coordinator.example.com:7443",
    "#  id: csc1...",
];
/// The number of prime sets in the example, which is not in force.
const LIMITS: [&str; 2] = ["#limits:", "#  prime_sets: 1"];

/// Reads the token of the command line, or of standard input.
pub(super) fn token(argument: &str) -> anyhow::Result<Token> {
    Ok(joining::read_token(argument, Role::Node)?)
}

/// The configuration with the token's coordinator.
pub(super) fn with_coordinator(text: &str, token: &Token) -> String {
    let invitation = &token.invitation;
    let address = serde_json::json!(invitation.address);
    let entry = [
        "coordinator:".to_owned(),
        format!("  address: {address}"),
        format!("  id: {}", invitation.coordinator),
    ];
    let is_example = COMMENTED
        .iter()
        .all(|line| text.lines().any(|other| other == *line));
    if is_example {
        let lines = text.lines().map(|line| {
            let place = COMMENTED.iter().position(|commented| line == *commented);
            place.map_or(line, |place| &entry[place])
        });
        return lines.map(|line| format!("{line}\n")).collect();
    }
    let gap = if text.is_empty() || text.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    format!("{text}{gap}{}\n", entry.join("\n"))
}

/// The example without primes.
pub(super) fn without_ecdsa(example: &str) -> String {
    let entry = ["limits:", "  prime_sets: 0"];
    let lines = example.lines().map(|line| {
        let place = LIMITS.iter().position(|commented| line == *commented);
        place.map_or(line, |place| entry[place])
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Makes sure that the configuration names the token's coordinator and no other.
pub(super) fn name_coordinator(file: &Path, token: &Token) -> anyhow::Result<()> {
    // Until the end, so that no other command's change is lost.
    let _alone = countersign_files::lock_beside(file)
        .with_context(|| format!("{} cannot be locked; try again", file.display()))?;
    let config = Config::load(file)?;
    let invited = &token.invitation.coordinator;
    match &config.coordinator {
        Some(present) if present.id == *invited => Ok(()),
        Some(present) => bail!(
            "{} names another coordinator ({}), and the invitation is from {invited}; a node has one coordinator: make another configuration, or remove `coordinator` from this one",
            file.display(),
            present.id
        ),
        None => {
            let text = Custody::Operator.read(file, LARGEST)?;
            let text = String::from_utf8(text)
                .with_context(|| format!("{} is not UTF-8 text; correct it", file.display()))?;
            let new = with_coordinator(&text, token);
            let base = file.parent().unwrap_or(Path::new("."));
            Config::parse(&new, base).with_context(|| {
                format!(
                    "`coordinator` cannot be added to {}; write it there by hand",
                    file.display()
                )
            })?;
            countersign_files::replace(file, new.as_bytes())
                .with_context(|| {
                    format!(
                        "cannot write {}; check the disk, or let its owner write `coordinator` there: address {}, id {invited}",
                        file.display(),
                        token.invitation.address
                    )
                })
        }
    }
}

/// Registers the node, and keeps what the coordinator proposes.
pub(super) fn register(config: &Config, vault: &Vault, token: &Token) -> anyhow::Result<()> {
    let identity = Arc::new(vault.identity()?);
    let node = NodeId::from_bytes(identity.public().0)?;
    let invitation = &token.invitation;
    let joined = in_runtime(joining::join(&identity, token))?;
    let proposed = joined.with_context(|| {
        format!(
            "{node} is not registered at {}; the identity is kept, and you can run the command again",
            invitation.address
        )
    })?;
    println!(
        "Registered as `{}` at {} ({})",
        invitation.name, invitation.address, invitation.coordinator
    );
    println!("This node: {node}\n  words  {}", super::id::words(&node));
    println!(
        "Tell these six words to the other operators, over a channel on which they recognise you."
    );
    propose(config, node, proposed)
}

#[cfg(test)]
mod tests {
    use countersign_node::config::EXAMPLE;
    use countersign_protocol::invitation::{Invitation, InvitationId};
    use countersign_protocol::{CoordinatorId, UnixMillis};

    use super::*;

    fn token(seed: u8) -> Token {
        let key = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        Token {
            invitation: Invitation {
                coordinator: CoordinatorId::from_bytes(key.public().0).unwrap(),
                address: "coordinator.example:7443".into(),
                id: InvitationId([1; 16]),
                role: Role::Node,
                name: "bob".into(),
                expires: UnixMillis(1),
            },
            mac: [2; 32],
        }
    }

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new(".")).unwrap()
    }

    #[test]
    fn the_example_gets_the_coordinator_and_keeps_every_comment() {
        let text = with_coordinator(EXAMPLE, &token(1));
        let coordinator = parse(&text).coordinator.unwrap();
        assert_eq!(coordinator.address, "coordinator.example:7443");
        assert_eq!(coordinator.id, token(1).invitation.coordinator);
        assert_eq!(text.lines().count(), EXAMPLE.lines().count());
        let changed = text.lines().zip(EXAMPLE.lines());
        assert_eq!(changed.filter(|(new, old)| new != old).count(), 3);
    }

    #[test]
    fn a_node_without_ecdsa_keeps_no_primes() {
        assert_eq!(parse(EXAMPLE).prime_sets, 1);
        let text = without_ecdsa(&with_coordinator(EXAMPLE, &token(1)));
        let config = parse(&text);
        assert_eq!(config.prime_sets, 0);
        assert!(config.coordinator.is_some());
    }

    #[test]
    fn a_configuration_keeps_the_coordinator_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        std::fs::write(&file, "roster: []\n").unwrap();
        name_coordinator(&file, &token(1)).unwrap();
        let named = Config::load(&file).unwrap().coordinator.unwrap();
        assert_eq!(named.id, token(1).invitation.coordinator);
        let before = std::fs::read_to_string(&file).unwrap();
        assert!(before.starts_with("roster: []\n"), "{before}");
        name_coordinator(&file, &token(1)).unwrap();
        let refused = name_coordinator(&file, &token(2)).unwrap_err().to_string();
        assert!(refused.contains("names another coordinator"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }

    #[test]
    fn a_change_that_another_command_makes_meanwhile_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        std::fs::write(&file, "roster: []\n").unwrap();
        let other = countersign_files::lock_beside(&file).unwrap();
        let naming = std::thread::spawn({
            let file = file.clone();
            move || name_coordinator(&file, &token(1))
        });
        // Time for it to write what it may not write yet.
        for _ in 0..20 {
            if naming.is_finished() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::fs::write(&file, "roster: []\ncheck_up: {hours: 5}\n").unwrap();
        drop(other);
        naming.join().unwrap().unwrap();
        let config = Config::load(&file).unwrap();
        assert!(config.coordinator.is_some() && config.check_up.is_some());
    }
}
