//! `policy take`, `policy withdraw` and `policy rollback`: have the running node move between
//! bundles.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign_cli_kit::times;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::bundle::BundleStatus;
use countersign_node::bundle::first::take_first;
use countersign_node::config::Config;
use countersign_protocol::Hash;
use countersign_store::Journal;

use super::{WAITS, bundle_file, status};
use crate::cli::{Args, init};

/// Interval at which the node is asked how far it is.
const ASK: Duration = Duration::from_millis(250);

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node policy take treasury-2.signed.bundle

The node counts the signatures, refuses versions that are not above the one in force, and judges the bundle by its own \
recordings. The bundle in force can be taken again if its files are damaged. A node that is stopped takes its first \
bundle at once, and in place of one that it has lost the same or a later one. Only time in which the node runs counts as waiting; moving the clock changes nothing.

Exit codes: 0 it is in force; 3 it waits, or is still being judged; 1 error; 2 wrong usage.";

#[derive(Debug, clap::Args)]
pub struct Take {
    /// The bundle, as `policy publish` wrote it.
    bundle: PathBuf,
    /// Seconds to wait for the judgement.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

#[derive(Debug, clap::Args)]
pub struct Withdraw {}

#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// Seconds to wait for the judgement.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

impl Take {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = bundle_file::own(args)?;
        let file = std::path::absolute(&self.bundle)
            .with_context(|| format!("cannot find {}; correct the path", self.bundle.display()))?;
        match answered(&config, &Question::TakeBundle(file.clone()))? {
            Some(_) => follow(&config, bundle_file::read(&file)?.hash(), self.timeout),
            None => {
                init::give_up_root(&config)?;
                let journal = Journal::open(&config.dir)?;
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .enable_all()
                    .build()?;
                let taken = take_first(&config, &journal, &file, times::now());
                let taken = runtime.block_on(taken)?;
                println!("In force from the next start of the node.");
                status::show(&taken);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Withdraw {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = bundle_file::own(args)?;
        let status = ask(&config, &Question::WithdrawBundle)?;
        println!("Withdrawn: it does not take effect.");
        status::show(&status);
        Ok(())
    }
}

impl Rollback {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = bundle_file::own(args)?;
        let asked = ask(&config, &Question::RollBackBundle)?;
        let waiting = asked.schedule.waiting.context("no bundle waits")?;
        follow(&config, waiting.bundle, self.timeout)
    }
}

/// The state after a request to the running node; `None` if none is running.
fn answered(config: &Config, question: &Question) -> anyhow::Result<Option<BundleStatus>> {
    match admin::ask_running(&config.dir, question)? {
        Some(Answer::Bundles(status)) => Ok(Some(*status)),
        Some(_) => bail!("unexpected answer from the node; update it, and restart it"),
        None => Ok(None),
    }
}

fn ask(config: &Config, question: &Question) -> anyhow::Result<BundleStatus> {
    answered(config, question)?.context("no node is running here; start it")
}

/// Waits until the node has judged the bundle and, if it tightens, decides by it.
fn follow(config: &Config, wanted: Hash, timeout: u64) -> anyhow::Result<ExitCode> {
    let deadline = Instant::now() + Duration::from_secs(timeout);
    loop {
        let status = match ask(config, &Question::Bundles) {
            Ok(status) => status,
            // It is busy while it loads the bundle's plugins.
            Err(_) if Instant::now() < deadline => {
                std::thread::sleep(ASK);
                continue;
            }
            Err(error) => return Err(error),
        };
        let in_force = status.schedule.has_in_force(&wanted);
        let waiting = status.schedule.waiting.as_ref();
        let waits = waiting.is_some_and(|waiting| waiting.bundle == wanted);
        let judged = waiting.is_some_and(|waiting| !waiting.reasons().is_empty());
        if in_force && status.taken_up == Some(true) {
            println!("In force.");
            status::show(&status);
            return Ok(ExitCode::SUCCESS);
        }
        if !waits && !in_force {
            bail!("the node has dropped it; `audit show` says why");
        }
        if judged || Instant::now() >= deadline {
            status::show(&status);
            return Ok(ExitCode::from(WAITS));
        }
        std::thread::sleep(ASK);
    }
}
