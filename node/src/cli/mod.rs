//! What an operator types. One verb, one file.

mod audit;
mod backup;
mod bounds;
mod change_password;
mod check;
mod event;
mod export_share;
mod info;
mod init;
mod migrate;
mod passphrase;
mod plugin;
mod quarantine;
mod restore;
mod sign;
mod start;
mod table;
mod task;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The configuration file unless one is named.
const CONFIG: &str = "configs/countersign-node.yaml";

/// The largest file that is read for a command, in bytes.
const MAX_INPUT: u64 = 256 << 20;

/// A co-signer node: holds key shares, asks your risk control, and takes part in threshold
/// signatures.
///
/// A new node: `init` makes its identity, its callback key and its first primes; write its id
/// (`info`) into the configurations of the coordinator and the other nodes; then `start`.
#[derive(Debug, Parser)]
#[command(
    name = "countersign-node",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Args {
    /// The configuration file (YAML).
    #[arg(short, long, global = true, default_value = CONFIG)]
    config: PathBuf,
    /// File with the passphrase, mode 600; overrides db.key_file.
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the store of a new node: identity, callback key and primes. Refuses to touch an
    /// existing one.
    Init(init::Init),
    /// Run the node until SIGTERM or Ctrl-C. Exit codes: 0 stopped on request, 70 a part of it
    /// died, 74 its store failed or was moved, 1 anything else; let a supervisor start it again.
    Start,
    /// Show the node's id, its callback public key and its keys. Needs no passphrase and works
    /// while the node runs.
    Info(info::Info),
    /// Work with the configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Work with plugins: what decides whether this node takes part.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Check this node's own shares: prove each, without network. Signs nothing. Stop the node
    /// first.
    Sign(sign::Sign),
    /// Look at the log of everything that this node did, and check that it is whole.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Write a backup of everything that this node needs to go on. Works while the node runs.
    Backup(backup::BackupCommand),
    /// Make a node out of its backup, or prove that it could be done (--drill).
    Restore(restore::Restore),
    /// Write this node's share of a key into a recovery file. Stop the node first.
    ExportShare(export_share::ExportShare),
    /// Put the store under another password. Stop the node first.
    ChangePassword(change_password::ChangePassword),
    /// Write the store anew, after a backup: in the newest format, under a new storage key, to the
    /// recovery recipients that are configured now. Stop the node first.
    Migrate(migrate::Migrate),
    /// Work with peers that have cheated with a key.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Work with reshares whose end this node does not know.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Work with the key that signs what event receivers are told.
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Show the version.
    Version,
    /// Compile the component on standard input. The node starts itself with this; nobody else does.
    #[command(hide = true)]
    PluginCompiler,
    /// Make auxiliary information for the node that starts itself with this; nobody else does.
    #[command(hide = true)]
    AuxEngine,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the file, load every plugin, and say what is wrong. Changes nothing.
    Check,
}

impl Command {
    /// True if it changes nothing, and may end where its output is closed.
    fn only_prints(&self) -> bool {
        match self {
            Self::Plugin(plugin) => plugin.only_prints(),
            Self::Info(_) | Self::Config(_) | Self::Audit(_) | Self::Version => true,
            Self::Init(_)
            | Self::Start
            | Self::Sign(_)
            | Self::Event(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::ExportShare(_)
            | Self::ChangePassword(_)
            | Self::Migrate(_)
            | Self::Quarantine(_)
            | Self::Task(_)
            | Self::PluginCompiler
            | Self::AuxEngine => false,
        }
    }
}

/// Does what was typed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.command.only_prints() {
        crate::harden::end_on_closed_output();
    }
    match &args.command {
        Command::Init(init) => init.run(&args),
        Command::Start => start::run(&args),
        Command::Info(info) => info.run(&args),
        Command::Config(ConfigCommand::Check) => check::run(&args),
        Command::Event(event) => event.run(&args),
        Command::Audit(audit) => audit.run(&args),
        Command::Backup(backup) => backup.run(&args),
        Command::Restore(restore) => restore.run(&args),
        Command::ExportShare(export) => export.run(&args),
        Command::ChangePassword(change) => change.run(&args),
        Command::Migrate(migrate) => migrate.run(&args),
        Command::Quarantine(quarantine) => quarantine.run(&args),
        Command::Sign(sign) => sign.run(&args),
        Command::Task(task) => task.run(&args),
        Command::Plugin(plugin) => return plugin.run(&args),
        Command::Version => {
            println!("countersign-node {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::PluginCompiler => return Ok(countersign_host::compile_main()),
        Command::AuxEngine => return Ok(crate::heavy::aux_main()),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// An instant as people and programs read it (RFC 3339, UTC).
pub(crate) fn time(at: countersign_protocol::UnixMillis) -> String {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000);
    time.ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ms", at.0))
}
