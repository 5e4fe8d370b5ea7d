//! `policy publish`: puts the publishers' signatures into a bundle.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use countersign_host::BundleSignature;
use countersign_node::bundle::Bundle;
use countersign_node::bundle::published::signers;
use countersign_node::config::{Bundles, Config};

use super::bundle_file;
use crate::cli::Args;

/// Most bytes of a signature's file.
const SIGNATURE: u64 = 64 << 10;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node policy publish treasury-2.bundle --out treasury-2.signed.bundle

Takes the signatures that are named, or all files beside the bundle that begin with its name and end in .sig. A signature \
of another bundle is an error. With a configuration that has policy.bundles, says who of its publishers has signed.";

#[derive(Debug, clap::Args)]
pub struct Publish {
    /// The bundle. Signatures that are in it stay if they are true.
    bundle: PathBuf,
    /// Signatures by `policy sign`. Default: those beside the bundle.
    signatures: Vec<PathBuf>,
    /// New file for the bundle with its signatures.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Publish {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let bundle = bundle_file::read(&self.bundle)?;
        let files = if self.signatures.is_empty() {
            beside(&self.bundle)?
        } else {
            self.signatures.clone()
        };
        let signatures: Vec<BundleSignature> = files
            .iter()
            .map(|file| read(&bundle, file))
            .collect::<Result<_, _>>()?;
        let bundle = bundle.signed(signatures);
        bundle_file::write(&bundle, &self.out)?;
        bundle_file::show(&bundle);
        for signature in bundle.signatures() {
            println!("  signed by {}", hex::encode(signature.key));
        }
        // Publishers need not run a node.
        if args.config.exists()
            && let Some(settings) = Config::load_own(&args.config)?.policy.bundles
        {
            show_signers(&bundle, &settings);
        }
        println!("Published as {}", self.out.display());
        Ok(())
    }
}

fn show_signers(bundle: &Bundle, settings: &Bundles) {
    let signers = signers(bundle, settings);
    println!(
        "{} of the {} publishers needed by this node have signed it: {}",
        signers.len(),
        settings.needed,
        signers.join(", ")
    );
}

/// Reads a signature, which must be of this bundle.
fn read(bundle: &Bundle, file: &Path) -> anyhow::Result<BundleSignature> {
    let bytes = countersign_files::read(file, SIGNATURE)
        .with_context(|| format!("cannot read {}; correct the path", file.display()))?;
    let signature: BundleSignature = serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{} is not a signature of a bundle; name files that `policy sign` wrote",
            file.display()
        )
    })?;
    if !signature.verifies(bundle.hash().as_bytes()) {
        bail!(
            "{} is not a signature of this bundle; have this one signed",
            file.display()
        );
    }
    Ok(signature)
}

/// The files beside the bundle that begin with its name and end in `.sig`, in the order of names.
fn beside(bundle: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = bundle
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    let mut files = Vec::new();
    let listed = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}; name the signatures", folder.display()))?;
    for found in listed {
        let found = found?;
        let beside = found.file_name().to_string_lossy().into_owned();
        if beside.starts_with(&format!("{name}.")) && beside.ends_with(".sig") {
            files.push(found.path());
        }
    }
    files.sort();
    Ok(files)
}
