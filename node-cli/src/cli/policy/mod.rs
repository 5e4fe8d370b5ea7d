//! `policy`: commands for policy bundles. Each verb has a file of its own.

mod backtest;
mod bundle_file;
mod draft;
mod publish;
mod show;
mod sign;
mod status;
mod take;

use std::process::ExitCode;

use clap::Subcommand;

use super::Args;

/// Exit code if a bundle waits, or would wait.
const WAITS: u8 = 3;

/// The commands below `policy`.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Draft a bundle from the policy of this node. Nobody has signed it yet.
    #[command(after_help = draft::EXAMPLES)]
    Draft(draft::Draft),
    /// Show what is in a bundle, with the texts of its configurations.
    #[command(after_help = show::EXAMPLES)]
    Show(show::Show),
    /// Show a bundle and sign it as a publisher. The signature is written to a file beside it.
    #[command(after_help = sign::EXAMPLES)]
    Sign(sign::Sign),
    /// Put the signatures of publishers into a bundle, so that nodes can take it.
    #[command(after_help = publish::EXAMPLES)]
    Publish(publish::Publish),
    /// Judge a bundle by the recordings of this node, as the node would. Nothing is changed.
    #[command(after_help = backtest::EXAMPLES)]
    Backtest(backtest::Backtest),
    /// Show who signed what, which bundle is in force, and which one waits until when.
    Status(status::Status),
    /// Have the running node take a bundle. What is shown to tighten takes effect at once, anything
    /// else after policy.bundles.delay. A node that is stopped takes only its first bundle, or the
    /// one that it has lost.
    #[command(after_help = take::EXAMPLES)]
    Take(take::Take),
    /// Take back the bundle that waits.
    Withdraw(take::Withdraw),
    /// Return to the bundle before the present one. It is judged, and waits, like any other.
    Rollback(take::Rollback),
}

impl PolicyCommand {
    /// True if the command changes nothing.
    pub(super) fn only_prints(&self) -> bool {
        match self {
            Self::Status(_) | Self::Backtest(_) | Self::Show(_) => true,
            Self::Draft(_)
            | Self::Sign(_)
            | Self::Publish(_)
            | Self::Take(_)
            | Self::Withdraw(_)
            | Self::Rollback(_) => false,
        }
    }

    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        match self {
            Self::Draft(draft) => draft.run(args),
            Self::Show(show) => show.run(),
            Self::Sign(sign) => sign.run(),
            Self::Publish(publish) => publish.run(args),
            Self::Backtest(backtest) => return backtest.run(args),
            Self::Status(status) => status.run(args),
            Self::Take(take) => return take.run(args),
            Self::Withdraw(withdraw) => withdraw.run(args),
            Self::Rollback(rollback) => return rollback.run(args),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}
