//! `policy sign`: a publisher's signature of a bundle, in a file of its own.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use countersign_host::BundleSignature;

use super::bundle_file;
use crate::cli::plugin::read_seed;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node policy sign treasury-2.bundle --key publisher.key

Shows the bundle, and signs it once you have typed yes: you sign the entries with their digests, configurations, scopes \
and grants. `plugin keygen` makes a key; operators list its public half under policy.bundles.publishers.";

#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The bundle.
    bundle: PathBuf,
    /// The private key that `plugin keygen` generated.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Sign without asking, for scripts.
    #[arg(long)]
    yes: bool,
}

impl Sign {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let bundle = bundle_file::read(&self.bundle)?;
        bundle_file::show_whole(&bundle);
        if !self.yes && !ask()? {
            println!("\nNothing was signed.");
            return Ok(());
        }
        let seed = read_seed(&self.key)?;
        let signature = BundleSignature::sign(bundle.hash().as_bytes(), &seed);
        let beside = beside(&self.bundle, &signature);
        let mut json = serde_json::to_vec(&signature)?;
        json.push(b'\n');
        countersign_files::replace(&beside, &json).with_context(|| {
            format!(
                "cannot write {}; choose a directory that you can write to",
                beside.display()
            )
        })?;
        println!("\nSigned as {}", hex::encode(signature.key));
        println!("  signature {}", beside.display());
        Ok(())
    }
}

/// Waits for `yes` on the terminal. Anything else is a no.
fn ask() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "there is no terminal to ask; read what is shown here, and sign it with `policy sign --yes`"
        );
    }
    print!("\nSign this bundle? Type yes: ");
    std::io::stdout()
        .flush()
        .context("the question cannot be shown; use --yes")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("the answer cannot be read; use --yes")?;
    Ok(answer.trim() == "yes")
}

/// The file of a signature: that of the bundle, the beginning of the key, and `.sig`.
fn beside(bundle: &Path, signature: &BundleSignature) -> PathBuf {
    let key = hex::encode(&signature.key[..4]);
    PathBuf::from(format!("{}.{key}.sig", bundle.display()))
}
