//! The list of a wallet's addresses (CSV), and the same list with the private key of each.
//!
//! 7 columns: wallet name, coin, address, memo, address label, HD path, child publickey; or 8, with
//! `curve` as the fourth. A header comes first. Three columns are added: hex private key, extended
//! private key, extended public key.

use countersign_verify::ExtendedPublicKey;
use csv::StringRecord;
use zeroize::Zeroizing;

use crate::{Curve, DeriveKeyError, ExtendedPrivateKey, KeyPath, KeyPathError};

const ADDED: [&str; 3] = [
    "hex private key",
    "extended private key",
    "extended public key",
];

/// An address list as read. Nothing in it is secret.
#[derive(Debug, Clone)]
pub struct AddressList {
    header: StringRecord,
    rows: Vec<StringRecord>,
}

/// An address list with private keys.
#[derive(Debug)]
pub struct RecoveredList {
    /// The CSV, without the rows of the other curve.
    pub csv: Zeroizing<Vec<u8>>,
    /// Number of rows that have a key now.
    pub keys: usize,
    /// Number of rows on the other curve.
    pub skipped: usize,
    /// Rows in whose place in the CSV the three columns are empty.
    pub unlike: Vec<Unlike>,
}

/// A row whose public key is not the one of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// First line of the row, counted from 1.
    pub line: u64,
    /// The address as listed in the row.
    pub address: String,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressListError {
    /// Not CSV, or rows of different lengths.
    #[error("this is not a list of addresses ({0}): export it again")]
    Csv(#[from] csv::Error),
    /// The columns are not those of an address list.
    #[error(
        "the list has {0} columns instead of 7, or 8 with `curve` as the fourth: export it again"
    )]
    Columns(usize),
    /// The curve of a row is unknown.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("line {line}: `{text}` is not a curve: write secp256k1 or ed25519")]
    Curve { line: u64, text: String },
    /// The path of a row is malformed.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("line {line}: {error}")]
    Path { line: u64, error: KeyPathError },
    /// The path of a row does not exist.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("line {line}: {error}")]
    Derive { line: u64, error: DeriveKeyError },
}

impl AddressList {
    /// Reads a list with its header.
    pub fn read(bytes: &[u8]) -> Result<Self, AddressListError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers()?.clone();
        let curve_is_fourth = header
            .get(3)
            .is_some_and(|name| name.trim().eq_ignore_ascii_case("curve"));
        match (header.len(), curve_is_fourth) {
            (7, false) | (8, true) => {}
            (columns, _) => return Err(AddressListError::Columns(columns)),
        }
        Ok(Self {
            header,
            rows: reader.records().collect::<Result<_, _>>()?,
        })
    }

    /// Adds the keys below `root` to the list. A row whose child public key does not match
    /// its path gets none.
    pub fn recover(&self, root: &ExtendedPrivateKey) -> Result<RecoveredList, AddressListError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.header.iter().chain(ADDED))?;
        let mut keys = 0;
        let mut skipped = 0;
        let mut unlike = Vec::new();
        for row in &self.rows {
            if self
                .curve(row)?
                .is_some_and(|curve| curve != root.secret().curve())
            {
                skipped += 1;
                continue;
            }
            let key = root.derive(&self.path(row)?);
            let key = key.map_err(|error| AddressListError::Derive {
                line: line(row),
                error,
            })?;
            if is_like(&key, row[row.len() - 1].trim()) {
                write_key(&mut writer, row, &key)?;
                keys += 1;
            } else {
                writer.write_record(row.iter().chain(["", "", ""]))?;
                unlike.push(Unlike {
                    line: line(row),
                    address: row[2].to_owned(),
                });
            }
        }
        let csv = writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(RecoveredList {
            csv: Zeroizing::new(csv),
            keys,
            skipped,
            unlike,
        })
    }

    /// The curve of a row, if the list has that column.
    fn curve(&self, row: &StringRecord) -> Result<Option<Curve>, AddressListError> {
        let text = if row.len() == 8 { &row[3] } else { "" };
        match text.trim().to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "secp256k1" => Ok(Some(Curve::Secp256k1)),
            "ed25519" => Ok(Some(Curve::Ed25519)),
            _ => Err(AddressListError::Curve {
                line: line(row),
                text: text.chars().take(40).collect(),
            }),
        }
    }

    fn path(&self, row: &StringRecord) -> Result<KeyPath, AddressListError> {
        row[row.len() - 2]
            .trim()
            .parse()
            .map_err(|error| AddressListError::Path {
                line: line(row),
                error,
            })
    }
}

fn write_key(
    writer: &mut csv::Writer<Vec<u8>>,
    row: &StringRecord,
    key: &ExtendedPrivateKey,
) -> Result<(), csv::Error> {
    let number = Zeroizing::new(format!(
        "0x{}",
        Zeroizing::new(hex::encode(key.secret().expose())).as_str()
    ));
    let private = key.to_text();
    let public = key.public_text();
    writer.write_record(
        row.iter()
            .chain([number.as_str(), private.as_str(), public.as_str()]),
    )
}

/// True if the row names no key, or this one: as hexadecimal, with or without 0x, or as
/// an extended public key.
fn is_like(key: &ExtendedPrivateKey, listed: &str) -> bool {
    if listed.is_empty() {
        return true;
    }
    let digits = listed.strip_prefix("0x").unwrap_or(listed);
    let listed = match listed.parse::<ExtendedPublicKey>() {
        Ok(extended) => Some(extended.public_key().to_vec()),
        Err(_) => hex::decode(digits)
            .ok()
            .and_then(|bytes| key.secret().curve().public_key(&bytes)),
    };
    listed.is_some_and(|listed| listed == key.public_key())
}

