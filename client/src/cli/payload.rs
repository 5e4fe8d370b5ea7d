//! The payload to sign, as named on the command line: its kind, and the source of its bytes.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use countersign_client::ClientError;
use countersign_payload::{FormError, read_psbt, read_solana};
use countersign_protocol::{Payload, PayloadKind};
use serde_json::json;

/// The sources of a payload, of which exactly one is given.
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
    /// Sign these bytes as an Ethereum personal message, as wallets do for
    /// `personal_sign` of 0x…
    #[arg(long, value_name = "HEX")]
    eip191_hex: Option<String>,
    /// Sign this authorisation of EIP-7702 (05 and the RLP of chain id, address, nonce), which
    /// hands the account to a contract.
    #[arg(long, value_name = "HEX|@FILE")]
    eip7702: Option<String>,
    /// Sign the typed data in this JSON file (EIP-712, `eth_signTypedData_v4`).
    #[arg(long, value_name = "FILE")]
    eip712: Option<PathBuf>,
    /// Sign the wallet's inputs of this Bitcoin transaction (PSBT, version 0 or 2; Base64,
    /// hexadecimal or bytes); it names the paths.
    #[arg(long, value_name = "TEXT|@FILE")]
    psbt: Option<String>,
    /// Sign this text for a Bitcoin address (BIP-322): give the address with --address, or
    /// a PSBT with --to-sign.
    #[arg(long, value_name = "TEXT")]
    bitcoin_message: Option<String>,
    /// Sign this message of a Solana transaction, or a transaction without signatures; hexadecimal,
    /// Base58, Base64 or bytes.
    #[arg(long, value_name = "TEXT|@FILE")]
    solana: Option<String>,
    /// Sign many 32-byte digests at once, each by its own child; a JSON file [{"path": "m/0/7",
    /// "digest": "HEX"}], with path m. For a taproot output with scripts add "script_root": "HEX".
    #[arg(long, value_name = "FILE")]
    digests: Option<PathBuf>,
}

/// Options for Bitcoin messages.
#[derive(Debug, Args)]
pub struct Saying {
    /// With --bitcoin-message: the address that says it, one of the child at --path.
    #[arg(
        long,
        requires = "bitcoin_message",
        conflicts_with = "to_sign",
        value_name = "ADDRESS"
    )]
    address: Option<String>,
    /// With --bitcoin-message: the PSBT of the transaction that is signed, for proofs
    /// of funds and scripts.
    #[arg(long, requires = "bitcoin_message", value_name = "TEXT|@FILE")]
    to_sign: Option<String>,
}

impl What {
    /// Builds the payload, within its bounds. `digests` are those that the requester
    /// expects to be signed.
    pub fn payload(self, saying: Saying, digests: Vec<Vec<u8>>) -> Result<Payload, ClientError> {
        let (kind, bytes) = self.read(saying)?;
        let payload = Payload {
            digests,
            ..Payload::new(kind, bytes)
        };
        payload
            .check()
            .map_err(|error| ClientError::Usage(error.to_string()))?;
        Ok(payload)
    }

    fn read(self, saying: Saying) -> Result<(PayloadKind, Vec<u8>), ClientError> {
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
            (PayloadKind::Eip191, personal_text(text)?)
        } else if let Some(hex) = self.eip191_hex {
            (PayloadKind::Eip191, from_hex(&hex)?)
        } else if let Some(given) = self.eip7702 {
            (PayloadKind::Eip7702, bytes(&given, from_hex)?)
        } else if let Some(path) = self.eip712 {
            (PayloadKind::Eip712, read(&path)?)
        } else if let Some(path) = self.digests {
            (PayloadKind::Digests, read(&path)?)
        } else if let Some(given) = self.psbt {
            (PayloadKind::Psbt, form(&given, read_psbt)?)
        } else if let Some(text) = self.bitcoin_message {
            (PayloadKind::BitcoinMessage, saying.document(text)?)
        } else if let Some(given) = self.solana {
            (PayloadKind::SolanaMessage, form(&given, read_solana)?)
        } else {
            let advice = "say what to sign, e.g. --message TEXT; --help lists all kinds";
            return Err(ClientError::Usage(advice.into()));
        })
    }
}

/// Decodes two digits for each byte, with or without `0x`.
pub fn from_hex(text: &str) -> Result<Vec<u8>, ClientError> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|error| {
        ClientError::Usage(format!(
            "this is not hexadecimal text ({error}); give two digits for each byte"
        ))
    })
}

/// Wallets treat a text of `personal_sign` that begins with `0x` as bytes. The ambiguity is
/// refused, not guessed at.
fn personal_text(text: String) -> Result<Vec<u8>, ClientError> {
    let is_hex = text
        .strip_prefix("0x")
        .is_some_and(|digits| hex::decode(digits).is_ok());
    if is_hex {
        Err(ClientError::Usage(
            "wallets take such a text for bytes; give the bytes with --eip191-hex (to sign these characters themselves, give \
             them in hexadecimal there)"
                .into(),
        ))
    } else {
        Ok(text.into_bytes())
    }
}

