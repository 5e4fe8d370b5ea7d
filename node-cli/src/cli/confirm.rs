//! `roster confirm`: adds nodes and requesters that somebody proposes, once the operator has
//! compared their six words with their owners.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use countersign_cli_kit::{same_words, six_words};
use countersign_node::config::Config;
use countersign_node::contacts::{self, PROPOSALS};
use countersign_protocol::contact::{Contact, Role};

use super::id::own_id;
use super::{Args, roster};

#[derive(Debug, clap::Args)]
pub struct Confirm {
    /// The name of the only node or requester to be confirmed. Default: all that are proposed, one
    /// after the other.
    name: Option<String>,
    /// The six words that its owner has told you, instead of an answer on the terminal.
    #[arg(long, requires = "name")]
    words: Option<String>,
    /// A file that another operator gave you (`roster export`). Default: what the coordinator
    /// proposes.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// How a proposal stands to the configuration.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    New,
    /// It is listed, under this name of the operator's.
    Listed(String),
    /// The name belongs to another id, as the text says.
    Poses(String),
}

impl Confirm {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let mut added = 0;
        let mut posing = 0;
        for contact in self.proposed(&config)? {
            let config = Config::load(&args.config)?;
            match standing(&config, &contact) {
                Standing::Listed(name) if name == contact.name() => {
                    println!("`{name}` is listed already.");
                }
                Standing::Listed(name) => {
                    println!("`{}` is listed already, as `{name}`.", contact.name());
                }
                Standing::Poses(how) => {
                    eprintln!("DO NOT CONFIRM: {how}. Somebody may pose as another.");
                    posing += 1;
                }
                Standing::New => {
                    if self.is_confirmed(&contact)? {
                        let list = match contact.role() {
                            Role::Node => "roster",
                            Role::Requester => "requesters",
                        };
                        roster::add(&args.config, list, contact.name(), &contact.id())?;
                        added += 1;
                    } else {
                        println!("`{}` was not added.", contact.name());
                    }
                }
            }
        }
        if added > 0 {
            roster::take_up(args)?;
            println!("Each of the others must add this node, too.");
        }
        if posing > 0 {
            bail!(
                "proposals with a name that {} has for another id: {posing}. Ask the owner of the name over a channel on which you recognise them, and correct the file by hand if the change is genuine",
                args.config.display()
            );
        }
        Ok(())
    }

    /// The proposals that are asked for, but for this node itself.
    fn proposed(&self, config: &Config) -> anyhow::Result<Vec<Contact>> {
        let file = self
            .from
            .clone()
            .unwrap_or_else(|| config.dir.join(PROPOSALS));
        if self.from.is_none() && !file.exists() {
            bail!(
                "the coordinator has not proposed anything yet; run `countersign-node roster fetch`, start the node, or name a file with --from"
            );
        }
        let own = own_id(config)?;
        let mut proposed = contacts::read(&file)?;
        proposed.retain(|contact| contact.key() != own.as_bytes());
        if let Some(name) = &self.name {
            proposed.retain(|contact| contact.name() == name);
            if proposed.is_empty() {
                bail!(
                    "nobody is proposed under the name `{name}` in {}; see the names there",
                    file.display()
                );
            }
        }
        if self.words.is_some() && proposed.len() > 1 {
            bail!(
                "a node and a requester are proposed under this name; confirm them on a terminal, without --words"
            );
        }
        if proposed.is_empty() {
            println!("{} proposes nobody.", file.display());
        }
        Ok(proposed)
    }

    /// True if the operator, or the words that were given, confirm this id.
    fn is_confirmed(&self, contact: &Contact) -> anyhow::Result<bool> {
        let words = words(contact);
        println!(
            "{} `{}`\n  id     {}\n  words  {words}",
            contact.role(),
            contact.name(),
            contact.id()
        );
        let Some(given) = &self.words else {
            return ask(contact);
        };
        if !same_words(given, &words) {
            bail!(
                "the words of `{}` are not those that you gave. Nothing was added. Compare them with its owner: if they are right, somebody poses as `{0}`",
                contact.name()
            );
        }
        Ok(true)
    }
}

