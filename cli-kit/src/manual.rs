//! Completion scripts for shells, and man pages, from a program's own definition of its arguments.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory, Subcommand};
use clap_complete::Shell;

use crate::ClosedOutput;

/// The commands with which a program describes itself to shells and readers.
#[derive(Debug, Subcommand)]
pub enum ManualCommand {
    /// Print the completion script for a shell.
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write man pages: one for the program and one for each of its commands.
    #[command(hide = true)]
    Man(ManArgs),
}

/// A shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that will read the script.
    shell: Shell,
}

/// A place for man pages.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory; created if it does not exist. Pages of the same names are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// There is no script, or there are no pages.
#[derive(Debug, thiserror::Error)]
pub enum ManualError {
    /// The script could not be printed.
    #[error(transparent)]
    Closed(#[from] ClosedOutput),
    /// The pages could not be written.
    #[error("{path}: {reason}; name a directory that you may write to")]
    Out {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
}

impl ManualCommand {
    /// Prints the script, or writes the pages, of the program with these arguments.
    pub fn run<A: CommandFactory>(&self) -> Result<(), ManualError> {
        match self {
            Self::Completions(CompletionsArgs { shell }) => {
                let mut stdout = std::io::stdout().lock();
                let printed = stdout.write_all(&script(A::command(), *shell));
                let printed = printed.and_then(|()| stdout.flush());
                Ok(printed.map_err(ClosedOutput::from)?)
            }
            Self::Man(ManArgs { out }) => {
                pages(A::command(), out).map_err(|reason| ManualError::Out {
                    path: out.clone(),
                    reason,
                })
            }
        }
    }
}

fn script(mut command: Command, shell: Shell) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

fn pages(command: Command, out: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(out)?;
    clap_mangen::generate_to(command, out)
}

#[cfg(test)]
mod tests {
    use clap::{Parser, ValueEnum};

    use super::*;

    /// A program.
    #[derive(Debug, Parser)]
    #[command(name = "tool", version)]
    struct Tool {
        #[command(subcommand)]
        command: Verb,
    }

    #[derive(Debug, Subcommand)]
    enum Verb {
        /// Digs a hole.
        Dig {
            /// In metres.
            #[arg(long)]
            depth: u8,
        },
        #[command(flatten)]
        Manual(ManualCommand),
    }

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(Tool::command(), *shell)).unwrap();
            assert!(script.contains("dig"), "{shell}:\n{script}");
            assert!(script.contains("depth"), "{shell}:\n{script}");
        }
    }

    #[test]
    fn there_is_a_page_for_the_program_and_one_for_each_command() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deep/man");
        pages(Tool::command(), &out).unwrap();
        let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
        assert!(read("tool.1").contains("Digs a hole"));
        assert!(read("tool-dig.1").contains("In metres"));
    }

    #[test]
    fn commands_about_the_manual_itself_are_not_in_the_help() {
        let help = Tool::command().render_help().to_string();
        assert!(
            help.contains("dig") && !help.contains("completions"),
            "{help}"
        );
        let parsed = Tool::try_parse_from(["tool", "man", "--out", "x"]).unwrap();
        assert!(matches!(
            parsed.command,
            Verb::Manual(ManualCommand::Man(_))
        ));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let man = ManualCommand::Man(ManArgs { out: file.clone() });
        let error = man.run::<Tool>().unwrap_err().to_string();
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
        assert!(error.ends_with("name a directory that you may write to"));
    }
}
