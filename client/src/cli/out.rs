//! `--out`: a file with the signed payload in the form that its chain takes. Complete or absent,
//! and never replaces another file unless told so.

use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Args, ValueEnum};
use countersign_client::{BitcoinForm, ClientError};
use countersign_protocol::PayloadKind;
use tempfile::{Builder, NamedTempFile};

/// Advice for errors after the signatures were made.
const KEPT: &str = "the signatures are not lost: `countersign task list` and `task show` find them";

/// The file to write, and its format.
#[derive(Debug, Args)]
pub struct Out {
    /// Write the signed payload to this file: a finalised PSBT, a signed transaction (Ethereum:
    /// EIP-2718; Solana), r, s and v of an Ethereum message, otherwise the signature.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format of a Bitcoin payment: the finalised PSBT, or the transaction as the network
    /// takes it. Default: psbt.
    #[arg(long, value_enum, requires = "out")]
    format: Option<Format>,
    /// Bytes as they are, or one line of text: `hex` as Ethereum's eth_sendRawTransaction and
    /// Bitcoin's sendrawtransaction take it (Ethereum's with 0x), `base64` as Solana's
    /// sendTransaction and tools for PSBTs take it. Default: binary.
    #[arg(long, value_enum, requires = "out")]
    encoding: Option<Encoding>,
    /// Replace the file if there is one.
    #[arg(long, requires = "out")]
    force: bool,
}

/// Forms of a Bitcoin payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The finalised PSBT, with all its other fields.
    Psbt,
    /// The bare transaction; needs everybody's signatures.
    Tx,
}

/// Encodings of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// The bytes as they are.
    Binary,
    /// Lower-case hexadecimal and a line feed; for Ethereum behind 0x.
    Hex,
    /// RFC 4648, with padding, and a line feed.
    Base64,
}

impl Encoding {
    fn encode(self, kind: PayloadKind, bytes: &[u8]) -> Vec<u8> {
        let prefix = match kind {
            PayloadKind::EvmTransaction | PayloadKind::Eip191 | PayloadKind::Eip712 => "0x",
            PayloadKind::Message
            | PayloadKind::Digest
            | PayloadKind::Psbt
            | PayloadKind::SolanaMessage
            | PayloadKind::Digests
            | PayloadKind::BitcoinMessage
            | PayloadKind::Eip7702 => "",
        };
        match self {
            Self::Binary => bytes.to_vec(),
            Self::Hex => format!("{prefix}{}\n", hex::encode(bytes)).into(),
            Self::Base64 => format!("{}\n", BASE64.encode(bytes)).into(),
        }
    }
}

impl Out {
    /// Opens a temporary file next to the target, so that nothing is ordered whose result
    /// could not be kept.
    pub fn open(self, kind: PayloadKind) -> Result<Option<Pending>, ClientError> {
        let Some(path) = self.out else {
            return Ok(None);
        };
        if self.format.is_some() && !has_formats(kind) {
            let advice = "only a PSBT has a choice of formats; leave out --format";
            return Err(ClientError::Usage(advice.into()));
        }
        if !self.force && path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
        let form = match self.format {
            Some(Format::Tx) => BitcoinForm::Transaction,
            Some(Format::Psbt) | None => BitcoinForm::Psbt,
        };
        let file = Builder::new()
            .permissions(ordinary())
            .tempfile_in(folder(&path));
        let file = file.map_err(|error| {
            unusable(
                &path,
                &error,
                "name a file in a folder that you may write to",
            )
        })?;
        let encoding = self.encoding.unwrap_or(Encoding::Binary);
        Ok(Some(Pending {
            file,
            path,
            form,
            kind,
            encoding,
            force: self.force,
        }))
    }
}

fn has_formats(kind: PayloadKind) -> bool {
    match kind {
        PayloadKind::Psbt | PayloadKind::BitcoinMessage => true,
        PayloadKind::Message
        | PayloadKind::Digest
        | PayloadKind::EvmTransaction
        | PayloadKind::Eip191
        | PayloadKind::Eip712
        | PayloadKind::SolanaMessage
        | PayloadKind::Digests
        | PayloadKind::Eip7702 => false,
    }
}

