//! A bundle that enough publishers have signed. Only [`Published::verify`] makes one.

use countersign_host::BundleSignature;
use countersign_protocol::Hash;

use super::file::{Bundle, FormatError, Head};
use super::manifest::Manifest;
use crate::config::Bundles;

/// A bundle of the name that the operator follows, with enough valid signatures.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    bundle: Bundle,
    signers: Vec<String>,
}

/// Reasons why a bundle does not count as published.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotPublished {
    /// It is another policy.
    #[error(
        "it is a bundle of `{found}`, and policy.bundles.name is `{wanted}`; fetch one of `{wanted}`"
    )]
    Name {
        /// The name that the operator follows.
        wanted: String,
        /// The name of the bundle.
        found: String,
    },
    /// Too few publishers have signed it.
    #[error(
        "{} of policy.bundles.publishers have signed it ({}), and {needed} must; ask others to sign, and `policy publish` it",
        signers.len(),
        names(signers)
    )]
    TooFew {
        /// Those who have.
        signers: Vec<String>,
        /// The number that must have signed.
        needed: usize,
    },
}

impl Published {
    /// Counts the publishers who have signed the bundle. Signatures of others, and wrong ones, are
    /// not counted.
    pub fn verify(bundle: Bundle, settings: &Bundles) -> Result<Self, NotPublished> {
        let manifest = bundle.manifest();
        let signers = verified(manifest, &bundle.hash(), bundle.signatures(), settings)?;
        Ok(Self { bundle, signers })
    }

    /// Reads a bundle from a file. Its files are looked at only if it is published.
    pub fn decode<E: From<FormatError> + From<NotPublished>>(
        bytes: &[u8],
        settings: &Bundles,
    ) -> Result<Self, E> {
        let head = Head::decode(bytes)?;
        let hash = head.manifest.hash().map_err(FormatError::from)?;
        verified(&head.manifest, &hash, &head.signatures, settings)?;
        Ok(Self::verify(Bundle::behind(head)?, settings)?)
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The hash by which it is named.
    pub fn hash(&self) -> Hash {
        self.bundle.hash()
    }

    /// The operator's names of those who signed it.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }
}

fn names(signers: &[String]) -> String {
    if signers.is_empty() {
        "none".into()
    } else {
        signers.join(", ")
    }
}

/// The publishers who have signed the bundle, if it is of the policy and they are enough.
fn verified(
    manifest: &Manifest,
    hash: &Hash,
    signatures: &[BundleSignature],
    settings: &Bundles,
) -> Result<Vec<String>, NotPublished> {
    if manifest.name != settings.name {
        return Err(NotPublished::Name {
            wanted: settings.name.clone(),
            found: manifest.name.clone(),
        });
    }
    let signers = signers_of(hash, signatures, settings);
    if signers.len() < settings.needed {
        return Err(NotPublished::TooFew {
            signers,
            needed: settings.needed,
        });
    }
    Ok(signers)
}

/// The publishers who have signed the bundle. The configuration lists each key once.
pub fn signers(bundle: &Bundle, settings: &Bundles) -> Vec<String> {
    signers_of(&bundle.hash(), bundle.signatures(), settings)
}

fn signers_of(hash: &Hash, signatures: &[BundleSignature], settings: &Bundles) -> Vec<String> {
    let signed = |publisher: &&countersign_host::Publisher| {
        signatures
            .iter()
            .any(|signature| signature.is_by(publisher, hash.as_bytes()))
    };
    let signers = settings.publishers.iter().filter(signed);
    signers
        .map(|publisher| publisher.name().to_owned())
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use countersign_host::Publisher;

    use super::super::file::tests::{bundle, sign};
    use super::*;
    use crate::config::RawGrants;

    /// Publishers with the seeds 1, 2 and 3, two of whom must sign.
    pub(crate) fn settings() -> Bundles {
        let unsigned = bundle(1, &[("rules", "component", "{}")]);
        let publisher = |seed: u8| {
            Publisher::new(format!("publisher {seed}"), &sign(&unsigned, seed).key).unwrap()
        };
        Bundles {
            name: "treasury".into(),
            publishers: [1, 2, 3].map(publisher).into(),
            needed: 2,
            delay: Duration::from_secs(3600),
            backtest: Duration::from_secs(30 * 24 * 3600),
            grants: RawGrants::default(),
        }
    }

    fn verify(seeds: &[u8]) -> Result<Vec<String>, NotPublished> {
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let signatures: Vec<_> = seeds.iter().map(|seed| sign(&bundle, *seed)).collect();
        let published = Published::verify(bundle.signed(signatures), &settings());
        published.map(|published| published.signers().to_vec())
    }

    #[test]
    fn enough_distinct_publishers_make_a_bundle_published() {
        assert_eq!(verify(&[3, 1]).unwrap(), ["publisher 1", "publisher 3"]);
        assert_eq!(verify(&[1, 2, 3]).unwrap().len(), 3);
    }

    #[test]
    fn one_publisher_twice_or_with_a_stranger_is_one() {
        for seeds in [&[][..], &[1], &[1, 1], &[1, 4], &[4, 5, 6]] {
            assert!(
                matches!(verify(seeds), Err(NotPublished::TooFew { needed: 2, .. })),
                "{seeds:?}"
            );
        }
    }

    #[test]
    fn a_signature_of_another_bundle_does_not_count() {
        let other = bundle(2, &[("rules", "component", "{}")]);
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let signed = bundle.clone().signed([sign(&bundle, 1), sign(&other, 2)]);
        let refused = Published::verify(signed, &settings()).unwrap_err();
        let signers = vec!["publisher 1".to_owned()];
        assert_eq!(refused, NotPublished::TooFew { signers, needed: 2 });
    }

    #[test]
    fn the_files_of_a_bundle_that_nobody_published_are_not_looked_at() {
        #[derive(Debug)]
        enum Told {
            Format,
            NotPublished,
        }
        impl From<FormatError> for Told {
            fn from(_: FormatError) -> Self {
                Self::Format
            }
        }
        impl From<NotPublished> for Told {
            fn from(_: NotPublished) -> Self {
                Self::NotPublished
            }
        }
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let whole = bundle.clone().signed([sign(&bundle, 1), sign(&bundle, 2)]);
        for (bundle, published) in [(bundle, false), (whole, true)] {
            let mut bytes = bundle.encode().unwrap();
            let read = Published::decode::<Told>(&bytes, &settings());
            assert_eq!(read.is_ok(), published);
            bytes.pop();
            let cut = Published::decode::<Told>(&bytes, &settings()).unwrap_err();
            assert_eq!(matches!(cut, Told::Format), published, "{cut:?}");
            assert_eq!(matches!(cut, Told::NotPublished), !published);
        }
    }

    #[test]
    fn a_bundle_of_another_name_is_refused() {
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let signed = bundle.clone().signed([sign(&bundle, 1), sign(&bundle, 2)]);
        let others = Bundles {
            name: "other".into(),
            ..settings()
        };
        let refused = Published::verify(signed, &others).unwrap_err();
        assert!(matches!(refused, NotPublished::Name { .. }), "{refused}");
    }
}
