//! `just demo`: three organisations, one wallet for each scheme, and effective risk control.
//!
//! Everything is real: four daemons and an approval server on loopback, live primes, real links.
//! Each step describes itself and checks its result, and the program exits with 0 only
//! if every step held.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign_client::api::TaskView;
use countersign_client::{ClientError, ReshareOrder, Signature};
use countersign_protocol::{KeyDescriptor, NodeId, Scheme};
use countersign_tests::{Approver, Blueprint, Cluster, Plugins, PrimeSource, Script, openssl};
use countersign_verify::ChildKey;

const PAIRS: [[usize; 2]; 3] = [[0, 1], [0, 2], [1, 2]];

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let screen = Screen::new();
    match demo(&screen).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n  {} {error:#}", screen.paint("31", "FAILED"));
            std::process::ExitCode::FAILURE
        }
    }
}

async fn demo(screen: &Screen) -> anyhow::Result<()> {
    screen.title("Countersign: three nodes, one coordinator, one approval server");
    let approver = Approver::start().await?;
    let cluster = start(screen, &approver).await?;
    let wallets = create_wallets(screen, &cluster).await?;
    sign_with_every_pair(screen, &cluster, &wallets).await?;
    let approvals = approver.seen().len();
    screen.note(&format!(
        "the approval server was asked {approvals} times, each request signed by the node that asked"
    ));
    reject_one(screen, &cluster, &approver, &wallets[1]).await?;
    change_a_rule(screen, &cluster, &wallets[1]).await?;
    renew_shares(screen, &cluster, &wallets[1]).await?;
    stop(screen, cluster).await?;
    screen.title(&format!(
        "Every step held, in {:.0} s",
        screen.started.elapsed().as_secs_f64()
    ));
    Ok(())
}

async fn start(screen: &Screen, approver: &Approver) -> anyhow::Result<Cluster> {
    screen.step(
        "Initialise: identities, callback keys, and 12 Paillier primes of 1536 bits, searched live",
    );
    let plugins = Plugins::RulesAndCallback {
        url: approver.url(),
        public_key: approver.public_key_pem()?,
    };
    let blueprint = Blueprint {
        nodes: 3,
        primes: PrimeSource::Live,
        plugins,
        limits: "{ prime_sets: 1 }".into(),
        ..Blueprint::default()
    };
    let mut cluster = screen
        .busy("searching", Cluster::prepare(blueprint))
        .await?;
    for node in &cluster.nodes {
        let record = countersign_node::public::read(&node.db())?;
        approver.trust(&record.callback_public_key)?;
        screen.line(&format!("{:<6} {}", node.name, node.id));
    }
    screen.step(
        "Start: the nodes dial the coordinator and build tunnels to each other that it cannot read",
    );
    cluster.start_coordinator()?;
    cluster.nodes.iter_mut().try_for_each(|node| node.start())?;
    screen.busy("connecting", cluster.wait_online()).await?;
    screen.done("three nodes online; rules and jwt-callback guard each of them");
    Ok(cluster)
}

async fn create_wallets(screen: &Screen, cluster: &Cluster) -> anyhow::Result<Vec<KeyDescriptor>> {
    screen.step(
        "Create a 2-of-3 wallet for every scheme; ECDSA first makes its committee's auxiliary information",
    );
    let mut wallets = Vec::new();
    for scheme in Scheme::ALL {
        let started = Instant::now();
        let order = cluster.new_wallet(&format!("demo-{scheme}"), scheme, 2)?;
        let live = screen.live(cluster);
        let wallet = cluster
            .client
            .create_wallet(&order, |view| live.show(view))
            .await;
        live.clear();
        let wallet = wallet.with_context(|| format!("making the {scheme} wallet"))?;
        let root = countersign_verify::extended_public_key(
            scheme,
            &wallet.root_public_key,
            wallet.chain_code.as_bytes(),
        )?;
        screen.done(&format!(
            "{scheme:<18} {}…  {:>6.0} ms",
            &root[..20],
            started.elapsed().as_secs_f64() * 1e3
        ));
        wallets.push(wallet);
    }
    Ok(wallets)
}

