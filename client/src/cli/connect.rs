//! The commands of `countersign connect`: a wallet behind the tools that people already use.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use countersign_client::connect::bitcoin::{Chain, Signer, words};
use countersign_client::connect::evm::{
    Account, Coins, Endpoint, Gate, GateError, MpcWallet, Notice, Remarks, Settings, Token,
    Upstream,
};
use countersign_client::{Client, ClientError};
use countersign_protocol::DerivationPath;
use countersign_protocol::text::escaped;
use countersign_requester::describe;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::output::Output;
use super::sign::Claims;

/// Size limit of what Bitcoin Core writes to standard input: the longest PSBT, in Base64.
const MAX_STDIN: u64 = 2 * 1024 * 1024;
/// Size limit of a file with a URL.
const MAX_URL: u64 = 4096;

/// Subcommands that connect tools to a wallet.
#[derive(Debug, Subcommand)]
pub enum ConnectCommand {
    /// Serve a wallet to tools of Ethereum: ethers, viem, web3.py, Foundry, Hardhat.
    ///
    /// Listens on loopback for JSON-RPC, like a node with unlocked accounts. Prints the URL to give
    /// to tools; whoever has it can order signatures, which the nodes' policies still decide on.
    /// Methods that read are passed on to the chain's RPC, methods that sign become orders, all
    /// others are refused. --timeout is the lifetime of each order. Runs until it is interrupted.
    Evm(Box<EvmArgs>),
    /// Sign for Bitcoin Core, which starts this program itself (`-signer`).
    ///
    /// For example: bitcoind -signer="countersign --config profile.yaml connect bitcoin treasury".
    /// Prints one JSON value; a failure is {"error": …} there, a line on stderr, and the exit code
    /// for it.
    Bitcoin(Box<BitcoinArgs>),
}

/// Arguments of `countersign connect evm`.
#[derive(Debug, Args)]
pub struct EvmArgs {
    /// Id (csk1…) of a wallet of ecdsa-secp256k1, or its name in the wallet book.
    wallet: String,
    /// The children that are accounts, such as m/44/60/0/0/0.
    #[arg(
        long = "path",
        value_delimiter = ',',
        required = true,
        value_name = "PATH,PATH"
    )]
    paths: Vec<DerivationPath>,
    /// URL of the chain's RPC, to read from and to send to.
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "rpc_file",
        conflicts_with = "rpc_file"
    )]
    rpc: Option<String>,
    /// File with that URL, if it contains a secret.
    #[arg(long, value_name = "FILE")]
    rpc_file: Option<PathBuf>,
    /// The chain that the RPC must serve; default: the one that it serves at the start.
    #[arg(long, value_name = "N")]
    chain_id: Option<u64>,
    /// Address to listen on; loopback only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8546")]
    listen: SocketAddr,
    /// File of mode 600 with the token in the endpoint's URL, made if there is none; default: a
    /// new token at each start.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A page that may use the endpoint, by its origin, such as `https://app.example`; may be
    /// given several times. Without it no page in a browser may.
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// The most that one transaction may pay for its gas, in the chain's coin.
    #[arg(long, value_name = "AMOUNT", default_value = "0.1")]
    max_fee: Coins,
    /// How long a request waits before it is answered as pending; the order goes on.
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// A remark that the nodes' plugins and operators see with each order.
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    claims: Claims,
}

/// Arguments of `countersign connect bitcoin`, in the form in which Core gives them.
#[derive(Debug, Args)]
pub struct BitcoinArgs {
    /// Id (csk1…) of a wallet of ecdsa-secp256k1 or taproot, or its name in the wallet book.
    wallet: String,
    /// Fingerprint of the wallet's root key, as `enumerate` prints it; another one is refused.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Core's name of the chain (main, test, testnet4, signet, regtest), which must be the
    /// profile's.
    #[arg(long)]
    chain: Option<Chain>,
    /// Read the command from standard input.
    #[arg(long)]
    stdin: bool,
    #[command(subcommand)]
    command: Option<BitcoinCommand>,
}

/// The commands that Bitcoin Core gives.
#[derive(Debug, Subcommand)]
pub enum BitcoinCommand {
    /// List the wallet as a signer.
    Enumerate,
    /// Print the descriptors of an account, which Core imports.
    Getdescriptors {
        /// Number of the account.
        #[arg(long, default_value = "0")]
        account: u32,
    },
    /// Print the address of a descriptor, derived here.
    Displayaddress {
        /// A descriptor of one key.
        #[arg(long)]
        desc: String,
    },
    /// Have a PSBT signed; a transaction that only this wallet signs is complete then.
    Signtx {
        /// Base64.
        psbt: String,
    },
}

