//! A coordinator and its nodes as real processes in a folder of their own, with a client
//! that orders from them.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use countersign_client::api::{Api, TaskView};
use countersign_client::requester_key::RequesterKey;
use countersign_client::{Client, NewWallet, Profile, SignOrder};
use countersign_node::vault::Vault;
use countersign_protocol::{
    Committee, KeyDescriptor, KeyId, NodeId, Operation, Payload, PayloadKind, RequesterId, Scheme,
    SignedTask, Task, TaskId, Threshold, UnixMillis,
};
use countersign_store::Passphrase;
use tempfile::TempDir;

use crate::fixtures;
use crate::process::{self, Daemon, Streams};
use crate::release::Release;

/// The passphrase of every test node.
const PASSPHRASE: &str = "a passphrase for tests only";
/// Time for a node to come online.
const ONLINE: Duration = Duration::from_secs(60);

/// Names of nodes.
pub const NAMES: [&str; 9] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan",
];

/// The source of a node's Paillier primes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrimeSource {
    /// None: ECDSA is not used.
    None,
    /// One set of the fixtures.
    Fixture,
    /// This many sets of the fixtures, for nodes that are members of several committees.
    Fixtures(usize),
    /// `init` searches, as for a user.
    Live,
}

/// The nodes' `policy` section, below `policy:`, indented by two.
#[derive(Clone)]
pub enum Plugins {
    /// No plugin; `allow_unguarded`.
    Unguarded,
    /// `rules` from a file that allows every committee of these nodes.
    Rules,
    /// `rules` and `jwt-callback`, which asks this URL.
    RulesAndCallback {
        /// URL of the approval server.
        url: String,
        /// Its public key.
        public_key: String,
    },
    /// The text as given.
    Text(String),
}

/// The specification of a cluster.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Clone)]
pub struct Blueprint {
    pub nodes: usize,
    pub primes: PrimeSource,
    pub plugins: Plugins,
    /// Their `limits` section in flow style, such as `{ ready_seconds: 2 }`.
    pub limits: String,
    /// Standard streams of nodes and coordinator.
    pub streams: Streams,
    /// The programs that make and first run nodes and coordinator.
    pub release: Release,
}

impl Default for Blueprint {
    fn default() -> Self {
        Self {
            nodes: 3,
            primes: PrimeSource::None,
            plugins: Plugins::Rules,
            limits: "{ prime_sets: 0 }".into(),
            streams: Streams::Log,
            release: Release::Today,
        }
    }
}

/// A running cluster. Everything ends and is removed when it is dropped.
pub struct Cluster {
    /// The nodes, in the order of their numbers.
    pub nodes: Vec<Node>,
    /// The client of the cluster's requester.
    pub client: Client,
    /// The coordinator's process; `None` while it is stopped, or when the test runs one of its own.
    pub coordinator: Option<Daemon>,
    /// The programs from which the coordinator is started next.
    pub release: Release,
    /// The specification it was made from.
    pub blueprint: Blueprint,
    coordinator_id: String,
    http: SocketAddr,
    quic: SocketAddr,
    requester: RequesterId,
    dir: TempDir,
}

/// A node of a cluster.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Node {
    pub id: NodeId,
    /// Its name on the others' rosters.
    pub name: String,
    pub dir: PathBuf,
    /// Its process; `None` while it is stopped.
    pub daemon: Option<Daemon>,
    pub streams: Streams,
    /// The programs from which it is started next.
    pub release: Release,
}

impl Node {
    /// Path of its configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.join("node.yaml")
    }

    /// Path of its rules file.
    pub fn rules(&self) -> PathBuf {
        self.dir.join("rules.yaml")
    }

    /// Path of its folder of secrets.
    pub fn db(&self) -> PathBuf {
        self.dir.join("db")
    }

    /// A command of the node's program on this node.
    pub fn command(&self, verb: &str) -> anyhow::Result<Command> {
        node_command(&self.release, &self.dir, verb)
    }

    /// Starts the daemon, which must be stopped.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.daemon = Some(self.launch()?);
        Ok(())
    }

    /// Starts the daemon for the caller to keep.
    pub fn launch(&self) -> anyhow::Result<Daemon> {
        Daemon::start_with(
            &mut self.command("start")?,
            &self.dir.join("log"),
            self.streams,
        )
    }

    /// The daemon, which must have been started.
    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the node was started")
    }

    /// The daemon's output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

