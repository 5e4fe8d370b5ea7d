//! `policy backtest`: judges a bundle by the recordings of this node, as the node itself would.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use countersign_cli_kit::times;
use countersign_host::Tightening;
use countersign_node::backtest::BacktestResult;
use countersign_node::bundle::judge::words;
use countersign_node::bundle::trial::{self, Trial, Tried};
use countersign_node::bundle::{Bundle, BundleFolder, Judgement, Step};
use countersign_node::config::Config;
use countersign_protocol::UnixMillis;
use countersign_protocol::text::escaped;

use super::{WAITS, bundle_file};
use crate::cli::{Args, init, time};

/// The most stretches of questions that are judged at once.
const THREADS: usize = 16;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node policy backtest treasury-2.bundle
  countersign-node policy backtest treasury-2.bundle --since 7d

The signatures of the bundle are not looked at. `plugin backtest` lists the single differences of one entry.

Exit codes: 0 it refuses whatever the bundle in force refused; 3 that is not shown, so it would wait; 1 error; \
2 wrong usage.";

#[derive(Debug, clap::Args)]
pub struct Backtest {
    /// The bundle.
    bundle: PathBuf,
    /// Ask about tasks received since then: an age such as 30d or 12h, or a date. Default: as the
    /// node would, for policy.bundles.backtest_days.
    #[arg(long, value_name = "TIME", value_parser = times::point)]
    since: Option<UnixMillis>,
}

impl Backtest {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = bundle_file::following(args)?;
        let settings = config.policy.bundles.as_ref();
        let settings = settings.context("this node follows no policy bundles")?;
        let since = trial::since(settings, times::now());
        let since = self.since.unwrap_or(since);
        let bundle = bundle_file::read(&self.bundle)?;
        bundle_file::show(&bundle);
        init::give_up_root(&config)?;
        println!("  judged by the decisions since {}", time(since));
        // Of its own: another trial may be under way.
        let place = config
            .dir
            .join(format!("bundle-trial-{}", std::process::id()));
        let judged = judge(&config, &bundle, &BundleFolder::of(&place), since);
        // What is left of it only costs disk space.
        drop(std::fs::remove_dir_all(&place));
        match judged? {
            Judgement::Tightens => {
                println!(
                    "It refuses whatever the bundle in force refused, and would take effect at once."
                );
                Ok(ExitCode::SUCCESS)
            }
            Judgement::MayLoosen(reasons) => {
                println!(
                    "NOT SHOWN to refuse whatever the bundle in force refused, so it would wait:"
                );
                for reason in reasons {
                    println!("  {}", escaped(&reason.to_string()));
                }
                Ok(ExitCode::from(WAITS))
            }
        }
    }
}

fn judge(
    config: &Config,
    bundle: &Bundle,
    on_trial: &BundleFolder,
    since: UnixMillis,
) -> anyhow::Result<Judgement> {
    let folder = BundleFolder::of(&config.dir);
    let present = folder.schedule()?.present;
    let present = present.map(|present| folder.manifest(&present.bundle));
    on_trial.admits(&config.policy, bundle)?;
    on_trial.store(bundle)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let trial = Trial {
        policy: config.policy.clone(),
        present: present.transpose()?,
        next: bundle.manifest().clone(),
        entries: on_trial.entries(&config.policy, &bundle.hash())?,
        since,
        parallel: threads.min(THREADS),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(trial.run(&config.dir, |tried| show(&tried)))?)
}

fn show(tried: &Tried) {
    match &tried.step {
        Step::New(entry) => println!("{}: new", escaped(entry)),
        Step::Removed(entry) => println!("{}: removed", escaped(entry)),
        Step::Changed(entry) => println!("{}: changed", escaped(entry)),
    }
    if let Some(result) = &tried.result {
        show_result(result);
    }
}

fn show_result(result: &BacktestResult) {
    let totals = result.totals;
    println!(
        "  {:>7}  asked, of which {} were refused then",
        totals.all(),
        result.refused
    );
    println!("  {:>7}  refused then, approved now", totals.looser);
    println!("  {:>7}  approved then, refused now", totals.tighter);
    println!("  {:>7}  could not be judged", totals.not_judged);
    println!(
        "  {:>7}  by another version of the entry, left out",
        result.by_others
    );
    match result.tightening() {
        Tightening::Proven => {}
        Tightening::NotProven(doubts) => doubts
            .into_iter()
            .for_each(|doubt| println!("  {}", words(doubt))),
    }
}
