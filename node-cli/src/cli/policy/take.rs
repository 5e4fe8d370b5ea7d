//! `policy take`, `policy withdraw` and `policy rollback`: have the running node move between
//! bundles.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign_cli_kit::times;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::bundle::BundleStatus;
use countersign_node::bundle::life::take_first;
use countersign_node::config::Config;
use countersign_store::Journal;

use super::{bundle_file, status};
use crate::cli::{Args, init};

/// Exit code if the bundle waits.
const WAITS: u8 = 3;
/// Interval at which the node is asked how far it is.
const ASK: Duration = Duration::from_millis(250);

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node policy take treasury-2.signed.bundle

The node counts the signatures, refuses versions that are not above the one in force, and judges the bundle by its own \
recordings. A node that is stopped takes its first bundle, whose entries are all new, at once. Only time in which the node runs counts as waiting; moving the clock changes nothing.

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
        let config = bundle_file::following(args)?;
        let file = std::path::absolute(&self.bundle)
            .with_context(|| format!("cannot find {}; correct the path", self.bundle.display()))?;
        match answered(&config, &Question::TakeBundle(file.clone()))? {
            Some(asked) => follow(&config, asked, self.timeout),
            None => {
                init::give_up_root(&config)?;
                let journal = Journal::open(&config.dir)?;
                let taken = take_first(&config, &journal, &file, times::now())?;
                println!("In force from the next start of the node.");
                status::show(&taken);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Withdraw {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = bundle_file::following(args)?;
        let status = ask(&config, &Question::WithdrawBundle)?;
        println!("Withdrawn: it does not take effect.");
        status::show(&status);
        Ok(())
    }
}

impl Rollback {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = bundle_file::following(args)?;
        let asked = ask(&config, &Question::RollBackBundle)?;
        follow(&config, asked, self.timeout)
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
fn follow(config: &Config, asked: BundleStatus, timeout: u64) -> anyhow::Result<ExitCode> {
    let wanted = asked.schedule.waiting.map(|waiting| waiting.bundle);
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
        let present = status.schedule.present.as_ref();
        let in_force = present.map(|present| present.bundle);
        let waiting = status.schedule.waiting.as_ref();
        let waits = waiting.map(|waiting| waiting.bundle) == wanted && wanted.is_some();
        let judged = waiting.is_some_and(|waiting| !waiting.reasons().is_empty());
        if in_force == wanted && status.taken_up == Some(true) {
            println!("In force.");
            status::show(&status);
            return Ok(ExitCode::SUCCESS);
        }
        if !waits && in_force != wanted {
            bail!("the node has dropped it; `audit show` says why");
        }
        if judged || Instant::now() >= deadline {
            status::show(&status);
            return Ok(ExitCode::from(WAITS));
        }
        std::thread::sleep(ASK);
    }
}