fn node_command(release: &Release, dir: &Path, verb: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(release.program("countersign-node")?);
    command
        .arg(verb)
        .arg("--config")
        .arg(dir.join("node.yaml"))
        .arg("--key-file")
        .arg(dir.join("passphrase"));
    Ok(command)
}

impl Cluster {
    /// Initialises everything, starts it, and waits until all nodes are online.
    pub async fn start(blueprint: Blueprint) -> anyhow::Result<Self> {
        let mut cluster = Self::prepare(blueprint).await?;
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// Starts a prepared cluster, and waits until all nodes are online.
    pub async fn start_all(&mut self) -> anyhow::Result<()> {
        self.start_coordinator()?;
        for node in &mut self.nodes {
            node.start()?;
        }
        self.wait_online().await
    }

    /// Initialises everything and starts nothing.
    pub async fn prepare(blueprint: Blueprint) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("countersign-").tempdir()?;
        let (http, quic) = free_ports()?;
        let coordinator_dir = dir.path().join("coordinator");
        let mut init = Command::new(blueprint.release.program("countersign-coordinator")?);
        let printed =
            process::expect_success(init.arg("init").arg("--data").arg(&coordinator_dir))?;
        let coordinator_id = printed.trim().to_owned();
        let requester = RequesterKey::create(&dir.path().join("requester.key"))?.id();
        let nodes = init_nodes(dir.path(), &blueprint, &coordinator_id, quic).await?;
        let entry = make_api_key(&blueprint.release, dir.path())?;
        let client = make_client(dir.path(), http, &nodes)?;
        let cluster = Self {
            nodes,
            client,
            coordinator: None,
            release: blueprint.release.clone(),
            blueprint,
            coordinator_id,
            http,
            quic,
            requester,
            dir,
        };
        cluster.write_coordinator_config(&coordinator_dir, &entry)?;
        for index in 0..cluster.nodes.len() {
            cluster.write_node_config(index, &cluster.blueprint.plugins)?;
        }
        Ok(cluster)
    }

