//! The organisation's own names of addresses: a file that its operator keeps. Neither coordinator
//! nor node has a part in it, and nothing is decided by it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use countersign_files::{Custody, CustodyError};

/// Size limit of the file in bytes.
const LARGEST: u64 = 1 << 20;
/// The most addresses.
const MOST: usize = 10_000;
/// The longest address and the longest label, in characters.
const LONGEST: usize = 128;

/// Why the labels cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// It cannot be read, or others could have written it.
    #[error("the labels are not read ({0}); name a file that only you may write with --labels")]
    File(#[from] CustodyError),
    /// It is no list of labels.
    #[error("{path}: {reason}; write `\"ADDRESS\": \"label\"` on each line", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a file of addresses with their labels. Each address occurs once.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>, LabelsError> {
    let bytes = Custody::Operator.read(path, LARGEST)?;
    parse(&bytes).map_err(|reason| LabelsError::Form {
        path: path.into(),
        reason,
    })
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let labels: BTreeMap<String, String> =
        countersign_strict::yaml(text).map_err(|error| error.to_string())?;
    if labels.len() > MOST {
        return Err(format!("more than {MOST} addresses"));
    }
    for (address, label) in &labels {
        let plain = address.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if address.is_empty() || address.len() > LONGEST || !plain {
            return Err(format!("`{}` is not an address", address.escape_debug()));
        }
        if label.trim().is_empty() || label.chars().count() > LONGEST {
            return Err(format!("the label of {address} is empty or too long"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn labels_are_read_from_yaml_and_json() {
        let yaml = parse(b"bc1qcold: cold storage\n'0xAb01': Exchange, deposit\n").unwrap();
        let json =
            parse(br#"{"bc1qcold": "cold storage", "0xAb01": "Exchange, deposit"}"#).unwrap();
        assert_eq!(yaml, json);
        assert_eq!(yaml["0xAb01"], "Exchange, deposit");
        assert!(parse(b"\n").unwrap().is_empty());
    }

    #[test]
    fn what_has_two_meanings_or_none_is_refused() {
        let long = format!("bc1q: {}", "x".repeat(LONGEST + 1));
        for wrong in [
            &b"bc1q: one\nbc1q: two\n"[..],
            b"bc1q: ''\n",
            b"'': cold\n",
            b"'bc1 q': cold\n",
            b"'bc1<b>': cold\n",
            b"[bc1q]\n",
            b"bc1q: {a: b}\n",
            b"\xff",
            long.as_bytes(),
        ] {
            assert!(parse(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.yaml");
        std::fs::write(&path, "bc1q: cold storage\n").unwrap();
        assert_eq!(read(&path).unwrap()["bc1q"], "cold storage");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(read(&path), Err(LabelsError::File(_))));
    }
}