fn line(row: &StringRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn root(curve: Curve) -> ExtendedPrivateKey {
        ExtendedPrivateKey::root(Secret::from_be_bytes(curve, &[9; 31]).unwrap(), [7; 32])
    }

    fn public(curve: Curve, path: &str) -> String {
        hex::encode(
            root(curve)
                .derive(&path.parse().unwrap())
                .unwrap()
                .public_key(),
        )
    }

    const SEVEN: &str = "wallet name,coin,address,memo,address label,HD path,child publickey\n";
    const EIGHT: &str =
        "wallet name,coin,address,curve,memo,address label,HD path,child publickey\n";

    #[test]
    fn seven_columns_get_three_more() {
        let key = public(Curve::Secp256k1, "0/1");
        let text = format!(
            "\u{feff}{SEVEN}\"a, b\",BTC,x,,lab,m/0/1,0x{key}\nw,BTC,y,,,0/1,{key}\nw,BTC,z,,,m/2',\n"
        );
        let list = AddressList::read(text.as_bytes())
            .unwrap()
            .recover(&root(Curve::Secp256k1))
            .unwrap();
        assert_eq!((list.keys, list.skipped, list.unlike.len()), (3, 0, 0));
        let csv = std::str::from_utf8(&list.csv).unwrap();
        let rows: Vec<_> = csv.lines().collect();
        assert!(rows[0].ends_with(
            ",child publickey,hex private key,extended private key,extended public key"
        ));
        assert!(rows[1].starts_with("\"a, b\",BTC,x,,lab,m/0/1,0x"));
        let child = root(Curve::Secp256k1)
            .derive(&"0/1".parse().unwrap())
            .unwrap();
        let added = format!(
            ",0x{},{},{}",
            hex::encode(child.secret().expose()),
            *child.to_text(),
            child.public_text()
        );
        assert!(rows[1].ends_with(&added) && rows[2].ends_with(&added));
    }

    #[test]
    fn a_listed_key_may_be_an_extended_one_of_any_origin() {
        let child = root(Curve::Ed25519).derive(&"4".parse().unwrap()).unwrap();
        let alone = ExtendedPrivateKey::root(child.secret().duplicate(), [1; 32]).public_text();
        let text = format!(
            "{SEVEN}w,SOL,x,,,4,{}\nw,SOL,y,,,4,{alone}\nw,SOL,z,,,5,{alone}\n",
            child.public_text()
        );
        let list = AddressList::read(text.as_bytes())
            .unwrap()
            .recover(&root(Curve::Ed25519))
            .unwrap();
        assert_eq!(
            (list.keys, &list.unlike[..]),
            (
                2,
                &[Unlike {
                    line: 4,
                    address: "z".into()
                }][..]
            )
        );
    }

    #[test]
    fn rows_of_the_other_curve_are_skipped() {
        let key = format!("00{}", public(Curve::Ed25519, "3"));
        let text =
            format!("{EIGHT}w,SOL,x,ed25519,,,3,{key}\nw,BTC,y,SECP256K1,,,m/1',\nw,SOL,z,,,,3,\n");
        let list = AddressList::read(text.as_bytes())
            .unwrap()
            .recover(&root(Curve::Ed25519))
            .unwrap();
        assert_eq!((list.keys, list.skipped, list.unlike.len()), (2, 1, 0));
        assert!(!std::str::from_utf8(&list.csv).unwrap().contains("BTC"));
    }

    #[test]
    fn a_row_with_another_public_key_gets_no_private_one() {
        let text = format!(
            "{SEVEN}w,BTC,x,,,0/1,{}\nw,BTC,y,,,0/1,what\nw,BTC,z,,,0/1,\n",
            public(Curve::Secp256k1, "0/2")
        );
        let list = AddressList::read(text.as_bytes())
            .unwrap()
            .recover(&root(Curve::Secp256k1))
            .unwrap();
        let unlike = [(2, "x"), (3, "y")].map(|(line, it)| Unlike {
            line,
            address: it.into(),
        });
        assert_eq!((list.keys, &list.unlike[..]), (1, &unlike[..]));
        let csv = std::str::from_utf8(&list.csv).unwrap();
        assert_eq!(csv.lines().filter(|row| row.ends_with(",,,")).count(), 2);
        assert_eq!(csv.matches("xprv").count(), 1);
    }

    #[test]
    fn other_tables_and_rows_are_refused() {
        for (text, columns) in [
            ("a,b\n", 2),
            ("a,b,c,d,e,f,g,h\n", 8),
            ("a,b,c,curve,e,f,g\n", 7),
            ("", 0),
        ] {
            let refused = AddressList::read(text.as_bytes()).unwrap_err();
            assert!(
                matches!(refused, AddressListError::Columns(found) if found == columns),
                "{refused}"
            );
        }
        let uneven = AddressList::read(format!("{SEVEN}a,b\n").as_bytes());
        assert!(matches!(uneven, Err(AddressListError::Csv(_))));
        let recover = |text: String| {
            AddressList::read(text.as_bytes())
                .unwrap()
                .recover(&root(Curve::Ed25519))
                .unwrap_err()
        };
        let path = recover(format!("{SEVEN}w,SOL,x,,,0/1,\nw,SOL,x,,,0/x,\n"));
        assert!(
            matches!(path, AddressListError::Path { line: 3, .. }),
            "{path}"
        );
        let hardened = recover(format!("{SEVEN}w,SOL,x,,,0',\n"));
        assert!(matches!(
            hardened,
            AddressListError::Derive {
                line: 2,
                error: DeriveKeyError::Hardened
            }
        ));
        let curve = recover(format!("{EIGHT}w,SOL,x,p256,,,0,\n"));
        assert!(matches!(curve, AddressListError::Curve { line: 2, .. }));
    }
}