    /// The cluster of an earlier release whose folder is in `tests/fixtures/<version>`, at free
    /// addresses. Nothing is started.
    pub fn of_fixture(version: &str) -> anyhow::Result<Self> {
        let dir = fixtures::folder(version)?;
        let (http, quic) = free_ports()?;
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path));
        let addressed = |path: &str| {
            let text = read(path)?.replace("@HTTP@", &http.to_string());
            std::fs::write(
                dir.path().join(path),
                text.replace("@QUIC@", &quic.to_string()),
            )
        };
        addressed("profile.yaml")?;
        addressed("coordinator/coordinator.yaml")?;
        let client = Client::new(Profile::load(&dir.path().join("profile.yaml"))?)?;
        let mut nodes = Vec::new();
        for (name, id) in &client.profile().nodes {
            addressed(&format!("{name}/node.yaml"))?;
            nodes.push(Node {
                id: *id,
                name: name.clone(),
                dir: dir.path().join(name),
                daemon: None,
                streams: Streams::Log,
                release: Release::Today,
            });
        }
        Ok(Self {
            nodes,
            client,
            coordinator: None,
            release: Release::Today,
            blueprint: Blueprint::default(),
            coordinator_id: read("coordinator/id")?.trim().into(),
            http,
            quic,
            requester: RequesterKey::load(&dir.path().join("requester.key"))?.id(),
            dir,
        })
    }

    /// Path of the cluster's folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Address of the coordinator's API.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Address of the coordinator's QUIC socket.
    pub fn quic(&self) -> SocketAddr {
        self.quic
    }

    /// The id in the coordinator's identity file.
    pub fn coordinator_id(&self) -> &str {
        &self.coordinator_id
    }

    /// Path of the coordinator's configuration file.
    pub fn coordinator_config(&self) -> PathBuf {
        self.dir.path().join("coordinator/coordinator.yaml")
    }

    /// The profile of the cluster's requester.
    pub fn profile(&self) -> PathBuf {
        self.dir.path().join("profile.yaml")
    }

    /// Starts the coordinator's process.
    pub fn start_coordinator(&mut self) -> anyhow::Result<()> {
        let mut serve = Command::new(self.release.program("countersign-coordinator")?);
        serve
            .arg("serve")
            .arg("--config")
            .arg(self.coordinator_config());
        let log = self.dir.path().join("coordinator/log");
        self.coordinator = Some(Daemon::start_with(
            &mut serve,
            &log,
            self.blueprint.streams,
        )?);
        Ok(())
    }

    /// Replaces the coordinator by a new one, as in `docs/recovery.md`: another identity, an empty
    /// store, and the nodes' files changed. Starts everything.
    pub async fn replace_coordinator(&mut self) -> anyhow::Result<()> {
        self.coordinator = None;
        for node in &mut self.nodes {
            node.daemon().terminate(Duration::from_secs(30))?;
            node.daemon = None;
        }
        let folder = self.dir.path().join("coordinator");
        std::fs::remove_dir_all(&folder)?;
        let mut init = Command::new(self.release.program("countersign-coordinator")?);
        self.coordinator_id = process::expect_success(init.arg("init").arg("--data").arg(&folder))?
            .trim()
            .into();
        let entry = make_api_key(&self.release, self.dir.path())?;
        self.write_coordinator_config(&folder, &entry)?;
        for index in 0..self.nodes.len() {
            self.write_node_config(index, &self.blueprint.plugins)?;
        }
        self.client = Client::new(Profile::load(&self.profile())?)?;
        self.start_all().await
    }

    /// Waits until every started node is online.
    pub async fn wait_online(&self) -> anyhow::Result<()> {
        let wanted = self
            .nodes
            .iter()
            .filter(|node| node.daemon.is_some())
            .count();
        let deadline = Instant::now() + ONLINE;
        while Instant::now() < deadline {
            let online = self
                .client
                .nodes()
                .await
                .map_or(0, |nodes| nodes.iter().filter(|node| node.online).count());
            if online == wanted {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let logs: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("--- {}\n{}", node.name, node.log()))
            .collect();
        bail!(
            "the nodes are not online:\n{}\n--- coordinator\n{}",
            logs.join("\n"),
            self.coordinator_log()
        )
    }

    /// The coordinator's output so far.
    pub fn coordinator_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("coordinator/log")).unwrap_or_default()
    }

    /// The ids of these nodes.
    pub fn ids(&self, indices: &[usize]) -> Vec<NodeId> {
        indices.iter().map(|index| self.nodes[*index].id).collect()
    }

    /// An order for a wallet of all nodes.
    pub fn new_wallet(
        &self,
        name: &str,
        scheme: Scheme,
        threshold: u16,
    ) -> anyhow::Result<NewWallet> {
        Ok(NewWallet {
            name: name.into(),
            scheme,
            committee: Committee::new(self.nodes.iter().map(|node| node.id).collect())?,
            threshold: Threshold::try_from(threshold)?,
            note: None,
            claims: BTreeMap::new(),
        })
    }

    /// Makes a wallet of all nodes.
    pub async fn create_wallet(
        &self,
        name: &str,
        scheme: Scheme,
        threshold: u16,
    ) -> anyhow::Result<KeyDescriptor> {
        let wallet = self
            .client
            .create_wallet(&self.new_wallet(name, scheme, threshold)?, |_| {})
            .await;
        wallet.with_context(|| self.logs())
    }

    /// All logs, for the message of a failed test.
    pub fn logs(&self) -> String {
        let nodes = self
            .nodes
            .iter()
            .map(|node| format!("--- {}\n{}", node.name, node.log()));
        nodes
            .chain([format!("--- coordinator\n{}", self.coordinator_log())])
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Writes a node's configuration, with all others on its roster.
    pub fn write_node_config(&self, index: usize, plugins: &Plugins) -> anyhow::Result<()> {
        let node = &self.nodes[index];
        let others = self.nodes.iter().filter(|other| other.id != node.id);
        let roster: String = others
            .map(|other| format!("  - {{ name: {}, id: {} }}\n", other.name, other.id))
            .collect();
        std::fs::write(node.rules(), self.permissive_rules())?;
        let text = format!(
            "db: {{ path: db/secrets.redb.age }}\ncoordinator: {{ address: '{}', id: {} }}\nrequesters:\n  - {{ name: tests, id: {} }}\n\
             roster:\n{roster}limits: {}\npolicy:\n{}\nlog: {{ std: {{ level: info }} }}\n",
            self.quic,
            self.coordinator_id,
            self.requester,
            self.blueprint.limits,
            policy_text(plugins)?,
        );
        let pem = match plugins {
            Plugins::RulesAndCallback { public_key, .. } => public_key,
            _ => "",
        };
        std::fs::write(node.dir.join("approver.pem"), pem)?;
        Ok(std::fs::write(node.config(), text)?)
    }

    /// Rules that allow a KeyGen of all nodes with any threshold, and every KeySign.
    pub fn permissive_rules(&self) -> String {
        let ids: Vec<String> = self.nodes.iter().map(|node| node.id.to_string()).collect();
        let entries = (2..=self.nodes.len()).map(|threshold| {
            format!(
                "    - {{ threshold: {threshold}, node_ids: [{}] }}\n",
                ids.join(", ")
            )
        });
        format!(
            "enable: true\nkey_gen:\n  allow_list:\n{}key_sign:\n  reject_all: false\n",
            entries.collect::<String>()
        )
    }

    /// An order to sign a message.
    pub fn order(
        &self,
        wallet: KeyId,
        path: &str,
        message: &[u8],
        signers: Option<&[usize]>,
    ) -> anyhow::Result<SignOrder> {
        let payload = Payload::new(PayloadKind::Message, message.to_vec());
        let signers = signers.map(|indices| self.ids(indices));
        Ok(SignOrder {
            signers,
            ..SignOrder::new(wallet, path.parse()?, payload)
        })
    }

    /// Submits an operation unchecked by the client, and waits for its end.
    pub async fn submit(&self, operation: Operation) -> anyhow::Result<TaskView> {
        self.hand_in(&self.sign_order(operation)?).await
    }

    /// An order of the cluster's requester, made now and valid for a minute.
    pub fn sign_order(&self, operation: Operation) -> anyhow::Result<SignedTask> {
        let requester = RequesterKey::load(&self.dir.path().join("requester.key"))?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_millis() as u64;
        Ok(requester.sign(&Task {
            version: 1,
            id: TaskId(rand::random()),
            created: UnixMillis(now),
            not_after: UnixMillis(now + 60_000),
            requester: requester.id(),
            note: None,
            claims: BTreeMap::new(),
            collect: None,
            operation,
        }))
    }

    /// Submits an order and waits for its end.
    pub async fn hand_in(&self, order: &SignedTask) -> anyhow::Result<TaskView> {
        let key = std::fs::read_to_string(self.dir.path().join("api.key"))?;
        let api = Api::new(&format!("http://{}", self.http), key.into())?;
        let task = api.submit(order).await?;
        Ok(self.client.wait(task.summary.id, |_| {}).await?)
    }

    fn write_coordinator_config(&self, dir: &Path, api_key: &str) -> anyhow::Result<()> {
        let entry = |node: &Node| format!("  - {{ name: {}, id: {} }}\n", node.name, node.id);
        let nodes: String = self.nodes.iter().map(entry).collect();
        // An earlier release knows no such key.
        let webhooks = match &self.release {
            Release::Today => "webhook_networks: [loopback]\n",
            Release::Earlier(_) => "",
        };
        let text = format!(
            "listen_quic: {}\nlisten_http: {}\ndata: .\n{webhooks}nodes:\n{nodes}api_keys:\n  - {api_key}\n",
            self.quic, self.http
        );
        Ok(std::fs::write(dir.join("coordinator.yaml"), text)?)
    }
}

