//! `policy backtest`: judges a bundle by the recordings of this node, as the node itself would.

use std::path::PathBuf;
use std::process::ExitCode;

use countersign_cli_kit::times;
use countersign_host::Tightening;
use countersign_node::backtest::BacktestResult;
use countersign_node::bundle::judge::words;
use countersign_node::bundle::trial::{self, Trial, Tried};
use countersign_node::bundle::{Bundle, BundleFolder, Judgement, Step};
use countersign_node::config::Config;
use countersign_protocol::UnixMillis;
use countersign_protocol::text::escaped;

use super::bundle_file;
use crate::cli::{Args, init, time};

/// Exit code if the bundle is not shown to tighten.
const MAY_LOOSEN: u8 = 3;
/// A folder of the node for the bundle on trial.
const FOLDER: &str = "bundle-trial";

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
    /// node would, since the bundle in force took effect, and not longer than
    /// policy.bundles.backtest_days.
    #[arg(long, value_name = "TIME", value_parser = times::point)]
    since: Option<UnixMillis>,
}

impl Backtest {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        let config = bundle_file::following(args)?;
        let bundle = bundle_file::read(&self.bundle)?;
        bundle_file::show(&bundle);
        init::give_up_root(&config)?;
        let place = config.dir.join(FOLDER);
        let judged = self.judge(&config, &bundle, &BundleFolder::of(&place));
        // What is left of it is replaced by the next trial.
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
                Ok(ExitCode::from(MAY_LOOSEN))
            }
        }
    }

    fn judge(
        &self,
        config: &Config,
        bundle: &Bundle,
        on_trial: &BundleFolder,
    ) -> anyhow::Result<Judgement> {
        let folder = BundleFolder::of(&config.dir);
        let present = folder.schedule()?.present;
        let since = match (&self.since, &config.policy.bundles) {
            (Some(since), _) => *since,
            (None, Some(settings)) => trial::since(present.as_ref(), settings, times::now()),
            (None, None) => UnixMillis(0),
        };
        println!("  judged by the decisions since {}", time(since));
        on_trial.store(bundle)?;
        let present = present.map(|present| folder.manifest(&present.bundle));
        let trial = Trial {
            policy: config.policy.clone(),
            present: present.transpose()?,
            next: bundle.manifest().clone(),
            entries: on_trial.entries(&config.policy, bundle.manifest())?,
            since,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(trial.run(&config.dir, |tried| show(&tried)))?)
    }
}

fn show(tried: &Tried) {
    match &tried.step {
        Step::New(entry) => println!("{}: new, so it can only refuse more", escaped(entry)),
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
    match result.tightening() {
        Tightening::Proven => {}
        Tightening::NotProven(doubts) => doubts
            .into_iter()
            .for_each(|doubt| println!("  {}", words(doubt))),
    }
}