/// A command on standard input.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: BitcoinCommand,
}

/// Serves until it is interrupted.
pub async fn evm(args: EvmArgs, client: Client, output: Output) -> Result<(), ClientError> {
    let listener = listen(args.listen).await?;
    let (gate, url) = gate(&args, &listener)?;
    let upstream =
        Upstream::new(&rpc(&args)?).map_err(|error| ClientError::Usage(error.to_string()))?;
    let host = upstream.host().to_owned();
    let wallet = client.find_wallet(&args.wallet).await?;
    let accounts = args
        .paths
        .iter()
        .map(|path| Account::of(&wallet, path.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let remarks = Remarks {
        note: args.note,
        claims: args.claims.by_name()?,
    };
    let settings = Settings {
        chain_id: args.chain_id,
        max_fee: args.max_fee,
        wait: Duration::from_secs(args.wait),
    };
    let signer = MpcWallet::new(client, wallet.key, remarks);
    let tell = move |notice: &Notice<'_>| told(notice, output);
    let endpoint = Endpoint::new(signer, accounts.clone(), upstream, settings, tell).await?;
    let interrupted = interruption()?;
    announce(&url, &accounts, (endpoint.chain_id(), &host), output)?;
    let endpoint = Arc::new(endpoint);
    endpoint.clone().serve(listener, gate, interrupted).await;
    for line in endpoint.under_way() {
        output.note(line);
    }
    Ok(())
}

/// Does what Bitcoin Core asks for. Errors are JSON too.
pub fn bitcoin(
    args: BitcoinArgs,
    client: impl FnOnce() -> Result<Client, ClientError>,
) -> Result<(), ClientError> {
    let output = Output::new(true);
    let done = client().and_then(|client| super::in_runtime(carry_out(args, &client)));
    match done {
        Ok(result) => output.result(&result, &[]),
        Err(error) => {
            let mut told = json!({"error": error.to_string(), "code": error.code()});
            if let Some(task) = error.task() {
                told["task"] = json!(task);
            }
            output.result(&told, &[])?;
            Err(error)
        }
    }
}

async fn carry_out(args: BitcoinArgs, client: &Client) -> Result<Value, ClientError> {
    let command = match (args.command, args.stdin) {
        (Some(command), _) => command,
        (None, true) => read_command()?,
        (None, false) => {
            let advice = "give a command of Bitcoin Core's external signers, such as enumerate; --help lists them";
            return Err(ClientError::Usage(advice.into()));
        }
    };
    let wallet = client.find_wallet(&args.wallet).await?;
    let signer = Signer::new(client, wallet)?;
    signer.check(args.fingerprint.as_deref(), args.chain)?;
    Ok(match command {
        BitcoinCommand::Enumerate => json!([{
            "fingerprint": signer.fingerprint(), "type": "countersign", "model": "countersign", "label": signer.name(),
        }]),
        BitcoinCommand::Getdescriptors { account } => {
            let told = signer.descriptors(account)?;
            json!({"receive": told.receive, "internal": told.internal})
        }
        BitcoinCommand::Displayaddress { desc } => json!({"address": signer.address(&desc)?}),
        BitcoinCommand::Signtx { psbt } => {
            let signed = signer.sign(client, &psbt).await?;
            json!({"psbt": signed.psbt, "complete": signed.complete})
        }
    })
}

fn read_command() -> Result<BitcoinCommand, ClientError> {
    let mut text = String::new();
    let read = std::io::stdin()
        .take(MAX_STDIN + 1)
        .read_to_string(&mut text);
    let unread = |why: &str| {
        ClientError::Usage(format!(
            "standard input has no command ({why}); write one there, such as signtx and a PSBT"
        ))
    };
    read.map_err(|error| unread(&error.to_string()))?;
    if text.len() as u64 > MAX_STDIN {
        return Err(unread("it is longer than 2 MiB"));
    }
    let line = Line::try_parse_from(words(&text));
    Ok(line
        .map_err(|_| unread("it is none of those in --help"))?
        .command)
}

fn rpc(args: &EvmArgs) -> Result<String, ClientError> {
    match (&args.rpc, &args.rpc_file) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(path)) => {
            countersign_files::read_to_string(path, MAX_URL).map_err(|error| ClientError::File {
                path: path.clone(),
                reason: error.to_string(),
                advice: "write the URL of the chain's RPC there",
            })
        }
        (None, None) => Err(ClientError::Usage("give the chain's RPC with --rpc".into())),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ClientError> {
    // The gate refuses it too, but then it would have been open for a moment.
    if !address.ip().to_canonical().is_loopback() {
        return Err(GateError::Listen(address).into());
    }
    TcpListener::bind(address).await.map_err(|error| {
        ClientError::Usage(format!(
            "cannot listen on {address} ({error}); name another address with --listen"
        ))
    })
}

/// The gate of a listener, and the URL that leads through it. A token that is kept in a file is not
/// shown.
fn gate(args: &EvmArgs, listener: &TcpListener) -> Result<(Gate, String), ClientError> {
    let address = listener.local_addr().map_err(|error| {
        ClientError::Usage(format!(
            "no address to listen on ({error}); name another one"
        ))
    })?;
    let (token, url) = match &args.token_file {
        Some(path) => (Token::of_file(path)?, format!("http://{address}/<token>")),
        None => {
            let token = Token::random();
            let url = format!("http://{address}/{}", token.expose());
            (token, url)
        }
    };
    Ok((Gate::new(address, token, args.origins.clone())?, url))
}

/// Ends at SIGINT or SIGTERM.
pub(super) fn interruption() -> Result<impl Future<Output = ()>, ClientError> {
    let watch = |kind| {
        signal(kind)
            .map_err(|error| ClientError::Usage(format!("no signals ({error}); run it on Linux")))
    };
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    })
}

