//! The command line of an operator. Each verb has a file of its own.

mod audit;
mod backup;
mod bounds;
mod change_password;
mod check;
mod confirm;
mod credential;
mod drain;
mod event;
mod export_share;
mod id;
mod info;
mod init;
mod join;
mod live;
mod migrate;
mod passphrase;
mod plugin;
mod policy;
mod quarantine;
mod restore;
mod roster;
mod rules;
mod sign;
mod start;
mod status;
mod table;
mod task;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use countersign_cli_kit::ManualCommand;
use countersign_node::world::rfc3339 as time;

/// Default path of the configuration file.
const CONFIG: &str = "configs/countersign-node.yaml";

/// Maximum size in bytes of a file that is read for a command.
const MAX_INPUT: u64 = 256 << 20;

/// Commands that only the long help tells of.
const MANUAL: &str = "\
Shells and readers: `countersign-node completions bash` (elvish, fish, powershell, zsh) prints a
completion script, `countersign-node man --out DIR` writes man pages.";

/// A co-signer node: holds key shares, consults your risk control, and takes
/// part in threshold signatures.
///
/// To set up a new node, run `init --join` with the token that the coordinator's operator gave you,
/// compare words with the other operators (`roster confirm`), and run `start`. Without a token,
/// `init` creates the identity, and you write ids (`id`) into the configurations yourselves.
#[derive(Debug, Parser)]
#[command(
    name = "countersign-node",
    version,
    propagate_version = true,
    after_long_help = MANUAL,
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
    /// Create the store of a new node: identity, callback key and primes. Refuses to touch an
    /// existing store, except to join a coordinator.
    Init(init::Init),
    /// Run the node until SIGTERM or Ctrl-C. Exit codes: 0 stopped on request, 70 a part of it
    /// died, 74 its store failed or was moved, 1 anything else; let a supervisor restart it.
    Start,
    /// Show the node's id, with the six words by which people compare it. Needs no passphrase, and
    /// works while the node runs.
    #[command(alias = "fingerprint")]
    Id(id::Id),
    /// Show whether the running node can do its work, what it waits for, its plugins, peers and
    /// last tasks, and when it was last backed up. Exit code 3 if it cannot do its work.
    Status(status::Status),
    /// Finish the tasks under way and take no others, before the node is stopped for an update.
    Drain(drain::Drain),
    /// Show the node's id and callback public key, or its keys. Needs no passphrase, and works
    /// while the node runs.
    Info(info::Info),
    /// Work with the configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manage the roster of other nodes.
    #[command(subcommand)]
    Roster(roster::RosterCommand),
    /// Work with the requesters whose tasks this node considers.
    #[command(subcommand)]
    Requester(roster::RequesterCommand),
    /// Work with plugins, which decide whether this node takes part in a task.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Work with policy bundles: entries of the policy that several publishers sign together.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Check this node's own shares: prove that each is intact, without network. Signs nothing.
    /// Stop the node first.
    Sign(sign::Sign),
    /// Show the log of everything that this node did, and verify that it is intact.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Write a backup of everything that this node needs to continue. Works while the node runs.
    Backup(backup::BackupCommand),
    /// Restore a node from its backup, or prove that it could be done (--drill).
    Restore(restore::Restore),
    /// Write this node's share of a key into a recovery file. Stop the node first.
    ExportShare(export_share::ExportShare),
    /// Put the store under another password. Stop the node first.
    ChangePassword(change_password::ChangePassword),
    /// Rewrite the store after a backup: in the newest format, under a new storage key, for the
    /// recovery recipients that are configured now. Stop the node first.
    Migrate(migrate::Migrate),
    /// Work with peers that have cheated with a key.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Work with reshares of which this node does not know the outcome.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Work with the key that signs events for receivers.
    #[command(subcommand)]
    Event(event::EventCommand),
    #[command(flatten)]
    Manual(ManualCommand),
    /// Show the version of this program.
    Version,
    /// Compile the component on standard input. Only used by the node, which
    /// starts itself with this.
    #[command(hide = true)]
    PluginCompiler,
    /// Generate auxiliary information. Only used by the node, which starts itself with this.
    #[command(hide = true)]
    AuxEngine,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the file, load every plugin, and report errors. Changes nothing.
    Check,
    /// Print a configuration with every key and a comment on each. `init` writes the same one.
    Example,
}

impl Command {
    /// True if the command changes nothing, and may end when its output is closed.
    fn only_prints(&self) -> bool {
        match self {
            Self::Plugin(plugin) => plugin.only_prints(),
            Self::Policy(policy) => policy.only_prints(),
            Self::Roster(roster) => roster.only_prints(),
            Self::Id(_)
            | Self::Info(_)
            | Self::Status(_)
            | Self::Config(_)
            | Self::Audit(_)
            | Self::Manual(_)
            | Self::Version => true,
            Self::Init(_)
            | Self::Requester(_)
            | Self::Start
            | Self::Drain(_)
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

/// Runs the command that was entered.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.command.only_prints() {
        countersign_system::end_on_closed_output();
    }
    match &args.command {
        Command::Init(init) => init.run(&args),
        Command::Start => start::run(&args),
        Command::Id(id) => id.run(&args),
        Command::Status(status) => return status.run(&args),
        Command::Drain(drain) => drain.run(&args),
        Command::Info(info) => info.run(&args),
        Command::Config(ConfigCommand::Check) => check::run(&args),
        Command::Config(ConfigCommand::Example) => {
            print!("{}", countersign_node::config::EXAMPLE);
            Ok(())
        }
        Command::Roster(roster) => roster.run(&args),
        Command::Requester(requester) => requester.run(&args),
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
        Command::Policy(policy) => return policy.run(&args),
        Command::Manual(manual) => Ok(manual.run::<Args>()?),
        Command::Version => {
            println!("countersign-node {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::PluginCompiler => return Ok(countersign_host::compile_main()),
        Command::AuxEngine => return Ok(countersign_node::heavy::aux_main()),
    }
    .map(|()| ExitCode::SUCCESS)
}
