//! `plugin keygen` and `plugin sign`: the commands of a publisher.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use countersign_host::PluginSignature;
use countersign_node::config::Policy;
use countersign_node::risk;
use zeroize::Zeroizing;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node plugin keygen --out publisher.key
  countersign-node plugin sign limits.wasm --key publisher.key

An operator writes the public key that `keygen` prints under policy.trusted_publishers.";

#[derive(Debug, clap::Args)]
pub struct Keygen {
    /// New file for the private key (mode 600).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The component to sign.
    file: PathBuf,
    /// The private key that `plugin keygen` generated.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Keygen {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed)
            .context("the system gives no random numbers; try again")?;
        let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex::encode(*seed))));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.out);
        let written = file.and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        });
        written.with_context(|| format!("cannot write {}; name a new file", self.out.display()))?;
        println!("Private key: {} (keep it offline)", self.out.display());
        println!("Public key:  {}", hex::encode(public_key(&seed)?));
        Ok(())
    }
}

impl Sign {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let seed = read_seed(&self.key)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let seen = runtime.block_on(async {
            let host = risk::sandbox(&Policy::default(), None)?;
            anyhow::Ok(host.inspect(&self.file).await?)
        })?;
        let signature = PluginSignature::sign(&seen.info.name, &seen.digest, &seed);
        let beside = PathBuf::from(format!("{}.sig", self.file.display()));
        let public = std::fs::Permissions::from_mode(0o644);
        let written = std::fs::write(&beside, signature.to_json());
        written
            .and_then(|()| std::fs::set_permissions(&beside, public))
            .with_context(|| {
                format!(
                    "cannot write {}; choose a directory that you can write to",
                    beside.display()
                )
            })?;
        println!(
            "Signed {} {} as {}",
            seen.info.name,
            seen.info.version,
            hex::encode(public_key(&seed)?)
        );
        println!("  digest     sha256:{}", hex::encode(seen.digest));
        println!("  signature  {}", beside.display());
        Ok(())
    }
}

fn public_key(seed: &[u8; 32]) -> anyhow::Result<Vec<u8>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed)
        .context("the key cannot be used; make another one")?;
    Ok(pair.public_key().as_ref().to_vec())
}

pub(in crate::cli) fn read_seed(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let unreadable = || {
        format!(
            "cannot read {}; make a key with `plugin keygen`",
            path.display()
        )
    };
    let mode = std::fs::metadata(path).with_context(unreadable)?.mode();
    if mode & 0o077 != 0 {
        bail!(
            "others may read {}; run `chmod 600` on it, and make a new key if somebody did",
            path.display()
        );
    }
    let text =
        Zeroizing::new(countersign_files::read_to_string(path, 4096).with_context(unreadable)?);
    let mut seed = Zeroizing::new([0; 32]);
    let malformed = || {
        format!(
            "{} does not hold a key; it must be 64 hexadecimal digits",
            path.display()
        )
    };
    hex::decode_to_slice(text.trim_end(), &mut *seed).with_context(malformed)?;
    Ok(seed)
}
