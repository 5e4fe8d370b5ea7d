//! `countersign task vote`.

use std::path::PathBuf;

use clap::Args;
use countersign_client::{Client, ClientError, Examined, VoteError, VotingKey};
use countersign_protocol::{Choice, Hash, TaskId};
use countersign_requester::describe;
use serde_json::{Value, json};

use super::line::{Line, Tone};
use super::output::Output;
use super::{confirm, describe as orders, votes};

/// The task, and the vote.
#[derive(Debug, Args)]
pub struct VoteArgs {
    /// Id of the task.
    task: TaskId,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// The file of the approver key; default: `approver_key_file` of the profile.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not ask for a confirmation on the terminal: for programs, which have looked at the task
    /// and give its --hash. Whoever ordered it must be you or under `trusted_requesters`.
    #[arg(long, requires = "hash")]
    yes: bool,
    /// Refuse another task than the one with this hash, which `task show` tells with the order.
    #[arg(long, value_name = "HEX")]
    hash: Option<Hash>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ChoiceArgs {
    /// Vote for it: the nodes may carry it out.
    #[arg(long)]
    approve: bool,
    /// Vote against it.
    #[arg(long)]
    reject: bool,
}

impl ChoiceArgs {
    /// Exactly one of the two is given.
    fn choice(&self) -> Choice {
        if self.approve {
            Choice::Approve
        } else {
            Choice::Reject
        }
    }
}

pub async fn execute(args: VoteArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    let choice = args.choice.choice();
    let key = key(args.key, client)?;
    let examined = client.examine(args.task).await?;
    if args.hash.is_some_and(|hash| hash != examined.hash()) {
        return Err(VoteError::OtherHash(args.task).into());
    }
    let lines = orders::task_lines(&examined, client);
    if args.yes {
        trusted(&examined, client)?;
        lines.into_iter().for_each(|line| output.note(line));
    } else {
        let gist = orders::gist(&examined, client);
        ask(choice, &key, [lines, gist].concat(), output)?;
    }
    let count = client.vote(&examined, &key, choice).await?;
    let json = json!({
        "task": args.task, "hash": examined.hash(), "choice": choice, "approver": key.id(),
        "order": examined.task(), "intent": intent(&examined), "count": votes::json(&count),
    });
    let said = match choice {
        Choice::Approve => Line::new("approved", Tone::Good),
        Choice::Reject => Line::new("rejected", Tone::Bad),
    };
    let mut lines = vec![said.and(format!(": {}", votes::standing(&count)), Tone::Plain)];
    lines.extend(votes::uncounted(&count));
    output.result(&json, &lines)
}

fn key(file: Option<PathBuf>, client: &Client) -> Result<VotingKey, ClientError> {
    let file = file
        .as_ref()
        .or(client.profile().approver_key_file.as_ref());
    VotingKey::load(file.ok_or(VoteError::NoKey)?)
}

/// Nobody else has looked at who ordered it.
fn trusted(examined: &Examined, client: &Client) -> Result<(), VoteError> {
    let requester = examined.task().requester;
    if client
        .profile()
        .known(client.requester())
        .trusts(&requester)
    {
        return Ok(());
    }
    let task = examined.task().id;
    Err(VoteError::Stranger { task, requester })
}

/// Shows the order, and waits for the person's word.
fn ask(
    choice: Choice,
    key: &VotingKey,
    order: Vec<Line>,
    output: &Output,
) -> Result<(), ClientError> {
    if !confirm::can_ask() {
        return Err(VoteError::NoTerminal.into());
    }
    order.into_iter().for_each(|line| output.show(line));
    let word = choice.to_string();
    let question = format!("Vote as {}? Type {word} to sign: ", key.id());
    if confirm::ask(&question, &word)? {
        Ok(())
    } else {
        Err(VoteError::NotConfirmed.into())
    }
}

/// The effect of what is signed, for programs.
fn intent(examined: &Examined) -> Option<Value> {
    let decoded = examined.decoded()?;
    Some(describe::json(&decoded.intent))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        args: VoteArgs,
    }

    #[test]
    fn a_vote_says_exactly_one_thing() {
        let task = "01".repeat(16);
        let parsed = |words: &[&str]| Words::try_parse_from([&["vote", &task], words].concat());
        let choice = |word| parsed(&[word]).unwrap().args.choice.choice();
        assert_eq!(choice("--approve"), Choice::Approve);
        assert_eq!(choice("--reject"), Choice::Reject);
        assert!(parsed(&[]).is_err());
        assert!(parsed(&["--approve", "--reject"]).is_err());
    }

    #[test]
    fn nobody_votes_unasked_without_the_hash_of_what_was_looked_at() {
        let task = "01".repeat(16);
        let hash = "ab".repeat(32);
        let parsed = |words: &[&str]| Words::try_parse_from([&["vote", &task], words].concat());
        assert!(parsed(&["--approve", "--yes"]).is_err());
        assert!(parsed(&["--approve", "--yes", "--hash", &hash]).is_ok());
    }
}