async fn sign_with_every_pair(
    screen: &Screen,
    cluster: &Cluster,
    wallets: &[KeyDescriptor],
) -> anyhow::Result<()> {
    screen.step(
        "Sign with each pair of nodes; check each signature with a library that does not sign here",
    );
    for wallet in wallets {
        let mut times = Vec::new();
        for (number, pair) in PAIRS.iter().enumerate() {
            let started = Instant::now();
            let message = format!("pay {} to bob", number + 1);
            let order = cluster.order(
                wallet.key,
                &format!("m/0/{number}"),
                message.as_bytes(),
                Some(pair),
            )?;
            let live = screen.live(cluster);
            let signature = cluster.client.sign(&order, |view| live.show(view)).await;
            live.clear();
            let signature = signature.with_context(|| format!("signing with {}", wallet.name))?;
            times.push(format!(
                "{}+{} {:.0} ms",
                short(cluster, pair[0]),
                short(cluster, pair[1]),
                started.elapsed().as_secs_f64() * 1e3
            ));
            check_independently(cluster, &signature)?;
        }
        screen.done(&format!(
            "{:<18} {}   {}",
            wallet.scheme,
            times.join("   "),
            verifier(wallet.scheme)
        ));
    }
    Ok(())
}

fn short(cluster: &Cluster, node: usize) -> &str {
    &cluster.nodes[node].name
}

fn verifier(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::EcdsaSecp256k1 | Scheme::Ed25519 => "by OpenSSL",
        Scheme::Taproot => "BIP-340 by libsecp256k1",
        Scheme::SchnorrSecp256k1 => "RFC 9591 by libsecp256k1",
    }
}

fn check_independently(cluster: &Cluster, made: &Signature) -> anyhow::Result<()> {
    let [signed] = &made.signed.signatures[..] else {
        anyhow::bail!("one signature was ordered")
    };
    let key = &signed.public_key;
    let bytes = &signed.signed_bytes;
    let signature = &signed.signature;
    match made.scheme {
        Scheme::EcdsaSecp256k1 => openssl::verify_ecdsa(cluster.dir(), key, bytes, signature),
        Scheme::Ed25519 => openssl::verify_ed25519(cluster.dir(), key, bytes, signature),
        Scheme::Taproot => verify_bip340(key, bytes, signature),
        Scheme::SchnorrSecp256k1 => Ok(ChildKey::new(made.scheme, key)
            .verify(bytes, signature)
            .map(drop)?),
    }
}

fn verify_bip340(key: &[u8], message: &[u8], signature: &[u8]) -> anyhow::Result<()> {
    let signature =
        secp256k1::schnorr::Signature::from_byte_array(signature.try_into().context("64 bytes")?);
    let key = secp256k1::XOnlyPublicKey::from_byte_array(key.try_into().context("32 bytes")?)?;
    Ok(secp256k1::Secp256k1::verification_only().verify_schnorr(&signature, message, &key)?)
}

async fn reject_one(
    screen: &Screen,
    cluster: &Cluster,
    approver: &Approver,
    wallet: &KeyDescriptor,
) -> anyhow::Result<()> {
    screen.step("The approval server rejects one task");
    approver.script(Script::Reject("amount over the daily limit".into()));
    let refused = cluster
        .client
        .sign(
            &cluster.order(wallet.key, "m/0/9", b"pay 9000 to mallory", Some(&[0, 1]))?,
            |_| {},
        )
        .await;
    approver.script(Script::Approve);
    let said = expect_refusal(refused, "jwt-callback")?;
    anyhow::ensure!(
        said.contains("amount over the daily limit"),
        "the server's reason is missing: {said}"
    );
    screen.done(&said);
    cluster
        .client
        .sign(
            &cluster.order(wallet.key, "m/0/9", b"pay 9 to bob", Some(&[0, 1]))?,
            |_| {},
        )
        .await?;
    screen.done("the next task is approved and signed");
    Ok(())
}

