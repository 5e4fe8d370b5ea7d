//! The command line: arguments, exit codes, and one file for each noun.

mod address;
mod api_key;
mod approver;
mod audit;
mod collect;
#[cfg(test)]
mod composed;
mod confirm;
mod connect;
mod console;
mod describe;
mod descriptor;
mod drain;
mod event;
mod exit;
mod line;
mod listen;
mod new_profile;
mod node;
mod out;
mod output;
mod payload;
mod preflight;
mod progress;
mod requester;
mod sign;
mod task;
mod time;
mod trust;
mod vote;
mod votes;
mod wallet;
mod watch;
mod webhook;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use countersign_cli_kit::ManualCommand;
use countersign_client::{Client, ClientError, Profile};

use collect::Collecting;
use exit::Exit;
use output::Output;

const AFTER_HELP: &str = "\
Exit codes:
  0  done, and verified
  1  wrong usage, or something here is missing: file, network, permission
  2  refused by a node's policy; with --dry-run: it would be refused
  3  failed, expired or cancelled, or the result does not verify
     (2 and 3 are the coordinator's word: the message says until when the nodes may still
     begin with the order; order nothing in its place before)
  4  pending: not ended within --timeout, and may still end in any way, or ended in a
     state that only a later version knows; or a vote of which nobody knows whether it
     arrived; look with `countersign task show` before you order or vote again
  5  with --dry-run: neither approved nor refused by those that answered
  6  waits for people: too few had approved the order within --timeout; it goes on once they
     have, unless you cancel it

Profile (YAML; paths relative to it):
  coordinator: https://coordinator.example:7480
  coordinator_id: csc1...            # from its operator; needed to sign requests
  coordinator_ca: coordinator.pem    # optional; its certificate or that of its issuer
  requester_key_file: requester.key  # mode 600, from `countersign requester new`
  api_key_file: api.key              # mode 600; optional: without it, requests are signed
  approver_key_file: approver.key    # mode 600; optional: to vote, from `countersign approver new`
  wallet_book: wallets.json          # wallets that this client has verified; keep it
  nodes:                             # your own names, each with the id from the node's operator
    alice: csn1...
  trusted_requesters:                # optional; others whose wallets you use, each with the id
    treasury: csr1...                # from its owner; your own key needs no entry
  webhook_keys: [whpk_...]           # optional; keys of deliveries, from its operator
  approvers: { ann: [csv1...], ben: [csv1...] }
                                     # optional; whose votes count here, from each of them
  passkeys: { rp_id: treasury.example, origins: ['https://console.treasury.example'] }
                                     # optional; pages that may collect votes, as in quorum.yaml
  chains:                            # optional; where transactions do not name their network
    bitcoin: mainnet                 # testnet, testnet4, signet, regtest
    solana: mainnet                  # devnet, testnet

Examples:
  countersign requester new --out requester.key
  countersign wallet create treasury --scheme ecdsa-secp256k1 --threshold 2 --nodes alice,bob,carol
  countersign wallet reshare treasury --nodes alice,bob,dave --threshold 2
  countersign wallet check treasury
  countersign address treasury --path m/44/60/0/0/0,m/44/60/0/0/1
  countersign wallet descriptor treasury --path m/84/0/0
  countersign sign treasury --path m/0/7 --message 'pay 5 to bob'
  countersign sign treasury --path m/44/60/0/0/0 --evm-transaction @unsigned.hex --claim reference=invoice-7
  countersign sign treasury --psbt @payment.psbt --out signed.psbt
  countersign sign treasury --psbt @payment.psbt --out payment.tx --format tx
  countersign sign treasury --path m/0/7 --bitcoin-message 'we own this' --address bc1q...
  countersign sign solana-treasury --solana @transfer.b64 --out signed.tx
  countersign sign treasury --evm-transaction @unsigned.hex --out signed.hex --encoding hex
  countersign sign treasury --path m/0/7 --message 'pay 5 to bob' --dry-run
  countersign sign treasury --psbt @payment.psbt --collect 2 --until 48h
  countersign task vote 0123456789abcdef0123456789abcdef --approve
  countersign task list --state waiting,approving --since 24h
  countersign task watch 0123456789abcdef0123456789abcdef
  countersign webhook put ops --url https://example.com/hook --type task.completed
  countersign webhook listen --forward http://127.0.0.1:3000/hook
  countersign api-key create desk --scope read,create --expires 90d --out desk.key
  countersign audit --limit 200
  countersign audit export --from 90d --node alice.audit --node bob.audit --out quarter.audit
  countersign audit verify quarter.audit --from 90d --to 1d
  countersign connect evm treasury --path m/44/60/0/0/0 --rpc https://rpc.example
  countersign console --origin https://console.treasury.example --listen 0.0.0.0:443 --certificate tls.pem --key tls.key
  bitcoind -signer=\"countersign connect bitcoin treasury\"

