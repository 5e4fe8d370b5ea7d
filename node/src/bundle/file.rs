//! The file of a bundle: a line with its kind, a line of JSON with the manifest, a line of JSON
//! with the signatures, then the files one after the other in the order of the manifest. The same
//! bundle with the same signatures is always the same bytes.

use std::collections::BTreeMap;

use countersign_host::BundleSignature;
use countersign_protocol::Hash;
use sha2::{Digest, Sha256};

use super::manifest::{Manifest, ManifestError};

/// First line of a bundle.
const HEADING: &[u8] = b"countersign policy bundle 1";
/// Most bytes of a line.
const LINE: usize = 1 << 20;
/// Most signatures of one bundle.
const SIGNATURES: usize = 64;
/// Most bytes of a bundle.
pub const LARGEST: u64 = 256 << 20;

/// A bundle whose files are those that its manifest names. Nobody need have signed it.
#[derive(Clone, PartialEq)]
pub struct Bundle {
    manifest: Manifest,
    hash: Hash,
    signatures: Vec<BundleSignature>,
    files: BTreeMap<Hash, Vec<u8>>,
}

/// The lines of a bundle before its files.
pub struct Head<'b> {
    /// The manifest.
    pub manifest: Manifest,
    /// The signatures, each a claim.
    pub signatures: Vec<BundleSignature>,
    /// The files, one after the other.
    rest: &'b [u8],
}

/// Reasons why a file is not a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It begins otherwise.
    #[error("it is not a policy bundle; name a file that `policy draft` or `policy publish` wrote")]
    Heading,
    /// It ends too early.
    #[error("it ends too early; copy it again")]
    Short,
    /// A line, a file or the whole is too large.
    #[error("it is larger than a bundle may be; draft a smaller one")]
    TooLarge,
    /// Something follows its last file.
    #[error("something follows its last file; copy it again")]
    Trailing,
    /// The manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The signatures cannot be read.
    #[error("its signatures cannot be read: {0}; publish it again")]
    Signatures(serde_json::Error),
    /// Signatures are sorted by key, one for each.
    #[error("its signatures are not one for each key, in the order of keys; publish it again")]
    Order,
    /// A file is not the one that the manifest names.
    #[error("the file with SHA-256 {0} is damaged or missing; copy the bundle again")]
    File(Hash),
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Manifest { name, version, .. } = &self.manifest;
        write!(f, "Bundle({name} {version} {})", self.hash)
    }
}

impl Bundle {
    /// Puts a bundle together, without signatures. `files` are the contents by their SHA-256; those
    /// that the manifest does not name are left out.
    pub fn new(manifest: Manifest, files: BTreeMap<Hash, Vec<u8>>) -> Result<Self, FormatError> {
        let manifest = Manifest::parse(&manifest.to_json()?)?;
        let mut kept = BTreeMap::new();
        let mut files = files;
        for record in &manifest.files {
            let file = files.remove(&record.sha256);
            let file = file.filter(|file| file.len() as u64 == record.bytes);
            let file = file.filter(|file| sha256(file) == record.sha256);
            kept.insert(record.sha256, file.ok_or(FormatError::File(record.sha256))?);
        }
        Ok(Self {
            hash: manifest.hash()?,
            manifest,
            signatures: Vec::new(),
            files: kept,
        })
    }

    /// Reads a bundle. Its signatures are not verified.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        Self::behind(Head::decode(bytes)?)
    }

    /// Reads the files behind a head.
    pub fn behind(head: Head<'_>) -> Result<Self, FormatError> {
        let Head {
            manifest,
            signatures,
            mut rest,
        } = head;
        let mut files = BTreeMap::new();
        for record in &manifest.files {
            let length = usize::try_from(record.bytes).map_err(|_| FormatError::TooLarge)?;
            let (file, behind) = rest.split_at_checked(length).ok_or(FormatError::Short)?;
            files.insert(record.sha256, file.to_vec());
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(FormatError::Trailing);
        }
        let bundle = Self::new(manifest, files)?;
        Ok(Self {
            signatures,
            ..bundle
        })
    }

    /// Writes the bundle.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let signatures = serde_json::to_vec(&self.signatures).map_err(FormatError::Signatures)?;
        let lines = [HEADING.to_vec(), self.manifest.to_json()?, signatures];
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(line);
            bytes.push(b'\n');
        }
        // The map has the order of the manifest.
        self.files.values().for_each(|file| bytes.extend(file));
        if bytes.len() as u64 > LARGEST {
            return Err(FormatError::TooLarge);
        }
        Ok(bytes)
    }

    /// Adds signatures, and drops those that do not verify: a false one under a publisher's key
    /// must not keep the publisher's own out. Of one key, the new one stays.
    #[must_use]
    pub fn signed(mut self, signatures: impl IntoIterator<Item = BundleSignature>) -> Self {
        let hash = self.hash;
        let all = signatures.into_iter().chain(self.signatures);
        self.signatures = all
            .filter(|signature| signature.verifies(hash.as_bytes()))
            .collect();
        self.signatures.sort_by_key(|signature| signature.key);
        self.signatures.dedup_by_key(|signature| signature.key);
        self
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The hash that its publishers sign.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Its signatures, each a claim.
    pub fn signatures(&self) -> &[BundleSignature] {
        &self.signatures
    }

    /// The content of the file with this SHA-256.
    pub fn file(&self, sha256: &Hash) -> Option<&[u8]> {
        self.files.get(sha256).map(Vec::as_slice)
    }
}

