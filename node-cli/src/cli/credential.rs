//! `init --credential`: gives the passphrase of a new store to systemd, which encrypts it for this
//! machine and decrypts it for the service.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use countersign_store::Passphrase;

use super::passphrase::CREDENTIAL;

/// The place in which the unit of the package expects it.
pub(super) const FILE: &str = "/etc/credstore.encrypted/countersign-passphrase";

/// Fails if a new store may not put its passphrase there.
pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        bail!(
            "{} is there already, and may be needed by another store; move it away if it is not, and run the command again",
            file.display()
        );
    }
    Ok(())
}

/// Encrypts the passphrase for this machine.
pub(super) fn keep(passphrase: &Passphrase, file: &Path) -> anyhow::Result<()> {
    if !passphrase.is_long_enough() {
        bail!(
            "the passphrase has fewer than {} characters; choose a longer one",
            Passphrase::MIN_CHARS
        );
    }
    if let Some(folder) = file.parent() {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.with_context(|| format!("cannot make {}; run this as root", folder.display()))?;
    }
    let mut encrypting = Command::new("systemd-creds")
        .arg("encrypt")
        .arg(format!("--name={CREDENTIAL}"))
        .arg("-")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("systemd-creds cannot be started; leave out --credential, and use db.key_file")?;
    let mut pipe = encrypting.stdin.take();
    let handed = pipe
        .as_mut()
        .map(|pipe| passphrase.hand_to(pipe))
        .transpose();
    drop(pipe);
    let done = encrypting
        .wait_with_output()
        .context("systemd-creds was lost; run the command again")?;
    if !done.status.success() || handed.is_err() {
        bail!(
            "systemd-creds cannot write {}: {}; run this as root, or leave out --credential",
            file.display(),
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    println!(
        "Passphrase encrypted for this machine alone: {}. Keep a copy of it in another place.",
        file.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn a_credential_that_is_there_stays_and_a_short_passphrase_gets_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("store/passphrase");
        check(&file).unwrap();
        let short = Passphrase::new(Zeroizing::new("fifteen letters".into()));
        let refused = keep(&short, &file).unwrap_err().to_string();
        assert!(refused.contains("choose a longer one"), "{refused}");
        assert!(!file.exists());
        std::fs::create_dir(dir.path().join("store")).unwrap();
        std::fs::write(&file, "another's").unwrap();
        let refused = check(&file).unwrap_err().to_string();
        assert!(refused.contains("move it away"), "{refused}");
    }
}