Colours appear on terminals; NO_COLOR=1 turns them off. Amounts of a chain's own coin are
shown in the unit people use, with the smallest unit in brackets.

Commands that wait do so until the order has ended or --timeout is over; a task that is
not in time is pending, and may still end.

Times (--since, --until): an age such as 30s, 90m, 24h or 7d; a date such as 2026-07-01, or
2026-07-01T12:00:00Z; or milliseconds since 1970.

--collect N asks for the approvals of N people: each votes with her own key (`countersign
approver new`) and `countersign task vote`, which verifies and shows the whole order first. The
coordinator is to wait for them, and each node decides by its own rules. Who has which key is the
coordinator's word unless `approvers` in the profile says it.

--dry-run asks the nodes through the coordinator what would come of an order. It shows it
the signed task, which lives for a minute: a dishonest coordinator could order it. The
answers promise nothing.

The coordinator's operator gives an API key, or a requester that signs its requests, scopes:
webhooks, API keys and the audit log need `admin` (`webhook listen` only `read`); orders, preflights and
cancelling need `create`.

Shells and readers: `countersign completions bash` (elvish, fish, powershell, zsh) prints a
completion script, `countersign man --out DIR` writes man pages.

Wallets are believed if you ordered them here; others at first sight only by
their id (csk1...), and only if every node that ever held the wallet is under `nodes` and
whoever ordered it is you or under `trusted_requesters`. Anything else is refused until
`countersign wallet trust` has recorded your word. The wallet book keeps what is believed,
and why; names of wallets are looked up there alone. A wallet whose root key or committee
differs from the book is refused, unless enough of the nodes in the book have signed that
they handed it over. No client can know who runs a node: take the ids under
`nodes` and `trusted_requesters` from their owners, never from a coordinator.";

/// Order wallets and signatures from a group of Countersign nodes, and verify what comes back.
///
/// Everything that comes back is verified here: a wallet by the signed acknowledgements of all its
/// nodes, a signature under the child key derived here. Neither the coordinator nor any
/// single node is trusted.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_long_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// The profile; default: countersign/config.yaml in the user's configuration directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON value on stdout and nothing else there; commands that follow something print
    /// one a line.
    #[arg(long, global = true)]
    json: bool,
    /// How long an order is valid and waited for, or a task or events are followed.
    ///
    /// Default: 3600 for a new wallet, a reshare or a task that is followed; 120 for a signature
    /// and 5 for each further one; 120 for a check of shares; without end for events. It bounds
    /// each answer of the coordinator, too. With --collect, the order is valid for this time after
    /// --until, and the default is to wait as long as it is valid.
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a requester key.
    #[command(subcommand)]
    Requester(requester::RequesterCommand),
    /// Make a key to vote with.
    #[command(subcommand)]
    Approver(approver::ApproverCommand),
    /// Make, list and show wallets, move them to other nodes, and have their shares checked.
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
    /// Show the addresses of a wallet's children: EVM and Bitcoin, Taproot, or Solana, as its
    /// scheme signs for them.
    Address(address::AddressArgs),
    /// Sign a message, a transaction or a digest with a wallet.
    ///
    /// Shows what the payload does, as decoded here, before it is sent. Nodes decode it themselves
    /// before they ask their plugins. On stdout: one signature a line, in the order of the
    /// payload's inputs. With --out, also a file that can be broadcast.
    Sign(Box<sign::SignArgs>),
    /// Connect a wallet to tools: Ethereum's, or Bitcoin Core.
    #[command(subcommand)]
    Connect(connect::ConnectCommand),
    /// Serve the pages on which people of this organisation see, vote, and order.
    ///
    /// People sign in with passkeys or API keys of their own, and vote and order with passkeys.
    /// What they see is verified and decoded in their browsers, by this profile and its wallet
    /// book. No key of the profile is read. Runs until it is interrupted.
    Console(Box<console::ConsoleArgs>),
    /// Look at tasks, vote on them, follow them, and cancel them.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Look at nodes.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Look at events, and follow them.
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Configure receivers of events, and try one on this machine.
    #[command(subcommand)]
    Webhook(Box<webhook::WebhookCommand>),
    /// Make, limit, rotate and revoke API keys of the coordinator.
    #[command(subcommand)]
    ApiKey(Box<api_key::ApiKeyCommand>),
    /// List what was changed with API keys, oldest first, as the coordinator reports it: tasks that
    /// were handed in, keys, webhooks. Needs the scope `admin`. With a subcommand: bundles for
    /// auditors.
    Audit(audit::AuditArgs),
    /// Let the coordinator finish the tasks under way and begin no others, before it is stopped for
    /// an update. New tasks wait meanwhile.
    Drain(drain::DrainArgs),
    #[command(flatten)]
    Manual(ManualCommand),
    /// Print the version.
    Version,
}

