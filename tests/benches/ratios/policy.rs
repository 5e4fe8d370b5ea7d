//! One decision: the chain with the rules plugin against the bare call of its component, a
//! preflight against a decision, a long list against a short one, and two callbacks against one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_host::rs256::{SigningKey, VerifyingKey};
use countersign_host::{
    Chain, Destination, Grants, Host, HostOptions, HttpClient, HttpOptions, Input, Intent, Key,
    KeyGrant, KeyRing, KeyUsage, LocalServices, Operation, PluginSpec, PreInitLimits, Principal,
    Role, Signing, Task, Transaction,
};
use countersign_tests::{Approver, Script, process};
use serde_json::{Value, json};

use crate::sample::{Effort, by_turns};
use crate::table::{Figure, Table};

/// Limit for a decision.
const P99: Duration = Duration::from_micros(100);
/// Limit, relative to the bare component call.
const RATIO: f64 = 1.2;
/// Far longer than any decision here.
const DEADLINE: Duration = Duration::from_secs(10);

/// Limit for a list a hundred times as long.
const LIST_RATIO: f64 = 2.0;
/// Two callbacks that are asked one after the other would take twice as long as one.
const CALLBACKS_RATIO: f64 = 1.3;
/// Time that an approval server takes to decide.
const THINKING: Duration = Duration::from_millis(20);

/// As long as the ids of nodes are.
const MEMBERS: [&str; 3] = [
    "csn1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0jqaaaaaa",
    "csn1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0jqbbbbbb",
    "csn1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0jqcccccc",
];

/// Decides the same task over and over.
pub async fn measure(effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    let host = Host::with(HostOptions {
        pre_init: Some(PreInitLimits::default()),
        ..HostOptions::default()
    })?;
    rules_only(&host, effort, table).await?;
    long_list(&host, effort, table).await?;
    two_callbacks(&host, effort, table).await
}

fn services(keys: KeyRing) -> anyhow::Result<Arc<LocalServices>> {
    Ok(Arc::new(LocalServices::new(
        keys,
        HttpClient::new(&HttpOptions::default())?,
    )))
}

async fn approve(chain: &Chain, task: &Task) -> anyhow::Result<()> {
    let decision = chain.decide(task, Instant::now() + DEADLINE).await;
    anyhow::ensure!(decision.approved(), "refused: {:?}", decision.refusal());
    Ok(())
}

/// Transfers to one of a thousand listed addresses against one of ten.
async fn long_list(host: &Host, effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    let listing = async |entries: u32| {
        let allow: Vec<String> = (0..entries)
            .map(|entry| format!("0x{entry:040x}"))
            .collect();
        let policy =
            json!({ "name": "list", "transactions": { "destinations": { "allow": allow } } });
        let spec = rules_with(json!({ "enable": true, "key_sign": { "policies": [policy] } }))?;
        anyhow::Ok(Chain::load(host, vec![spec], services(KeyRing::default())?).await?)
    };
    let long = listing(1_000).await?;
    let short = listing(10).await?;
    let task = transfer(&format!("0x{:040x}", 9));
    let pair = by_turns(
        effort.decisions / 4,
        async || approve(&long, &task).await,
        async || approve(&short, &task).await,
    );
    let pair = pair.await?;
    let figure = Figure {
        asks: "ratio <= 2",
        met: pair.ratio() <= LIST_RATIO,
    };
    table.compare("1,000 list entries against 10", &pair, &[figure]);
    Ok(())
}

/// The rules and two callback servers against one callback server.
async fn two_callbacks(host: &Host, effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    let servers = [Approver::start().await?, Approver::start().await?];
    let callback = SigningKey::generate()?;
    let mut keys = KeyRing::default();
    for server in &servers {
        server.trust(&callback.verifying_key().to_pem())?;
        server.script(Script::Slow(THINKING));
        // All servers of a process have one key.
        keys.insert_verifying(
            "approver",
            VerifyingKey::from_pem(server.public_key_pem()?.as_bytes())?,
        );
    }
    keys.insert_signing("callback", callback);
    let services = services(keys)?;
    let first = asking("first", &servers[0].url())?;
    let second = asking("second", &servers[1].url())?;
    let one = Chain::load(host, vec![first.clone()], services.clone()).await?;
    let two = Chain::load(host, vec![rules()?, first, second], services).await?;
    let task = keysign();
    let pair = by_turns(
        effort.frost,
        async || approve(&two, &task).await,
        async || approve(&one, &task).await,
    )
    .await?;
    let figure = Figure {
        asks: "ratio <= 1.3",
        met: pair.ratio() <= CALLBACKS_RATIO,
    };
    table.compare(
        "rules and 2 callback servers, against 1 server",
        &pair,
        &[figure],
    );
    Ok(())
}

