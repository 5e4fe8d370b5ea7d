//! Decisions of the plugin, through a mock host, on genuine votes of keys and passkeys.

mod choosing;
mod configuration;
mod counting;
mod votes;

use countersign_protocol::{Choice, Hash, SignedTask, Vote};
use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{Failure, Level, Origin, Statement, Task, Verdict, json};
use countersign_vote::testing::{Key, ORIGIN, Passkey, RP_ID};

use super::*;

const NOW: u64 = MockHost::NOW;
const HOUR: u64 = 3_600_000;

/// Seeds of the people's keys. Alice has a key and a passkey.
const ALICE: u8 = 1;
const ALICE_PASSKEY: u8 = 2;
const BOB: u8 = 3;
const CAROL: u8 = 4;
const DAVE: u8 = 5;
const ERIN_PASSKEY: u8 = 6;

/// A configuration with these rules, about alice, bob and carol of finance, and carol, dave and
/// erin of security. Alice orders as `treasury`.
fn with_rules(rules: &str) -> String {
    let key = |seed| Key::new(seed).id();
    let passkey = |seed| Passkey::new(seed).id();
    to_json(&format!(
        "
passkeys: {{rp_id: {RP_ID}, origins: ['{ORIGIN}']}}
approvers:
  alice: {{keys: [{}, {}], requesters: [alices-desk]}}
  bob: {{keys: [{}], requesters: [treasury-bob]}}
  carol: {{keys: [{}]}}
  dave: {{keys: [{}]}}
  erin: {{keys: [{}]}}
groups:
  finance: [alice, bob, carol]
  security: [carol, dave, erin]
assets:
  eth: {{id: 'eip155:1', decimals: 18}}
  usdc: {{id: 'eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48', decimals: 6}}
rules: {rules}
",
        key(ALICE),
        passkey(ALICE_PASSKEY),
        key(BOB),
        key(CAROL),
        key(DAVE),
        passkey(ERIN_PASSKEY),
    ))
}

fn to_json(yaml: &str) -> String {
    serde_norway::from_str::<serde_json::Value>(yaml)
        .unwrap()
        .to_string()
}

/// One rule for everything, with this requirement and more.
fn needs(rule: &str) -> String {
    with_rules(&format!("[{{name: all, {rule}}}]"))
}

fn two_of_finance() -> String {
    needs("require: {group: finance, votes: 2}")
}

/// A payment, whose text is `text`.
fn payment(text: &str) -> Task {
    Task {
        raw: text.as_bytes().to_vec(),
        ..testing::transfer("eip155:1", "0xbob", "1")
    }
}

/// A payment that somebody without a vote ordered.
fn task() -> Task {
    payment("{\"id\":1}")
}

fn hash(task: &Task) -> Hash {
    SignedTask::hash_of(&task.raw)
}

/// The approval of a key, made now.
fn yes(seed: u8) -> Vote {
    vote(seed, Choice::Approve, NOW)
}

/// The rejection of a key, made now.
fn no(seed: u8) -> Vote {
    vote(seed, Choice::Reject, NOW)
}

/// A vote on [`task`] by the key with this seed, or by the passkey.
fn vote(seed: u8, choice: Choice, time: u64) -> Vote {
    match seed {
        ALICE_PASSKEY | ERIN_PASSKEY => Passkey::new(seed).vote(hash(&task()), choice, time),
        _ => Key::new(seed).vote(hash(&task()), choice, time),
    }
}

/// The task with votes, as a node asks about it.
fn with_votes(mut task: Task, votes: &[Vote]) -> Task {
    let value = serde_json::to_string(votes).unwrap();
    task.extra.push(claim(&value));
    task
}

fn claim(value: &str) -> Statement {
    Statement {
        name: CLAIM.into(),
        value: value.into(),
        origin: Origin::Claim,
    }
}

/// `approve`, or the code of the refusal, and its reason.
fn decide(config: &str, task: &Task) -> (String, String) {
    decide_at(&MockHost::default(), config, task)
}

fn decide_at(host: &MockHost, config: &str, task: &Task) -> (String, String) {
    let config = json::config::<Config>(config).unwrap();
    match host.decide::<Quorum>(&config, task).unwrap() {
        Verdict::Approve => ("approve".into(), String::new()),
        Verdict::Reject(rejection) => (rejection.code, rejection.reason),
    }
}

/// The outcome of these votes on [`task`].
fn judge(config: &str, votes: &[Vote]) -> String {
    decide(config, &with_votes(task(), votes)).0
}

/// Expects that a vote does not count for this reason, beside the one that does: two are needed.
fn ignored(vote: Vote, why: &str) {
    let (code, reason) = decide(&two_of_finance(), &with_votes(task(), &[yes(BOB), vote]));
    assert_eq!(code, "quorum-pending", "{reason}");
    assert!(
        reason.ends_with(&format!("votes that do not count: 1 {why}")),
        "{why}: {reason}"
    );
}