/// Waits for `yes` on the terminal. Anything else is a no.
fn ask(contact: &Contact) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "there is no terminal to ask; give the words that the owner of `{}` told you: roster confirm {0} --words \"...\"",
            contact.name()
        );
    }
    print!(
        "Ask the owner of `{}` for the words, over a channel that the coordinator cannot forge. Are they the same? Type yes: ",
        contact.name()
    );
    std::io::stdout()
        .flush()
        .context("the question cannot be shown; use --words")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("the answer cannot be read; use --words")?;
    Ok(answer.trim() == "yes")
}

/// The six words of a contact.
pub(super) fn words(contact: &Contact) -> String {
    six_words(&contact.role().to_string(), contact.key())
}

fn standing(config: &Config, contact: &Contact) -> Standing {
    match contact {
        Contact::Node { name, id } => compare("roster", &config.roster, id, name),
        Contact::Requester { name, id } => compare("requesters", &config.requesters, id, name),
    }
}

fn compare<I: Ord + std::fmt::Display>(
    list: &str,
    listed: &BTreeMap<I, String>,
    id: &I,
    name: &String,
) -> Standing {
    // The words prove the id. Its name here is the operator's own, whatever others call it.
    if let Some(known) = listed.get(id) {
        return Standing::Listed(known.clone());
    }
    match listed.iter().find(|(_, known)| *known == name) {
        Some((known, _)) => Standing::Poses(format!(
            "`{name}` is proposed with the id {id}, and {list} has `{name}` with {known}"
        )),
        None => Standing::New,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;
    use countersign_node::public;
    use countersign_protocol::{NodeId, RequesterId};
    use tempfile::TempDir;

    use super::*;

    fn key(seed: u8) -> [u8; 32] {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        identity.public().0
    }

    fn node(seed: u8, name: &str) -> Contact {
        Contact::Node {
            name: name.into(),
            id: NodeId::from_bytes(key(seed)).unwrap(),
        }
    }

    fn requester(seed: u8, name: &str) -> Contact {
        Contact::Requester {
            name: name.into(),
            id: RequesterId::from_bytes(key(seed)).unwrap(),
        }
    }

    /// Node 1 with these proposals of its coordinator.
    struct Place {
        dir: TempDir,
        file: PathBuf,
    }

    impl Place {
        fn with(proposals: &[Contact]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("node.yaml");
            std::fs::write(&file, "db: {path: secrets.redb.age}\n").unwrap();
            let me = NodeId::from_bytes(key(1)).unwrap();
            public::write(dir.path(), &public::new(me, String::new())).unwrap();
            contacts::propose(dir.path(), &me, proposals.to_vec()).unwrap();
            Self { dir, file }
        }

        fn enter(&self, words: &[&str]) -> anyhow::Result<()> {
            let program = ["countersign-node", "--config", self.file.to_str().unwrap()];
            let args = Args::try_parse_from(program.iter().chain(&["roster"]).chain(words))?;
            super::super::run(args).map(drop)
        }

        fn refused(&self, words: &[&str]) -> String {
            let before = std::fs::read(&self.file).unwrap();
            let refused = self.enter(words).unwrap_err().to_string();
            assert_eq!(std::fs::read(&self.file).unwrap(), before, "{words:?}");
            refused
        }

        fn names(&self) -> Vec<String> {
            let config = Config::load(&self.file).unwrap();
            let nodes = config.roster.into_values();
            nodes.chain(config.requesters.into_values()).collect()
        }

        fn path(&self, name: &str) -> PathBuf {
            Path::new(self.dir.path()).join(name)
        }
    }

    #[test]
    fn what_a_coordinator_proposes_counts_only_with_its_words() {
        let bob = node(2, "bob");
        let place = Place::with(&[bob.clone(), requester(3, "desk")]);
        assert!(place.names().is_empty(), "a proposal has no effect");
        let of_another = words(&node(4, "bob"));
        let right = words(&bob);
        let short = right.rsplit_once(' ').unwrap().0;
        let as_requester = words(&requester(2, "bob"));
        for wrong in ["", &of_another, short, &as_requester] {
            let refused = place.refused(&["confirm", "bob", "--words", wrong]);
            assert!(refused.contains("Nothing was added"), "{refused}");
        }
        let typed = right.to_uppercase();
        place.enter(&["confirm", "bob", "--words", &typed]).unwrap();
        assert_eq!(place.names(), ["bob"]);
        place.enter(&["confirm", "bob", "--words", ""]).unwrap();
        let desk = words(&requester(3, "desk"));
        place.enter(&["confirm", "desk", "--words", &desk]).unwrap();
        assert_eq!(place.names(), ["bob", "desk"]);
        let unknown = place.refused(&["confirm", "carol", "--words", &desk]);
        assert!(unknown.contains("nobody is proposed"), "{unknown}");
    }

    #[test]
    fn words_are_for_one_name() {
        let place = Place::with(&[node(2, "bob"), requester(3, "bob")]);
        let right = words(&node(2, "bob"));
        assert!(place.enter(&["confirm", "--words", &right]).is_err());
        let two = place.refused(&["confirm", "bob", "--words", &right]);
        assert!(two.contains("without --words"), "{two}");
    }

    #[test]
    fn a_name_that_belongs_to_another_id_is_refused_loudly_whatever_the_words() {
        let place = Place::with(&[node(2, "bob")]);
        let right = words(&node(2, "bob"));
        let confirm = ["confirm", "bob", "--words", &right];
        place.enter(&confirm).unwrap();
        let me = NodeId::from_bytes(key(1)).unwrap();
        let propose = |contact| contacts::propose(place.dir.path(), &me, vec![contact]).unwrap();
        propose(node(4, "bob"));
        let forged = words(&node(4, "bob"));
        let other_id = place.refused(&["confirm", "bob", "--words", &forged]);
        assert!(other_id.contains("for another id"), "{other_id}");
        assert_eq!(place.names(), ["bob"]);
    }

    /// Names are the operator's own, so another one is no sign of an impostor.
    #[test]
    fn a_known_id_under_another_name_is_listed_already_and_changes_nothing() {
        let place = Place::with(&[node(2, "bob")]);
        let right = words(&node(2, "bob"));
        place.enter(&["confirm", "bob", "--words", &right]).unwrap();
        let me = NodeId::from_bytes(key(1)).unwrap();
        contacts::propose(place.dir.path(), &me, vec![node(2, "robert")]).unwrap();
        place.enter(&["confirm", "robert"]).unwrap();
        place.enter(&["confirm"]).unwrap();
        assert_eq!(place.names(), ["bob"]);
    }

    /// A coordinator cannot keep others out with an entry that raises the alarm.
    #[test]
    fn an_entry_that_poses_as_another_holds_up_none_behind_it() {
        let known = [node(2, "bob"), node(3, "carol")];
        let place = Place::with(&known);
        for contact in &known {
            let words = words(contact);
            let confirm = ["confirm", contact.name(), "--words", &words];
            place.enter(&confirm).unwrap();
        }
        let me = NodeId::from_bytes(key(1)).unwrap();
        let proposed = vec![node(4, "bob"), node(2, "robert"), node(5, "carol")];
        contacts::propose(place.dir.path(), &me, proposed).unwrap();
        let refused = place.refused(&["confirm"]);
        assert!(refused.contains("another id: 2"), "{refused}");
    }

    #[test]
    fn a_file_of_another_operator_leaves_out_this_node_and_shows_everybody_else() {
        let here = Place::with(&[]);
        let there = Place::with(&[node(2, "bob"), requester(3, "desk")]);
        for contact in [node(2, "bob"), requester(3, "desk")] {
            let words = words(&contact);
            let confirm = ["confirm", contact.name(), "--words", &words];
            there.enter(&confirm).unwrap();
        }
        let file = there.path("contacts.yaml");
        let out = file.to_str().unwrap();
        there.enter(&["export", "alice", "--out", out]).unwrap();
        let exported = contacts::read(&file).unwrap();
        assert_eq!(
            exported,
            [node(1, "alice"), node(2, "bob"), requester(3, "desk")]
        );
        // Both places are node 1, so its own entry is not proposed.
        let own = words(&node(1, "alice"));
        let from = ["confirm", "alice", "--words", &own, "--from", out];
        assert!(here.refused(&from).contains("nobody is proposed"));
        let bob = words(&node(2, "bob"));
        here.enter(&["confirm", "bob", "--words", &bob, "--from", out])
            .unwrap();
        assert_eq!(here.names(), ["bob"]);
    }
}