fn asking(label: &str, url: &str) -> anyhow::Result<PluginSpec> {
    let key = |name: &str, usage| KeyGrant {
        name: name.into(),
        usage,
    };
    Ok(PluginSpec {
        name: format!("jwt-callback:{label}"),
        file: process::plugin("jwt-callback")?,
        digest: None,
        config: json!({ "retry_times": 0, "servers": [{ "url": url, "key": "approver" }] }),
        grants: Grants {
            keys: vec![
                key("callback", KeyUsage::SignJwt),
                key("approver", KeyUsage::Verify),
            ],
            http: vec![url.parse()?],
            ..Grants::default()
        },
        role: Role::default(),
        written: None,
    })
}

async fn rules_only(host: &Host, effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    let chain = Chain::load(host, vec![rules()?], services(KeyRing::default())?).await?;
    let plugin = chain.plugins()[0];
    let task = keysign();
    let ours = async || approve(&chain, &task).await;
    let bare = async || {
        let evaluation = plugin.evaluate(&task, Instant::now() + DEADLINE).await;
        anyhow::ensure!(
            evaluation.verdict.refusal().is_none(),
            "refused: {:?}",
            evaluation.verdict
        );
        Ok(())
    };
    let pair = by_turns(effort.decisions, ours, bare).await?;
    let figures = [
        Figure {
            asks: "p99 <= 100 us",
            met: pair.ours.percentile(99) <= P99,
        },
        Figure {
            asks: "ratio <= 1.2",
            met: pair.ratio() <= RATIO,
        },
    ];
    table.compare("decision on a KeySign, rules only", &pair, &figures);
    previewed(&chain, &task, effort, table).await?;
    let rate = 1.0 / pair.ours.mean().as_secs_f64();
    table.plain("decisions of one thread", &format!("{rate:.0}/s"), &[]);
    Ok(())
}

/// A preflight against a decision.
async fn previewed(
    chain: &Chain,
    task: &Task,
    effort: &Effort,
    table: &mut Table,
) -> anyhow::Result<()> {
    let preview = async || {
        let preview = chain.preview(task, Instant::now() + DEADLINE).await;
        anyhow::ensure!(
            preview.refusal().is_none(),
            "refused: {:?}",
            preview.refusal()
        );
        Ok(())
    };
    let pair = by_turns(effort.decisions, preview, async || {
        approve(chain, task).await
    });
    let pair = pair.await?;
    let figure = Figure {
        asks: "ratio <= 1.2",
        met: pair.ratio() <= RATIO,
    };
    table.compare("preflight against a decision, rules only", &pair, &[figure]);
    Ok(())
}

/// The rules of the cluster that is measured below.
fn rules() -> anyhow::Result<PluginSpec> {
    let entry = |threshold| json!({ "threshold": threshold, "node_ids": MEMBERS });
    rules_with(json!({
        "enable": true,
        "key_gen": { "allow_list": [entry(2), entry(3)] },
        "key_sign": { "reject_all": false },
    }))
}

fn rules_with(config: Value) -> anyhow::Result<PluginSpec> {
    Ok(PluginSpec {
        name: "rules".into(),
        file: process::plugin("rules")?,
        digest: None,
        config,
        grants: Grants {
            state_bytes: 1 << 20,
            ..Grants::default()
        },
        role: Role::default(),
        written: None,
    })
}

/// A transfer of a little to an address.
fn transfer(address: &str) -> Task {
    let destination = Destination {
        address: address.into(),
        asset: String::new(),
        amount: "1".into(),
        memo: None,
        change: false,
    };
    let transaction = Transaction {
        chain: "eip155:1".into(),
        sources: vec![address.into()],
        destinations: vec![destination],
        calls: Vec::new(),
        grants: Vec::new(),
        fee: Some("21000".into()),
        unsigned: vec![2; 100],
    };
    let mut task = keysign();
    if let Operation::Sign(signing) = &mut task.operation {
        signing.payload = "evm-transaction".into();
        signing.intent = Intent::Transaction(transaction);
    }
    task
}

/// A request as a node asks it.
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
    let input = Input {
        path: "m/0/7".into(),
        public_key: vec![7; 32],
        digest: message.clone(),
        tweak: None,
    };
    Task {
        id: "000102030405060708090a0b0c0d0e0f".into(),
        attempt: 1,
        received_at: 1_700_000_000_000,
        requester: Principal {
            id: MEMBERS[0].into(),
            name: "tests".into(),
        },
        coordinator: Principal {
            id: MEMBERS[1].into(),
            name: "127.0.0.1:4433".into(),
        },
        node: MEMBERS[2].into(),
        operation: Operation::Sign(Signing {
            key,
            signers: MEMBERS[..2]
                .iter()
                .map(|member| member.to_string())
                .collect(),
            inputs: vec![input],
            payload: "message".into(),
            blind: false,
            intent: Intent::Message(message),
        }),
        extra: Vec::new(),
        raw: vec![b'x'; 600],
    }
}
