//! `plugin`: commands for operators and authors of plugins. Each verb has a file of its own.

mod backtest;
mod check;
mod install;
mod list;
mod new;
mod publish;
mod replay;
mod rollback;
mod run;
mod shadow;
mod target;
mod task_file;
mod trial;

use std::process::ExitCode;

use clap::Subcommand;

use super::Args;
pub(super) use publish::read_seed;

/// The commands below `plugin`.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Create a plugin: a small project that builds with one command, in
    /// Rust, JavaScript or Python.
    #[command(after_help = new::EXAMPLES)]
    New(new::New),
    /// List the state of the configured plugins, and the installed ones.
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// Load a plugin as `start` would, and describe it.
    #[command(after_help = check::EXAMPLES)]
    Check(check::Check),
    /// Put a component into policy.plugin_dir. A running node takes it up within a second.
    #[command(after_help = install::EXAMPLES)]
    Install(install::Install),
    /// Put the release before the installed one in force again. A running node takes it
    /// up within a second.
    #[command(after_help = rollback::EXAMPLES)]
    Rollback(rollback::Rollback),
    /// Ask a plugin about a task and explain its verdict. Nothing is signed, remembered
    /// or, without --network, sent.
    #[command(after_help = run::EXAMPLES)]
    Run(run::Run),
    /// Ask the plugins again what they decided about a task, with the answers they received then.
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayTask),
    /// Ask a new version of a plugin, or one with another configuration, every recorded question of
    /// a time, and list each difference. Nothing is signed, remembered or sent.
    #[command(after_help = backtest::EXAMPLES)]
    Backtest(backtest::Backtest),
    /// List the decisions with which shadow plugins disagreed.
    Shadow(shadow::ShadowReport),
    /// Generate the key with which you sign the plugins that you publish.
    Keygen(publish::Keygen),
    /// Sign a component as its publisher. The signature is written to a file beside it, with .sig
    /// added to the name.
    #[command(after_help = publish::EXAMPLES)]
    Sign(publish::Sign),
}

impl PluginCommand {
    /// True if the command changes nothing.
    pub(super) fn only_prints(&self) -> bool {
        match self {
            Self::List(_)
            | Self::Check(_)
            | Self::Run(_)
            | Self::Replay(_)
            | Self::Backtest(_)
            | Self::Shadow(_) => true,
            Self::New(_)
            | Self::Install(_)
            | Self::Rollback(_)
            | Self::Keygen(_)
            | Self::Sign(_) => false,
        }
    }

    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        match self {
            Self::New(new) => new.run(),
            Self::List(list) => list.run(args),
            Self::Check(check) => check.run(args),
            Self::Install(install) => install.run(args),
            Self::Rollback(rollback) => rollback.run(args),
            Self::Run(run) => return run.run(args),
            Self::Replay(replay) => return replay.run(args),
            Self::Backtest(backtest) => return backtest.run(args),
            Self::Shadow(shadow) => shadow.run(args),
            Self::Keygen(keygen) => keygen.run(),
            Self::Sign(sign) => sign.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}
