//! Signatures checked by the `openssl` program: another implementation in another process.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::process;

/// SubjectPublicKeyInfo of an Ed25519 key, without the key (RFC 8410).
const ED25519_SPKI: &str = "302a300506032b6570032100";
/// SubjectPublicKeyInfo of a compressed secp256k1 key, without the key (RFC 5480).
const SECP256K1_SPKI: &str = "3036301006072a8648ce3d020106052b8104000a032200";

/// Verifies Ed25519 (RFC 8032) over a message.
pub fn verify_ed25519(
    scratch: &Path,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> anyhow::Result<()> {
    verify(
        scratch,
        ED25519_SPKI,
        public_key,
        message,
        signature,
        &["-rawin"],
    )
}

/// Verifies ECDSA over a 32-byte digest; the signature is r, s.
pub fn verify_ecdsa(
    scratch: &Path,
    public_key: &[u8],
    digest: &[u8],
    signature: &[u8],
) -> anyhow::Result<()> {
    verify(
        scratch,
        SECP256K1_SPKI,
        public_key,
        digest,
        &der(signature)?,
        &[],
    )
}

fn verify(
    scratch: &Path,
    spki: &str,
    key: &[u8],
    data: &[u8],
    signature: &[u8],
    options: &[&str],
) -> anyhow::Result<()> {
    let write = |name: &str, bytes: &[u8]| {
        let path = scratch.join(name);
        std::fs::write(&path, bytes).map(|()| path)
    };
    let key = write("openssl.key", &[hex::decode(spki)?, key.to_vec()].concat())?;
    let data = write("openssl.data", data)?;
    let signature = write("openssl.sig", signature)?;
    let mut command = Command::new("openssl");
    command
        .args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER"])
        .args(options);
    command
        .arg("-inkey")
        .arg(key)
        .arg("-in")
        .arg(data)
        .arg("-sigfile")
        .arg(signature);
    let printed = process::expect_success(&mut command).context("install openssl")?;
    if !printed.contains("Signature Verified Successfully") {
        bail!("openssl says: {printed}");
    }
    Ok(())
}

/// ECDSA-Sig-Value (RFC 3279) of r, s.
fn der(signature: &[u8]) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(signature.len() == 64, "an ECDSA signature has 64 bytes");
    let integer = |bytes: &[u8]| {
        let first = bytes
            .iter()
            .position(|byte| *byte != 0)
            .unwrap_or(bytes.len() - 1);
        let mut value = bytes[first..].to_vec();
        if value[0] >= 0x80 {
            value.insert(0, 0);
        }
        [vec![2, value.len() as u8], value].concat()
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    Ok([vec![0x30, body.len() as u8], body].concat())
}
