//! One decision: the chain with the rules plugin against the bare call of its component.

use crate::sample::{Effort, by_turns};
use crate::table::{Figure, Table};
use countersign_host::{
    Chain, Grants, Host, HostLimits, HttpClient, HttpOptions, Input, Intent, Key, KeyRing, LocalServices,
    Operation, PluginSpec, Principal, Role, Signing, Task,
};
use countersign_tests::process;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A decision, at most.
const P99: Duration = Duration::from_micros(100);
/// Against the bare component call.
const RATIO: f64 = 1.2;
/// Nobody waits that long.
const DEADLINE: Duration = Duration::from_secs(10);

/// Decides the same KeySign over and over.
pub async fn measure(effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    let host = Host::new(HostLimits::default())?;
    let http = HttpClient::new(&HttpOptions::default())?;
    let services = Arc::new(LocalServices::new(KeyRing::default(), http));
    let chain = Chain::load(&host, vec![rules()?], services).await?;
    let (plugin, task) = (chain.plugins()[0], keysign());
    let ours = async || {
        let decision = chain.decide(&task, Instant::now() + DEADLINE).await;
        anyhow::ensure!(decision.approved(), "refused: {:?}", decision.refusal());
        Ok(())
    };
    let bare = async || {
        let evaluation = plugin.evaluate(&task, Instant::now() + DEADLINE).await;
        anyhow::ensure!(evaluation.verdict.refusal().is_none(), "refused: {:?}", evaluation.verdict);
        Ok(())
    };
    let pair = by_turns(effort.decisions, ours, bare).await?;
    let figures = [
        Figure { asks: "p99 <= 100 us", met: pair.ours.percentile(99) <= P99 },
        Figure { asks: "ratio <= 1.2", met: pair.ratio() <= RATIO },
    ];
    table.compare("decision on a KeySign, rules only", &pair, &figures);
    let rate = 1.0 / pair.ours.mean().as_secs_f64();
    table.plain("decisions of one thread", &format!("{rate:.0}/s"), &[]);
    Ok(())
}

/// The rules of the cluster that is measured below.
fn rules() -> anyhow::Result<PluginSpec> {
    let entry = |threshold| json!({ "threshold": threshold, "node_ids": MEMBERS });
    Ok(PluginSpec {
        name: "rules".into(),
        file: process::plugin("rules")?,
        digest: None,
        config: json!({
            "enable": true,
            "key_gen": { "allow_list": [entry(2), entry(3)] },
            "key_sign": { "reject_all": false },
        }),
        grants: Grants { state_bytes: 1 << 20, ..Grants::default() },
        role: Role::default(),
    })
}

/// A question as a node puts it.
fn keysign() -> Task {
    let key = Key {
        id: "csk1qqqsyqcyq5rqwzqfpg9scrgwpu".into(),
        scheme: "ed25519".into(),
        curve: "ed25519".into(),
        root_public_key: "cpub".repeat(28),
        threshold: 2,
        members: MEMBERS.map(String::from).to_vec(),
    };
    let message = crate::bare::MESSAGE.to_vec();
    let input = Input { path: "m/0/7".into(), public_key: vec![7; 32], digest: message.clone(), tweak: None };
    Task {
        id: "000102030405060708090a0b0c0d0e0f".into(),
        attempt: 1,
        received_at: 1_700_000_000_000,
        requester: Principal { id: MEMBERS[0].into(), name: "tests".into() },
        coordinator: Principal { id: MEMBERS[1].into(), name: "127.0.0.1:4433".into() },
        node: MEMBERS[2].into(),
        operation: Operation::Sign(Signing {
            key,
            signers: MEMBERS[..2].iter().map(|member| member.to_string()).collect(),
            inputs: vec![input],
            payload: "message".into(),
            blind: false,
            intent: Intent::Message(message),
        }),
        extra: Vec::new(),
        raw: vec![b'x'; 600],
    }
}

/// As long as the ids of nodes are.
const MEMBERS: [&str; 3] = [
    "csn1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0jqaaaaaa",
    "csn1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0jqbbbbbb",
    "csn1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0jqcccccc",
];