impl<'b> Head<'b> {
    /// Reads the head of a bundle, and none of its files. Its signatures are not verified.
    pub fn decode(bytes: &'b [u8]) -> Result<Self, FormatError> {
        if bytes.len() as u64 > LARGEST {
            return Err(FormatError::TooLarge);
        }
        let (heading, rest) = line(bytes).map_err(|_| FormatError::Heading)?;
        if heading != HEADING {
            return Err(FormatError::Heading);
        }
        let (manifest, rest) = line(rest)?;
        let manifest = Manifest::parse(manifest)?;
        let (signatures, rest) = line(rest)?;
        Ok(Self {
            manifest,
            signatures: read_signatures(signatures)?,
            rest,
        })
    }
}

fn line(bytes: &[u8]) -> Result<(&[u8], &[u8]), FormatError> {
    let end = bytes.iter().take(LINE).position(|byte| *byte == b'\n');
    match end {
        Some(end) => Ok((&bytes[..end], &bytes[end + 1..])),
        None if bytes.len() >= LINE => Err(FormatError::TooLarge),
        None => Err(FormatError::Short),
    }
}

fn read_signatures(line: &[u8]) -> Result<Vec<BundleSignature>, FormatError> {
    let signatures: Vec<BundleSignature> =
        serde_json::from_slice(line).map_err(FormatError::Signatures)?;
    let sorted = signatures.is_sorted_by(|one, next| one.key < next.key);
    if signatures.len() > SIGNATURES {
        Err(FormatError::TooLarge)
    } else if sorted {
        Ok(signatures)
    } else {
        Err(FormatError::Order)
    }
}

/// The SHA-256 of a file.
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

#[cfg(test)]
pub(crate) mod tests {
    use zeroize::Zeroizing;

    use super::super::manifest::tests::{entry, manifest};
    use super::*;

    /// A bundle of these entries: name, content of the component, configuration.
    pub(crate) fn bundle(version: u64, entries: &[(&str, &str, &str)]) -> Bundle {
        let contents = entries
            .iter()
            .flat_map(|(_, component, config)| [component, config]);
        let files: BTreeMap<Hash, Vec<u8>> = contents
            .map(|text| (sha256(text.as_bytes()), text.as_bytes().to_vec()))
            .collect();
        let entries = entries.iter();
        let entries = entries.map(|(name, component, config)| entry(name, component, config));
        let mut manifest = manifest(version, entries.collect());
        for record in &mut manifest.files {
            record.bytes = files[&record.sha256].len() as u64;
        }
        Bundle::new(manifest, files).unwrap()
    }

    pub(crate) fn sign(bundle: &Bundle, seed: u8) -> BundleSignature {
        BundleSignature::sign(bundle.hash().as_bytes(), &Zeroizing::new([seed; 32]))
    }

    fn signed() -> Bundle {
        let bundle = bundle(1, &[("rules", "component", "{}"), ("b", "other", "x: 1")]);
        let signatures = [sign(&bundle, 2), sign(&bundle, 1)];
        bundle.signed(signatures)
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written() {
        let written = signed();
        let bytes = written.encode().unwrap();
        let read = Bundle::decode(&bytes).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.encode().unwrap(), bytes);
        let config = read.manifest().entries[1].config;
        assert_eq!(read.file(&config), Some(&b"x: 1"[..]));
    }

    #[test]
    fn the_order_of_signing_does_not_show() {
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let one = sign(&bundle, 1);
        let two = sign(&bundle, 2);
        let there = bundle
            .clone()
            .signed([one.clone(), two.clone(), one.clone()]);
        let back = bundle.signed([two]).signed([one]);
        assert_eq!(there.encode().unwrap(), back.encode().unwrap());
    }

    #[test]
    fn a_false_signature_does_not_keep_the_true_one_out() {
        let other = bundle(2, &[("rules", "component", "{}")]);
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let forged = Bundle {
            signatures: vec![sign(&other, 1)],
            ..bundle.clone()
        };
        let published = forged.clone().signed([sign(&bundle, 1)]);
        assert_eq!(published.signatures(), [sign(&bundle, 1)]);
        assert!(forged.signed([]).signatures().is_empty());
    }

    #[test]
    fn a_bundle_that_is_cut_or_continued_is_refused() {
        let bytes = signed().encode().unwrap();
        for length in 0..bytes.len() {
            assert!(Bundle::decode(&bytes[..length]).is_err(), "{length}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(
            Bundle::decode(&longer),
            Err(FormatError::Trailing)
        ));
    }

    #[test]
    fn a_file_with_another_content_is_refused() {
        let mut bytes = signed().encode().unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(matches!(Bundle::decode(&bytes), Err(FormatError::File(_))));
    }

    #[test]
    fn signatures_in_another_order_or_twice_are_refused() {
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let mut signatures = vec![sign(&bundle, 1), sign(&bundle, 2)];
        signatures.sort_by_key(|signature| std::cmp::Reverse(signature.key));
        let doubled = vec![signatures[0].clone(), signatures[0].clone()];
        for signatures in [signatures, doubled] {
            let bytes = Bundle {
                signatures,
                ..bundle.clone()
            };
            let read = Bundle::decode(&bytes.encode().unwrap());
            assert!(matches!(read, Err(FormatError::Order)));
        }
    }
}
