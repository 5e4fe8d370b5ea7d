//! The codes of failures and refusals, with cause, meaning and remedy.
//!
//! A code travels and is stored as its text. It is never renamed and never given a new meaning.
//! `docs/codes.md` shows the same tables.

mod failure;
mod refusal;

pub use failure::FailureCode;
pub use refusal::RefusalCode;

/// A row of the code tables in the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Explained {
    pub code: &'static str,
    pub meaning: &'static str,
    pub remedy: &'static str,
}

/// Defines an enum of codes with its text form: `Name = "text", Cause, "meaning", "remedy";`. Text
/// that matches no row becomes `Other`.
macro_rules! codes {
    (
        $(#[$doc:meta])* $enum:ident, other: $other:ident
        $($name:ident = $text:literal, $cause:ident, $meaning:literal, $remedy:literal;)*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $enum {
            $(#[doc = $meaning] $name,)*
            /// Any other text, such as a code of another version or one made up by a peer.
            Other(Box<str>),
        }

        impl $enum {
            /// All codes known to this version, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The rows of the documentation, in the order of [`Self::ALL`].
            pub const EXPLAINED: &[$crate::code::Explained] = &[$($crate::code::Explained {
                code: $text,
                meaning: $meaning,
                remedy: $remedy,
            },)*];

            /// The code's stable text, as sent and stored.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// The party that has to act on it.
            pub fn cause(&self) -> $crate::Cause {
                match self {
                    $(Self::$name => $crate::Cause::$cause,)*
                    Self::Other(_) => $crate::Cause::$other,
                }
            }
        }

        impl From<&str> for $enum {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Other(other.into()),
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl PartialEq<str> for $enum {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $enum {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl serde::Serialize for $enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $enum {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Ok(text.as_str().into())
            }
        }
    };
}
use codes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_read_as_what_was_written() {
        for code in FailureCode::ALL {
            assert_eq!(&FailureCode::from(code.as_str()), code);
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert_eq!(&serde_json::from_str::<FailureCode>(&json).unwrap(), code);
        }
        for code in RefusalCode::ALL {
            assert_eq!(&RefusalCode::from(code.as_str()), code);
        }
        let strange = FailureCode::from("of-tomorrow");
        assert_eq!(strange, FailureCode::Other("of-tomorrow".into()));
        assert_eq!(strange.as_str(), "of-tomorrow");
    }

    #[test]
    fn no_text_stands_for_two_codes() {
        let texts: BTreeSet<_> = FailureCode::ALL.iter().map(FailureCode::as_str).collect();
        assert_eq!(texts.len(), FailureCode::ALL.len());
        let texts: BTreeSet<_> = RefusalCode::ALL.iter().map(RefusalCode::as_str).collect();
        assert_eq!(texts.len(), RefusalCode::ALL.len());
    }

    /// These texts are stored in journals and read by other versions. Rows may be
    /// added but never changed.
    #[test]
    fn what_proves_cheating_is_known_by_its_text() {
        let proofs = FailureCode::ALL
            .iter()
            .filter(|code| code.is_proof_of_cheating());
        let texts: Vec<_> = proofs.map(FailureCode::as_str).collect();
        let expected = [
            "protocol",
            "peer-misbehaved",
            "equivocation",
            "signature-invalid",
            "result-mismatch",
        ];
        assert_eq!(texts, expected);
        assert!(!FailureCode::from("of-tomorrow").is_proof_of_cheating());
    }
}