/// Writes the key into the client's file and returns the coordinator's entry for it.
fn make_api_key(release: &Release, dir: &Path) -> anyhow::Result<String> {
    let mut new_key = Command::new(release.program("countersign-coordinator")?);
    // An earlier release knows no votes.
    let scopes = match release {
        Release::Today => "read,vote,create,admin",
        Release::Earlier(_) => "read,create,admin",
    };
    new_key.args(["api-key", "new", "tests", "--scope", scopes, "--json"]);
    let made: serde_json::Value = serde_json::from_str(&process::expect_success(&mut new_key)?)?;
    write_private(&dir.join("api.key"), made["key"].as_str().context("a key")?)?;
    Ok(made["entry"].to_string())
}

/// Initialises all nodes at once.
async fn init_nodes(
    dir: &Path,
    blueprint: &Blueprint,
    coordinator: &str,
    quic: SocketAddr,
) -> anyhow::Result<Vec<Node>> {
    let mut inits = tokio::task::JoinSet::new();
    for (index, name) in NAMES.iter().enumerate().take(blueprint.nodes) {
        let dir = dir.join(name);
        let coordinator = coordinator.to_owned();
        let primes = blueprint.primes;
        let release = blueprint.release.clone();
        inits.spawn_blocking(move || init_node_of(release, index, dir, &coordinator, quic, primes));
    }
    let mut nodes = inits
        .join_all()
        .await
        .into_iter()
        .collect::<anyhow::Result<Vec<Node>>>()?;
    nodes
        .iter_mut()
        .for_each(|node| node.streams = blueprint.streams);
    nodes.sort_by_key(|node| NAMES.iter().position(|name| *name == node.name));
    Ok(nodes)
}

