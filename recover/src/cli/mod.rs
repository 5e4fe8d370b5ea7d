//! The command line: arguments, exit codes, and one file for each verb.

mod derive;
mod files;
mod output;
mod recover;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use countersign_cli_kit::ManualCommand;

use output::Output;

const SHORT_HELP: &str = "`--help` shows examples, exit codes and where passwords come from.";
const LONG_HELP: &str = "\
Examples:
  countersign-recover verify alice.json --group-id GROUP
  countersign-recover recover alice.json bob.json --group-id GROUP --paths m/44/60/0/0/0
  countersign-recover recover alice.json bob.json --group-id GROUP --csv-file address.csv
  countersign-recover recover alice.json bob.json --group-id GROUP --show-root-private-key \\
      --password-file alice.password --password-file bob.password
  countersign-recover derive xpub661My... --paths m/44/0/0/0/0,m/44/0/0/0/1 --token BTC
  countersign-recover derive --key-file root.xprv --paths \"m/84'/0'/0'/0/0\" --token BTC

Passwords:
  Typed, one for each file, or read from files of mode 600: --password-file once for each
  recovery file, in the same order. White space around a password does not count.
  Private keys for `derive` are typed, or read with --key-file from a file of mode 600 or
  from stdin (-). Arguments and the environment, which others can read, have neither.

Paths:
  Numbers below 2147483648, with or without m/ in front; several paths are separated by
  commas. A ' or H behind a number means hardened, which only private keys on secp256k1
  can do.

Keys on Ed25519 (cpub, cprv):
  Numbers, not the seeds that wallets import, and written big-endian like all private keys
  here. Children are derived as the programs do that use such keys in wallets.

Exit codes:
  0  done
  1  failed: wrong usage, an unreadable or unsound file, a wrong password, or files that
     do not fit together
  2  the list of addresses is written, but rows whose public key is another than the one
     of their path have no private key

Shells and readers:
  `countersign-recover completions bash` (elvish, fish, powershell, zsh) prints a completion
  script, `countersign-recover man --out DIR` writes man pages.";

/// Rebuild a wallet's private key offline, from the recovery files of enough of its nodes.
///
/// Run it on a machine without a network: whoever sees the result has the wallet. Nothing is sent
/// anywhere, and no private key is shown or written unless you ask for it.
#[derive(Debug, Parser)]
#[command(name = "countersign-recover", version, after_help = SHORT_HELP, after_long_help = LONG_HELP)]
struct Cli {
    /// Print one JSON value on stdout and nothing else there.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check recovery files: wallet, public keys, passwords and shares. One file is
    /// enough; shows no secret.
    Verify(verify::VerifyArgs),
    /// Rebuild the private key from the files of as many nodes as the threshold says, and
    /// derive keys from it.
    Recover(recover::RecoverArgs),
    /// Derive child keys and addresses from an extended key.
    Derive(derive::DeriveArgs),
    #[command(flatten)]
    Manual(ManualCommand),
    /// Print the version.
    Version,
}

/// The outcome of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Everything was done as asked.
    Done,
    /// Rows of an address list have no key.
    Incomplete,
}

/// Parses the arguments of the process, runs, and returns the exit code.
pub fn main() -> ExitCode {
    match countersign_cli_kit::parse_args(1) {
        Ok(cli) => run(cli),
        Err(code) => code,
    }
}

fn run(cli: Cli) -> ExitCode {
    let output = Output::new(cli.json);
    let ended = match cli.command {
        Command::Verify(args) => args.run(output),
        Command::Recover(args) => args.run(output),
        Command::Derive(args) => args.run(output),
        Command::Manual(manual) => manual
            .run::<Cli>()
            .map(|()| Outcome::Done)
            .map_err(Into::into),
        Command::Version => output.version(),
    };
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => ExitCode::from(2),
        Err(error) => output.error(&error),
    }
}
