//! What to sign, as the command line names it: which kind, and where the bytes come from.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use countersign_client::ClientError;
use countersign_protocol::{Payload, PayloadKind};

/// Exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// Sign this text.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Sign the bytes of this file.
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
    /// Sign these bytes.
    #[arg(long, value_name = "HEX")]
    message_hex: Option<String>,
    /// Sign this 32-byte hash blindly; nodes refuse unless their operators allow it for the wallet.
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Sign this unsigned Ethereum transaction, serialised as it is hashed.
    #[arg(long, value_name = "HEX|@FILE")]
    evm_transaction: Option<String>,
    /// Sign this text as an Ethereum personal message (EIP-191, `personal_sign`).
    #[arg(long, value_name = "TEXT")]
    eip191: Option<String>,
    /// Sign the typed data in this JSON file (EIP-712, `eth_signTypedData_v4`).
    #[arg(long, value_name = "FILE")]
    eip712: Option<PathBuf>,
    /// Sign the wallet's inputs of this Bitcoin transaction (PSBT, version 0); it names the paths.
    #[arg(long, value_name = "BASE64|@FILE")]
    psbt: Option<String>,
    /// Sign this message of a Solana transaction; text in hexadecimal, base58 or base64.
    #[arg(long, value_name = "TEXT|@FILE")]
    solana: Option<String>,
    /// Sign many 32-byte digests at once, each by its own child; a JSON file [{"path": "m/0/7", "digest": "HEX"}], with path m.
    /// For a taproot output with scripts add "script_root": "HEX".
    #[arg(long, value_name = "FILE")]
    digests: Option<PathBuf>,
}

impl What {
    /// The payload, within its bounds. `digests` are what the requester expects to be signed.
    pub fn payload(self, digests: Vec<Vec<u8>>) -> Result<Payload, ClientError> {
        let (kind, bytes) = self.read()?;
        let payload = Payload { digests, ..Payload::new(kind, bytes) };
        payload.check().map_err(|error| ClientError::Usage(error.to_string()))?;
        Ok(payload)
    }

    fn read(self) -> Result<(PayloadKind, Vec<u8>), ClientError> {
        Ok(if let Some(text) = self.message {
            (PayloadKind::Message, text.into_bytes())
        } else if let Some(path) = self.message_file {
            (PayloadKind::Message, read(&path)?)
        } else if let Some(hex) = self.message_hex {
            (PayloadKind::Message, from_hex(&hex)?)
        } else if let Some(hex) = self.digest {
            (PayloadKind::Digest, from_hex(&hex)?)
        } else if let Some(given) = self.evm_transaction {
            (PayloadKind::EvmTransaction, bytes(&given, from_hex)?)
        } else if let Some(text) = self.eip191 {
            (PayloadKind::Eip191, text.into_bytes())
        } else if let Some(path) = self.eip712 {
            (PayloadKind::Eip712, read(&path)?)
        } else if let Some(path) = self.digests {
            (PayloadKind::Digests, read(&path)?)
        } else if let Some(given) = self.psbt {
            (PayloadKind::Psbt, bytes(&given, from_base64)?)
        } else {
            (PayloadKind::SolanaMessage, bytes(&self.solana.unwrap_or_default(), from_any)?)
        })
    }
}

/// Two digits for each byte, with or without `0x`.
pub fn from_hex(text: &str) -> Result<Vec<u8>, ClientError> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|error| {
        ClientError::Usage(format!("this is no hexadecimal text ({error}); give two digits for each byte"))
    })
}

fn from_base64(text: &str) -> Result<Vec<u8>, ClientError> {
    BASE64.decode(text).map_err(|error| {
        ClientError::Usage(format!("this is no base64 text ({error}); give it whole, with the = at its end"))
    })
}

/// Hexadecimal, base58 or base64, in this order: a base64 text as long as a message has a character that base58 has not.
fn from_any(text: &str) -> Result<Vec<u8>, ClientError> {
    // Base58 takes quadratic time. A Solana message has at most 1232 bytes.
    let base58 = || (text.len() <= 2048).then(|| bs58::decode(text).into_vec().ok()).flatten();
    let read = from_hex(text).ok().or_else(base58).or_else(|| BASE64.decode(text).ok());
    let advice = "this is neither hexadecimal nor base58 nor base64; give the whole text";
    read.ok_or_else(|| ClientError::Usage(advice.into()))
}

/// The text given, or the contents of `@FILE`: the same text, or the bytes themselves.
fn bytes(given: &str, decode: impl Fn(&str) -> Result<Vec<u8>, ClientError>) -> Result<Vec<u8>, ClientError> {
    let Some(path) = given.strip_prefix('@') else { return decode(given.trim()) };
    let contents = read(Path::new(path))?;
    match std::str::from_utf8(&contents) {
        Ok(text) => decode(text.trim()),
        Err(_) => Ok(contents),
    }
}

/// Reads no more of a file than a payload can have in its longest text form, and a byte, so that a larger one is refused
/// and not loaded.
fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let limit = 2 * Payload::MAX_BYTES as u64 + 16;
    let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| {
        let advice = "name a file that you may read";
        ClientError::File { path: path.into(), reason: error.to_string(), advice }
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_the_way_that_fits() {
        let message: Vec<u8> = (0..=255).collect();
        assert_eq!(from_any(&hex::encode(&message)).unwrap(), message);
        assert_eq!(from_any(&bs58::encode(&message).into_string()).unwrap(), message);
        assert_eq!(from_any(&BASE64.encode(&message)).unwrap(), message);
        assert!(from_any("?").is_err() && from_any(&"z".repeat(3001)).is_err());
    }

    #[test]
    fn a_file_has_the_text_or_the_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("psbt");
        let given = format!("@{}", file.display());
        for contents in [&b"cHNidP8=\n"[..], b"psbt\xff"] {
            std::fs::write(&file, contents).unwrap();
            assert_eq!(bytes(&given, from_base64).unwrap(), b"psbt\xff");
        }
        assert!(matches!(bytes("@/nowhere/at/all", from_base64), Err(ClientError::File { .. })));
    }
}
