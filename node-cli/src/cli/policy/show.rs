//! `policy show`: what is in a bundle, with the texts of its configurations.

use std::path::PathBuf;

use countersign_protocol::text::escaped;

use super::bundle_file;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node policy show treasury-2.bundle

Neither signatures nor keys are looked at: `policy take` counts them. Components are shown by their SHA-256; \
`countersign-node plugin check` describes one.";

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The bundle.
    bundle: PathBuf,
}

impl Show {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let bundle = bundle_file::read(&self.bundle)?;
        bundle_file::show(&bundle);
        for signature in bundle.signatures() {
            println!("  signature by {}", hex::encode(signature.key));
        }
        for entry in &bundle.manifest().entries {
            println!("\nConfiguration of {}", escaped(&entry.name));
            let text = bundle.file(&entry.config).unwrap_or_default();
            for line in String::from_utf8_lossy(text).lines() {
                println!("  {}", escaped(line));
            }
        }
        Ok(())
    }
}