impl Saying {
    /// The document of the chosen kind.
    fn document(self, message: String) -> Result<Vec<u8>, ClientError> {
        let document = match (self.address, self.to_sign) {
            (Some(address), None) => json!({"message": message, "address": address}),
            (None, Some(given)) => {
                json!({"message": message, "psbt": BASE64.encode(form(&given, read_psbt)?)})
            }
            _ => {
                let advice =
                    "say who signs the message: --address ADDRESS, or --to-sign with a PSBT";
                return Err(ClientError::Usage(advice.into()));
            }
        };
        Ok(document.to_string().into_bytes())
    }
}

/// Decodes the argument, or the contents of `@FILE`, in any of the accepted forms.
fn form(
    given: &str,
    read_form: fn(&[u8]) -> Result<Vec<u8>, FormError>,
) -> Result<Vec<u8>, ClientError> {
    let contents = match given.strip_prefix('@') {
        Some(path) => read(Path::new(path))?,
        None => given.as_bytes().to_vec(),
    };
    read_form(&contents).map_err(|error| ClientError::Usage(error.to_string()))
}

/// The text given, or the contents of `@FILE`: the same text, or the bytes themselves.
fn bytes(
    given: &str,
    decode: impl Fn(&str) -> Result<Vec<u8>, ClientError>,
) -> Result<Vec<u8>, ClientError> {
    let Some(path) = given.strip_prefix('@') else {
        return decode(given.trim());
    };
    let contents = read(Path::new(path))?;
    match std::str::from_utf8(&contents) {
        Ok(text) => decode(text.trim()),
        Err(_) => Ok(contents),
    }
}

/// Reads at most one byte more of a file than a payload can have in its longest text form, so that
/// a larger one is refused and not loaded.
fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let limit = 4 * Payload::MAX_PSBT_BYTES as u64 + 16;
    let read =
        countersign_files::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| {
        let advice = "name a file that you may read";
        ClientError::File {
            path: path.into(),
            reason: error.to_string(),
            advice,
        }
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// A file that exists; what is in it is not read here.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        saying: Saying,
    }

    /// An option for the kind, with a value that it takes.
    fn flag(kind: PayloadKind) -> (&'static str, String) {
        let solana = [&[1, 0, 1, 2][..], &[5; 32], &[6; 32], &[7; 32], &[0]].concat();
        match kind {
            PayloadKind::Message => ("--message", "pay".into()),
            PayloadKind::Digest => ("--digest", "11".repeat(32)),
            PayloadKind::EvmTransaction => ("--evm-transaction", "0x02c0".into()),
            PayloadKind::Eip191 => ("--eip191", "pay".into()),
            PayloadKind::Eip712 => ("--eip712", FILE.into()),
            PayloadKind::Psbt => ("--psbt", "70736274ff".into()),
            PayloadKind::SolanaMessage => ("--solana", hex::encode(solana)),
            PayloadKind::Digests => ("--digests", FILE.into()),
            PayloadKind::BitcoinMessage => ("--bitcoin-message", "pay".into()),
            PayloadKind::Eip7702 => ("--eip7702", "05c0".into()),
        }
    }

    #[test]
    fn every_kind_of_payload_has_an_option() {
        for kind in PayloadKind::ALL {
            let (flag, value) = flag(kind);
            let line = Line::try_parse_from(["sign", flag, &value])
                .unwrap_or_else(|error| panic!("{kind}: {error}"));
            let saying = Saying {
                address: Some("bc1q".into()),
                ..line.saying
            };
            let payload = line.what.payload(saying, Vec::new()).unwrap();
            assert_eq!(payload.kind, kind, "{flag}");
        }
    }

    #[test]
    fn a_personal_message_in_hexadecimal_is_not_guessed_at() {
        for text in ["hello", "0xyz", "0x1", "0x12 and more", "12"] {
            assert_eq!(personal_text(text.into()).unwrap(), text.as_bytes());
        }
        for text in ["0x1234", "0x"] {
            let error = personal_text(text.into()).unwrap_err().to_string();
            assert!(error.contains("--eip191-hex"), "{error}");
        }
    }

    #[test]
    fn a_file_has_the_text_or_the_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("psbt");
        let given = format!("@{}", file.display());
        for contents in [
            &b"cHNi\r\ndP8=\n"[..],
            b"psbt\xff",
            b"\xef\xbb\xbf70736274ff",
        ] {
            std::fs::write(&file, contents).unwrap();
            assert_eq!(form(&given, read_psbt).unwrap(), b"psbt\xff");
        }
        assert!(matches!(
            form("@/nowhere/at/all", read_psbt),
            Err(ClientError::File { .. })
        ));
        assert!(
            matches!(form("payment", read_psbt), Err(ClientError::Usage(text)) if text.contains("Base64"))
        );
    }

    #[test]
    fn a_message_for_a_bitcoin_address_names_address_or_psbt() {
        let by = |address: Option<&str>, to_sign: Option<&str>| {
            let saying = Saying {
                address: address.map(Into::into),
                to_sign: to_sign.map(Into::into),
            };
            saying
                .document("yes \"we\" do".into())
                .map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(
            by(Some("bc1q"), None).unwrap(),
            r#"{"address":"bc1q","message":"yes \"we\" do"}"#
        );
        assert_eq!(
            by(None, Some("70736274ff")).unwrap(),
            r#"{"message":"yes \"we\" do","psbt":"cHNidP8="}"#
        );
        assert!(by(None, None).is_err());
    }
}