fn announce(
    url: &str,
    accounts: &[Account],
    (chain, host): (u64, &str),
    output: Output,
) -> Result<(), ClientError> {
    output.note(format!(
        "Chain {chain} by {host}. Whoever has this URL can order signatures; give it to tools alone:"
    ));
    let addresses: Vec<&str> = accounts
        .iter()
        .map(|account| account.text.as_str())
        .collect();
    output.result(
        &json!({"url": url, "chain_id": chain, "accounts": addresses}),
        &[url.into()],
    )?;
    for account in accounts {
        output.note(format!("  {} {}", account.text, account.path));
    }
    Ok(())
}

/// Shows what tools ask for, and what became of it.
fn told(notice: &Notice<'_>, output: Output) {
    match notice {
        Notice::Asked {
            method,
            account,
            payload,
            decoded,
        } => {
            output.note(format!("{method} by {}:", account.text));
            for line in describe::lines(payload, decoded) {
                output.note(format!("  {line}"));
            }
        }
        Notice::Ordered(task) => output.note(format!("  task {task}")),
        Notice::Signed { method } => output.note(format!("{method}: signed")),
        Notice::Sent { hash } => output.note(format!("sent {hash}")),
        Notice::Ended { method, error } => {
            output.note(format!("{method}: {}", escaped(&error.to_string())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Whole {
        #[command(flatten)]
        args: BitcoinArgs,
    }

    fn core(words: &str) -> BitcoinArgs {
        let words = std::iter::once("countersign").chain(words.split(' '));
        Whole::try_parse_from(words).unwrap().args
    }

    /// The calls of Bitcoin Core, src/external_signer.cpp, behind `… connect bitcoin hot`.
    #[test]
    fn every_call_of_bitcoin_core_is_understood() {
        let args = core("hot enumerate");
        assert!(matches!(args.command, Some(BitcoinCommand::Enumerate)));
        let args = core("hot --fingerprint bd16bee5 --chain main getdescriptors --account 3");
        assert!(matches!(
            args.command,
            Some(BitcoinCommand::Getdescriptors { account: 3 })
        ));
        assert_eq!(
            (args.fingerprint.as_deref(), args.chain),
            (Some("bd16bee5"), Some(Chain::Main))
        );
        let args = core("hot --fingerprint bd16bee5 --chain regtest displayaddress --desc wpkh(x)");
        assert!(
            matches!(args.command, Some(BitcoinCommand::Displayaddress { desc }) if desc == "wpkh(x)")
        );
        let args = core("hot --stdin --fingerprint bd16bee5 --chain test");
        assert!(args.stdin && args.command.is_none());
        let line = Line::try_parse_from(words("signtx \"cHNidA==\"")).unwrap();
        assert!(matches!(line.command, BitcoinCommand::Signtx { psbt } if psbt == "cHNidA=="));
        for wrong in ["", "help", "signtx", "enumerate more", "--help"] {
            assert!(Line::try_parse_from(words(wrong)).is_err(), "{wrong}");
        }
    }
}
