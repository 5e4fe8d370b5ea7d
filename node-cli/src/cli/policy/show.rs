//! `policy show`: what is in a bundle, with the texts of its configurations.

use std::path::PathBuf;

use super::bundle_file;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node policy show treasury-2.bundle

Says by which keys it is signed; whose they are, and whether they are enough, says `policy take`. Components are shown by their SHA-256; \
`countersign-node plugin check` describes one.";

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The bundle.
    bundle: PathBuf,
}

impl Show {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        bundle_file::show_whole(&bundle_file::read(&self.bundle)?);
        Ok(())
    }
}