impl Command {
    /// True for a command whose output has the form of a foreign protocol.
    fn prints_json_itself(&self) -> bool {
        matches!(self, Self::Connect(connect::ConnectCommand::Bitcoin(_)))
    }
}

/// Parses the arguments of the process, runs, and returns the exit code.
pub fn main() -> ExitCode {
    match countersign_cli_kit::parse_args(1) {
        Ok(cli) => run(cli),
        Err(code) => code,
    }
}

fn run(cli: Cli) -> ExitCode {
    let output = Output::new(cli.global.json && !cli.command.prints_json_itself());
    match execute(cli, &output) {
        Ok(exit) => exit.code(),
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(cli: Cli, output: &Output) -> Result<Exit, ClientError> {
    let Cli { global, command } = cli;
    let connected = || connect(&global);
    match command {
        Command::Version => output.version(),
        Command::Manual(command) => command
            .run::<Cli>()
            .map_err(|error| ClientError::Usage(error.to_string())),
        Command::Requester(command) => {
            requester::execute(command, || profile_path(&global), output)
        }
        Command::Approver(command) => approver::execute(command, || profile_path(&global), output),
        Command::Wallet(command) => {
            let collect = command.collecting().map(Collecting::collect).transpose()?;
            let client = connected()?.with_collect(collect.flatten());
            return in_runtime(wallet::execute(command, &client, output));
        }
        Command::Address(args) => in_runtime(address::execute(args, &connected()?, output)),
        Command::Sign(args) => {
            let client = connected()?.with_collect(args.collecting.collect()?);
            return in_runtime(sign::execute(*args, &client, output));
        }
        Command::Connect(connect::ConnectCommand::Evm(args)) => {
            in_runtime(connect::evm(*args, connected()?, *output))
        }
        // Whatever is on stderr first is what Bitcoin Core shows.
        Command::Connect(connect::ConnectCommand::Bitcoin(args)) => {
            connect::bitcoin(*args, || connect(&global))
        }
        Command::Console(args) => {
            let profile = Profile::load(&profile_path(&global)?)?;
            in_runtime(console::execute(*args, profile, *output))
        }
        Command::Task(command) => in_runtime(task::execute(command, &connected()?, output)),
        Command::Drain(args) => {
            return in_runtime(drain::execute(args, &connected()?, output));
        }
        // An auditor has no coordinator to ask.
        Command::Audit(audit::AuditArgs {
            command: Some(audit::AuditCommand::Verify(args)),
            ..
        }) => return audit::verify(&args, &Profile::load(&profile_path(&global)?)?, output),
        Command::Audit(args) => return in_runtime(audit::execute(args, &connected()?, output)),
        Command::Node(command) => in_runtime(node::execute(command, &connected()?, output)),
        Command::Event(command) => in_runtime(event::execute(command, &connected()?, output)),
        Command::ApiKey(command) => in_runtime(api_key::execute(*command, &connected()?, output)),
        Command::Webhook(command) => in_runtime(webhook::execute(*command, &connected()?, output)),
    }
    .map(|()| Exit::Done)
}

fn connect(global: &Global) -> Result<Client, ClientError> {
    let client = Client::new(Profile::load(&profile_path(global)?)?)?;
    Ok(client.with_timeout(global.timeout.map(Duration::from_secs)))
}

fn profile_path(global: &Global) -> Result<PathBuf, ClientError> {
    let no_home =
        || ClientError::Usage("there is no home directory; name the profile with --config".into());
    let path = global.config.clone().or_else(Profile::default_path);
    path.ok_or_else(no_home)
}

fn in_runtime<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime
        .map_err(|error| ClientError::Usage(format!("no runtime ({error}); raise the limits")))?;
    runtime.block_on(work)
}
