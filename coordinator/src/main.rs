//! `countersign-coordinator`: parses the command line, calls the library, and turns
//! errors into exit codes.

#[macro_use(println, eprintln)]
extern crate countersign_stdio;

mod invite;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use countersign_cli_kit::{ManualCommand, Output, six_words};
use countersign_coordinator::api_key::{self, Scope};
use countersign_coordinator::invitation::JoinedError;
use countersign_coordinator::{Config, Signals, config, identity, metrics, tls};
use countersign_files::CustodyError;
use countersign_log::Log;
use countersign_protocol::NodeId;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Commands that only the long help tells of.
const MANUAL: &str = "\
Shells and readers: `countersign-coordinator completions bash` (elvish, fish, powershell, zsh) prints a
completion script, `countersign-coordinator man --out DIR` writes man pages.";

/// The superuser's id.
const ROOT: u32 = 0;

/// Takes tasks over HTTP, asks co-signer nodes over QUIC, and relays opaque bytes between them.
///
/// The coordinator holds no key share and signs for nobody. Exit codes: 0 done or stopped on
/// request, 1 anything else; the message says what to do.
#[derive(Debug, Parser)]
#[command(name = "countersign-coordinator", version, after_long_help = MANUAL)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a data directory with an identity key and an example configuration, and print
    /// the coordinator's id.
    Init {
        /// The directory; created if it does not exist. An existing identity is never overwritten.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Run until SIGTERM or ctrl-c. SIGHUP reads the configuration again: nodes, requesters, API
    /// keys, limits, the certificate and the log.
    Serve {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Work with API keys.
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Work with the nodes that may connect.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Invite a node or a requester: print a token with which it registers itself, once. A running
    /// coordinator notices within a second.
    Invite(invite::Invite),
    /// Print this coordinator's id, with the six words by which people compare it.
    Id {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration, and the certificate that it names, without running it.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    #[command(flatten)]
    Manual(ManualCommand),
    /// Print the version.
    Version,
}

#[derive(Debug, Subcommand)]
enum ApiKeyCommand {
    /// Create an API key. The key is printed on stdout, once; the entry for
    /// the configuration on stderr.
    New {
        /// Name of the key's owner, for logs.
        name: String,
        /// Permissions of the key.
        #[arg(long, value_parser = scopes(), value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// Add the entry to this configuration. SIGHUP makes a running coordinator read it.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print key and entry as one JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Let a node connect: add it to the configuration. SIGHUP makes a running coordinator read it.
    Add {
        /// The name that requesters use.
        name: String,
        /// The id, which `countersign-node id` prints.
        id: NodeId,
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// The words that name scopes.
fn scopes() -> impl clap::builder::TypedValueParser<Value = Scope> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)).try_map(|word| word.parse::<Scope>())
}

fn main() -> ExitCode {
    countersign_cli_kit::start();
    match countersign_cli_kit::parse_args::<Cli>(1) {
        Ok(cli) => match execute(cli.command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => countersign_cli_kit::fail(&error),
        },
        Err(code) => code,
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { data } => init(&data),
        Command::Serve { config } => serve(&config),
        Command::ApiKey(ApiKeyCommand::New {
            name,
            scope,
            config,
            json,
        }) => new_api_key(&name, scope, config.as_deref(), json),
        Command::Node(NodeCommand::Add { name, id, config }) => add_node(&name, id, &config),
        Command::Invite(invite) => invite.run(),
        Command::Id { config, json } => show_id(&config, json),
        Command::Check { config } => check(&config),
        Command::Manual(manual) => Ok(manual.run::<Cli>()?),
        Command::Version => {
            println!("countersign-coordinator {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    }
}

fn show_id(path: &Path, json: bool) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let (_, id) = identity::load(&config.identity_file())?;
    let words = six_words("coordinator", id.as_bytes());
    let value = serde_json::json!({"kind": "coordinator", "id": id, "words": words});
    Ok(Output::new(json).result(&value, || format!("{id}\n{words}\n"))?)
}

fn check(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    check_joined(&config)?;
    if let Some(files) = &config.tls
        && tls::load(files)?.is_an_issuers()
    {
        eprintln!("note: {}: {}", files.certificate.display(), tls::ISSUERS);
    }
    for note in config.metrics.notes() {
        eprintln!("note: {note}");
    }
    if let Some(pusher) = metrics::pusher(&config)? {
        eprintln!("note: metrics are pushed to {}", pusher.place());
    }
    println!("{} is valid", path.display());
    Ok(())
}

fn init(data: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| {
            format!(
                "cannot create {}; choose a directory that you may write to",
                data.display()
            )
        })?;
    let id = identity::create(&data.join(config::IDENTITY_FILE))?;
    let example = data.join("coordinator.yaml");
    if !example.exists() {
        std::fs::write(&example, config::EXAMPLE)
            .with_context(|| format!("cannot write {}; check the disk", example.display()))?;
    }
    eprintln!(
        "Give the id to the operators of the nodes, and to requesters who sign their requests; add the nodes to {}, or invite them with `countersign-coordinator invite`.",
        example.display()
    );
    println!("{id}");
    Ok(())
}

fn new_api_key(
    name: &str,
    scopes: Vec<Scope>,
    config: Option<&Path>,
    json: bool,
) -> anyhow::Result<()> {
    let (key, entry) = api_key::generate(name, scopes);
    let line = serde_json::to_string(&entry)?;
    if let Some(config) = config {
        add_entry(config, "api_keys", &line)?;
    }
    if json {
        println!(
            "{}",
            serde_json::json!({"key": key.expose(), "entry": entry})
        );
        return Ok(());
    }
    match config {
        Some(config) => eprintln!(
            "Added `{name}` to {}; send the coordinator SIGHUP if it runs.",
            config.display()
        ),
        None => eprintln!(
            "Add this line under `api_keys` in the configuration, then send the coordinator SIGHUP:\n  - {line}"
        ),
    }
    eprintln!("The key is shown only now:");
    println!("{}", key.expose());
    Ok(())
}

fn add_node(name: &str, id: NodeId, config: &Path) -> anyhow::Result<()> {
    let entry = serde_json::json!({"name": name, "id": id}).to_string();
    add_entry(config, "nodes", &entry)?;
    println!(
        "Added `{name}` to {}; send the coordinator SIGHUP if it runs.",
        config.display()
    );
    Ok(())
}

/// Checks that those who joined fit the configuration. Root believes no file of another user, and a
/// package gives the data to a user of its own: then the coordinator checks it when it reads the
/// configuration.
fn check_joined(config: &Config) -> anyhow::Result<()> {
    match config.check_joined() {
        Err(JoinedError::Custody(CustodyError::Foreign {
            owner, me: ROOT, ..
        })) => {
            eprintln!(
                "note: those who joined by invitation are not looked at here, because their list belongs to user {owner}; the coordinator does so when it reads the configuration"
            );
            Ok(())
        }
        checked => Ok(checked?),
    }
}

/// Adds a line to a list of the configuration, which must be valid with it.
fn add_entry(config: &Path, list: &str, entry: &str) -> anyhow::Result<()> {
    let base = config.parent().unwrap_or(Path::new("."));
    let check = |new: &str| -> anyhow::Result<()> { check_joined(&Config::parse(new, base)?) };
    Ok(countersign_cli_kit::add_entry(config, list, entry, check)?)
}

fn serve(path: &Path) -> anyhow::Result<()> {
    countersign_door::take_all_descriptors();
    let config = Config::load(path)?;
    // Kept until the end: it still writes what is queued.
    let log = Arc::new(Log::start(
        &config.log,
        Arc::new(|line| Cow::Borrowed(line)),
    )?);
    if !countersign_system::missing().is_empty() {
        tracing::warn!(
            "this system protects less than Linux does, and no release is tested on it; run a coordinator that others rely on on Linux"
        );
    }
    let runtime =
        tokio::runtime::Runtime::new().context("cannot start threads; raise the process limit")?;
    runtime.block_on(async {
        let signals = Signals {
            shutdown: shutdown()?,
            reload: reload(path.into())?,
            log: Some(log.clone()),
        };
        Ok(countersign_coordinator::run(config, signals).await?)
    })
}

/// Resolves on SIGTERM or ctrl-c. The handlers are in place when this returns.
fn shutdown() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Reads the configuration again at each SIGHUP. Errors are logged and change nothing.
fn reload(path: PathBuf) -> anyhow::Result<mpsc::Receiver<Config>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, configs) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match Config::load(&path) {
                Ok(config) => {
                    if sender.send(config).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "the new configuration is not applied; the present one stays in force");
                }
            }
        }
    });
    Ok(configs)
}
