//! `policy sign`: a publisher's signature of a bundle, in a file of its own.

use std::path::{Path, PathBuf};

use anyhow::Context;
use countersign_host::BundleSignature;

use super::bundle_file;
use crate::cli::plugin::read_seed;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node policy sign treasury-2.bundle --key publisher.key

Read what it prints before you pass the signature on: you sign the entries with their digests, scopes and grants. \
`plugin keygen` makes a key; operators list its public half under policy.bundles.publishers.";

#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The bundle.
    bundle: PathBuf,
    /// The private key that `plugin keygen` generated.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Sign {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let bundle = bundle_file::read(&self.bundle)?;
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
        bundle_file::show(&bundle);
        println!("Signed as {}", hex::encode(signature.key));
        println!("  signature {}", beside.display());
        Ok(())
    }
}

/// The file of a signature: that of the bundle, the beginning of the key, and `.sig`.
fn beside(bundle: &Path, signature: &BundleSignature) -> PathBuf {
    let key = hex::encode(&signature.key[..4]);
    PathBuf::from(format!("{}.{key}.sig", bundle.display()))
}