/// Creates the folder, passphrase, configuration and store of a node that knows nobody yet.
pub fn init_node(
    index: usize,
    dir: PathBuf,
    coordinator: &str,
    quic: SocketAddr,
    primes: PrimeSource,
) -> anyhow::Result<Node> {
    init_node_of(Release::Today, index, dir, coordinator, quic, primes)
}

fn init_node_of(
    release: Release,
    index: usize,
    dir: PathBuf,
    coordinator: &str,
    quic: SocketAddr,
    primes: PrimeSource,
) -> anyhow::Result<Node> {
    std::fs::create_dir_all(&dir)?;
    write_private(&dir.join("passphrase"), PASSPHRASE)?;
    let text = format!(
        "coordinator: {{ address: '{quic}', id: {coordinator} }}\npolicy: {{ allow_unguarded: true }}\n"
    );
    std::fs::write(dir.join("node.yaml"), text)?;
    let mut init = node_command(&release, &dir, "init")?;
    if primes != PrimeSource::Live {
        init.arg("--no-primes");
    }
    let printed = process::expect_success(&mut init)?;
    std::fs::write(dir.join("init.log"), &printed)?;
    let id = printed
        .lines()
        .find_map(|line| line.split_once("Node ID: "))
        .context("init prints the node's id")?
        .1;
    let sets = match primes {
        PrimeSource::Fixture => 1,
        PrimeSource::Fixtures(sets) => sets,
        PrimeSource::None | PrimeSource::Live => 0,
    };
    if sets > 0 {
        let vault = Vault::open(
            &dir.join("db"),
            &Passphrase::from_file(&dir.join("passphrase"))?,
            &[],
        )?;
        for set in 0..sets {
            // No two nodes ever take the same: moduli with a common factor are refused.
            let taken = index * sets + set;
            fixtures::primes(taken)?
                .iter()
                .try_for_each(|prime| vault.put_prime(prime))?;
        }
    }
    Ok(Node {
        id: id.trim().parse()?,
        name: NAMES[index].into(),
        dir,
        daemon: None,
        streams: Streams::Log,
        release,
    })
}

fn make_client(dir: &Path, http: SocketAddr, nodes: &[Node]) -> anyhow::Result<Client> {
    let names: String = nodes
        .iter()
        .map(|node| format!("  {}: {}\n", node.name, node.id))
        .collect();
    let text = format!(
        "coordinator: http://{http}\napi_key_file: api.key\nrequester_key_file: requester.key\nwallet_book: wallets.json\nnodes:\n{names}"
    );
    std::fs::write(dir.join("profile.yaml"), text)?;
    Ok(Client::new(Profile::load(&dir.join("profile.yaml"))?)?)
}

fn policy_text(plugins: &Plugins) -> anyhow::Result<String> {
    let rules = format!(
        "    - {{ name: rules, file: '{}', config_file: rules.yaml, grants: {{ state_bytes: 1048576 }} }}",
        process::plugin("rules")?.display()
    );
    Ok(match plugins {
        Plugins::Unguarded => "  allow_unguarded: true".into(),
        Plugins::Rules => format!("  plugins:\n{rules}"),
        Plugins::RulesAndCallback { url, .. } => format!(
            "  deadline_seconds: 20\n  public_keys: {{ approver: approver.pem }}\n  plugins:\n{rules}\n    - name: jwt-callback\n      file: '{}'\n      \
             config: {{ retry_times: 1, sleep_seconds: 1, request_timeout: 2, servers: [ {{ url: '{url}', key: approver }} ] }}\n      \
             grants: {{ keys: [callback, approver], http: ['{url}'] }}",
            process::plugin("jwt-callback")?.display()
        ),
        Plugins::Text(text) => text.clone(),
    })
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o600),
    )?)
}

/// A TCP and a UDP port of loopback that are free now.
fn free_ports() -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let http = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let quic = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    Ok((http, quic))
}