async fn change_a_rule(
    screen: &Screen,
    cluster: &Cluster,
    wallet: &KeyDescriptor,
) -> anyhow::Result<()> {
    screen
        .step("Alice's operator edits rules.yaml while everything runs: key_sign.reject_all: true");
    let alice = &cluster.nodes[0];
    let before = alice.daemon.as_ref().map(|daemon| daemon.id());
    let rules = cluster.permissive_rules();
    std::fs::write(
        alice.rules(),
        rules.replace("reject_all: false", "reject_all: true"),
    )?;
    wait_for_reload(cluster, 1).await?;
    let refused = cluster
        .client
        .sign(
            &cluster.order(wallet.key, "m/0/10", b"pay 10 to bob", Some(&[0, 1]))?,
            |_| {},
        )
        .await;
    screen.done(&expect_refusal(refused, "rules")?);
    std::fs::write(alice.rules(), rules)?;
    wait_for_reload(cluster, 2).await?;
    cluster
        .client
        .sign(
            &cluster.order(wallet.key, "m/0/10", b"pay 10 to bob", Some(&[0, 1]))?,
            |_| {},
        )
        .await?;
    anyhow::ensure!(
        before == alice.daemon.as_ref().map(|daemon| daemon.id()),
        "a process was restarted"
    );
    screen.done("the rule is taken back and the next task is signed; no process was restarted");
    Ok(())
}

async fn renew_shares(
    screen: &Screen,
    cluster: &Cluster,
    wallet: &KeyDescriptor,
) -> anyhow::Result<()> {
    screen.step(
        "Deal new shares of one wallet, which every node's rules must allow: the old ones are destroyed",
    );
    let key = cluster.client.extended_public_key(wallet)?;
    let ids: Vec<String> = wallet
        .committee
        .members()
        .iter()
        .map(NodeId::to_string)
        .collect();
    let rules = format!(
        "{}key_reshare:\n  allow_list:\n    - {{ xpubkey: {key}, new_threshold: 2, new_node_ids: [{}] }}\n",
        cluster.permissive_rules(),
        ids.join(", ")
    );
    let reloads: Vec<usize> = (0..3).map(|node| reloads(cluster, node)).collect();
    cluster
        .nodes
        .iter()
        .try_for_each(|node| std::fs::write(node.rules(), &rules))?;
    for (node, before) in reloads.into_iter().enumerate() {
        wait_for_reload_of(cluster, node, before + 1).await?;
    }
    let order = ReshareOrder::new(wallet.key, wallet.committee.clone(), wallet.threshold);
    let started = Instant::now();
    let live = screen.live(cluster);
    let renewed = cluster.client.reshare(&order, |view| live.show(view)).await;
    live.clear();
    let renewed = renewed.context("dealing new shares")?;
    anyhow::ensure!(
        cluster.client.extended_public_key(&renewed)? == key,
        "the root key changed"
    );
    anyhow::ensure!(
        renewed.public_shares != wallet.public_shares,
        "the shares are the old ones"
    );
    screen.done(&format!(
        "generation {} in {:.0} ms, with the same root key",
        renewed.generation,
        started.elapsed().as_secs_f64() * 1e3
    ));
    let intact = cluster
        .client
        .check_up(wallet.key, None, None, |_| {})
        .await?;
    screen.done(&format!("{} shares prove themselves", intact.intact.len()));
    cluster
        .client
        .sign(
            &cluster.order(wallet.key, "m/0/11", b"pay 11 to bob", None)?,
            |_| {},
        )
        .await?;
    screen.done("the wallet signs with its new shares");
    Ok(())
}

async fn wait_for_reload(cluster: &Cluster, times: usize) -> anyhow::Result<()> {
    wait_for_reload_of(cluster, 0, times).await
}

