//! The families of chains whose transactions these rules can judge, by the namespace of CAIP-2. A
//! family that is not listed is never judged by the rules of another.

/// A family of chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    Eip155,
    Bip122,
    Solana,
    /// One that these rules do not know.
    Other,
}

impl Namespace {
    /// The namespace of a chain's CAIP-2 id.
    pub fn of(chain: &str) -> Self {
        match chain.split_once(':') {
            Some(("eip155", _)) => Self::Eip155,
            Some(("bip122", _)) => Self::Bip122,
            Some(("solana", _)) => Self::Solana,
            _ => Self::Other,
        }
    }
}