/// A file that is not in its place yet; deleted unless it gets there.
pub struct Pending {
    file: NamedTempFile,
    path: PathBuf,
    form: BitcoinForm,
    kind: PayloadKind,
    encoding: Encoding,
    force: bool,
}

impl Pending {
    /// The form in which to write a Bitcoin payment.
    pub fn form(&self) -> BitcoinForm {
        self.form
    }

    /// Writes the bytes and moves the file into its place.
    pub fn write(mut self, bytes: &[u8]) -> Result<PathBuf, ClientError> {
        let written = self
            .file
            .write_all(&self.encoding.encode(self.kind, bytes))
            .and_then(|()| self.file.as_file().sync_all());
        written.map_err(|error| unusable(&self.path, &error, KEPT))?;
        let moved = if self.force {
            self.file.persist(&self.path)
        } else {
            self.file.persist_noclobber(&self.path)
        };
        moved.map_err(|error| unusable(&self.path, &error.error, KEPT))?;
        let folder = std::fs::File::open(folder(&self.path)).and_then(|folder| folder.sync_all());
        folder.map_err(|error| unusable(&self.path, &error, KEPT))?;
        Ok(self.path)
    }
}

/// The usual permissions of a new file, subject to the user's mask.
fn ordinary() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn exists(path: &Path) -> ClientError {
    let advice = "name another one, or replace it with --force";
    ClientError::File {
        path: path.into(),
        reason: "the file already exists".into(),
        advice,
    }
}

fn unusable(path: &Path, error: &std::io::Error, advice: &'static str) -> ClientError {
    ClientError::File {
        path: path.into(),
        reason: error.to_string(),
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(path: &Path, force: bool) -> Out {
        Out {
            out: Some(path.into()),
            format: None,
            encoding: None,
            force,
        }
    }

    fn names(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signed");
        drop(out(&path, false).open(PayloadKind::Psbt).unwrap());
        assert_eq!(names(dir.path()), 0);
        let pending = out(&path, false).open(PayloadKind::Psbt).unwrap().unwrap();
        assert!(!path.exists());
        assert_eq!(pending.write(b"bytes").unwrap(), path);
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(dir.path())),
            (b"bytes".to_vec(), 1)
        );
    }

    #[test]
    fn what_is_there_stays_unless_told_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signed");
        let late = out(&path, false).open(PayloadKind::Psbt).unwrap().unwrap();
        std::fs::write(&path, b"older").unwrap();
        assert!(out(&path, false).open(PayloadKind::Psbt).is_err());
        assert!(late.write(b"newer").is_err(), "it came between");
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(dir.path())),
            (b"older".to_vec(), 1)
        );
        out(&path, true)
            .open(PayloadKind::Psbt)
            .unwrap()
            .unwrap()
            .write(b"newer")
            .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
    }

    #[test]
    fn bytes_are_written_as_the_next_program_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, encoding, expected) in [
            (PayloadKind::EvmTransaction, None, &b"\x02\xff"[..]),
            (
                PayloadKind::EvmTransaction,
                Some(Encoding::Hex),
                b"0x02ff\n",
            ),
            (PayloadKind::Psbt, Some(Encoding::Hex), b"02ff\n"),
            (
                PayloadKind::SolanaMessage,
                Some(Encoding::Base64),
                b"Av8=\n",
            ),
        ] {
            let path = dir.path().join("signed");
            let pending = Out {
                encoding,
                ..out(&path, true)
            }
            .open(kind)
            .unwrap()
            .unwrap();
            pending.write(b"\x02\xff").unwrap();
            assert_eq!(
                std::fs::read(&path).unwrap(),
                expected,
                "{kind} {encoding:?}"
            );
        }
    }

    #[test]
    fn formats_are_for_bitcoin_and_folders_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let chosen = |kind| {
            Out {
                format: Some(Format::Tx),
                ..out(&dir.path().join("signed"), false)
            }
            .open(kind)
        };
        assert_eq!(
            chosen(PayloadKind::Psbt).unwrap().unwrap().form(),
            BitcoinForm::Transaction
        );
        assert!(matches!(
            chosen(PayloadKind::EvmTransaction),
            Err(ClientError::Usage(_))
        ));
        assert!(
            out(&dir.path().join("no/such/folder"), false)
                .open(PayloadKind::Psbt)
                .is_err()
        );
        assert_eq!(names(dir.path()), 0);
    }
}