async fn wait_for_reload_of(cluster: &Cluster, node: usize, times: usize) -> anyhow::Result<()> {
    for _ in 0..100 {
        if reloads(cluster, node) >= times {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!(
        "the changed rules were not noticed:\n{}",
        cluster.nodes[node].log()
    )
}

fn reloads(cluster: &Cluster, node: usize) -> usize {
    cluster.nodes[node]
        .log()
        .matches("plugins reloaded")
        .count()
}

fn expect_refusal(result: Result<Signature, ClientError>, by: &str) -> anyhow::Result<String> {
    match result {
        Err(error @ ClientError::Rejected { .. }) => {
            let ClientError::Rejected {
                node,
                plugin,
                code,
                reason,
                ..
            } = &error
            else {
                unreachable!()
            };
            anyhow::ensure!(
                plugin.as_deref() == Some(by),
                "refused by another plugin: {error}"
            );
            Ok(format!("refused by {node}, plugin {by}: {reason} [{code}]"))
        }
        Err(error) => Err(error).context("expected a refusal"),
        Ok(_) => bail!("signed although {by} should have refused"),
    }
}

async fn stop(screen: &Screen, mut cluster: Cluster) -> anyhow::Result<()> {
    screen.step("Stop everything with SIGTERM and clean up");
    for node in &mut cluster.nodes {
        let status = node.daemon().terminate(Duration::from_secs(30))?;
        anyhow::ensure!(
            status.success(),
            "{} ended with {status}:\n{}",
            node.name,
            node.log()
        );
    }
    let status = cluster
        .coordinator
        .as_mut()
        .context("it runs")?
        .terminate(Duration::from_secs(30))?;
    anyhow::ensure!(status.success(), "the coordinator ended with {status}");
    let dir = cluster.dir().to_path_buf();
    drop(cluster);
    anyhow::ensure!(!dir.exists(), "{} is still there", dir.display());
    screen.done("four processes ended with 0, their folder is gone");
    Ok(())
}

/// Plain text with colours on a terminal, and without them elsewhere.
struct Screen {
    live: bool,
    started: Instant,
    steps: std::cell::Cell<u32>,
}

impl Screen {
    fn new() -> Self {
        Self {
            live: std::io::stdout().is_terminal(),
            started: Instant::now(),
            steps: std::cell::Cell::new(0),
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.live {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.into()
        }
    }

    fn title(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    fn step(&self, text: &str) {
        self.steps.set(self.steps.get() + 1);
        println!(
            "\n{} {text}",
            self.paint("1;34", &format!("{}.", self.steps.get()))
        );
    }

    fn line(&self, text: &str) {
        println!("     {text}");
    }

    fn note(&self, text: &str) {
        println!("     {}", self.paint("2", text));
    }

    fn done(&self, text: &str) {
        println!("   {} {text}", self.paint("32", "✓"));
    }

    /// Shows that work continues, with the seconds that it takes.
    async fn busy<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.redraw("");
                    return done;
                }
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    self.redraw(&format!("     {what}, {:.0} s", started.elapsed().as_secs_f64()));
                }
            }
        }
    }

    fn live<'a>(&'a self, cluster: &'a Cluster) -> Live<'a> {
        Live {
            screen: self,
            cluster,
            started: Instant::now(),
        }
    }

    fn redraw(&self, text: &str) {
        if self.live {
            print!("\r\x1b[2K{text}");
            // A progress line that cannot be shown is not worth stopping for.
            drop(std::io::stdout().flush());
        }
    }
}

/// The progress line of a task.
struct Live<'a> {
    screen: &'a Screen,
    cluster: &'a Cluster,
    started: Instant,
}

impl Live<'_> {
    fn show(&self, view: &TaskView) {
        let name = |id: &NodeId| {
            self.cluster
                .nodes
                .iter()
                .find(|node| node.id == *id)
                .map_or("?", |node| node.name.as_str())
        };
        let parties: Vec<String> = view
            .nodes
            .iter()
            .map(|party| {
                let said = match (&party.progress, &party.decision) {
                    (Some(progress), _) => progress.stage.to_string(),
                    (None, Some(_)) => "approved".into(),
                    (None, None) => "deciding".into(),
                };
                format!("{}: {said}", name(&party.node))
            })
            .collect();
        self.screen.redraw(&format!(
            "     {:>4.1} s  {}",
            self.started.elapsed().as_secs_f64(),
            parties.join("  ")
        ));
    }

    fn clear(&self) {
        self.screen.redraw("");
    }
}
