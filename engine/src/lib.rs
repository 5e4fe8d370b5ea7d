//! Threshold schemes behind one trait; bytes in, bytes out.
//!
//! [`keygen`], [`aux_info`], [`sign`] and [`reshare`] each build an [`Engine`]: a struct that a
//! driver feeds with the bytes of other parties and polls for bytes to send, until it yields a
//! [`Share`], an [`Aux`], a [`Signature`] or [`Reshared`]. One driver therefore runs every task of
//! every [`Scheme`].
//!
//! This crate opens no socket and no file, reads no clock, starts no thread, and logs
//! nothing. Secrets leave it only through `to_bytes`, and a signature only after it was
//! verified under its key.

#[cfg(all(feature = "gmp", feature = "pure-rust"))]
compile_error!(
    "features `gmp` and `pure-rust` exclude each other: build `pure-rust` with `--no-default-features`"
);
#[cfg(not(any(feature = "gmp", feature = "pure-rust")))]
compile_error!(
    "choose the big integers of threshold ECDSA: feature `gmp` (default) or `pure-rust`"
);

mod adapter;
mod agree;
mod aux;
mod aux_info;
mod batch;
mod blame;
mod bounds;
pub mod check_up;
mod curve;
mod derive;
#[cfg(feature = "dkls23")]
pub mod dkls23;
mod ecdsa;
mod engine;
mod error;
mod frost;
mod gathered;
mod keygen;
mod memory;
pub mod primes;
mod proof;
mod random;
mod reshare;
mod room;
mod scheme;
mod sealed;
mod session;
mod share;
mod sign;

pub use countersign_protocol::{CommitteeIndex, Scheme};

pub use agree::{AgreeParams, agree};
pub use aux::Aux;
pub use aux_info::{AuxParams, Paillier, aux_info};
pub use batch::batch;
pub use derive::{ChildKey, DeriveError, derive_public};
pub use engine::{Engine, MAX_BODY, MessageKind, Outgoing, PartyIndex, Recipient, Step};
pub use error::{CallerFault, Cause, EngineError, EnvironmentFault, PeerFault, Verdict};
pub use keygen::{KeygenParams, MAX_PARTIES, MIN_PARTIES, keygen};
pub use memory::wipe_gmp_memory;
pub use primes::{Primes, SafePrime};
pub use reshare::{ReshareFault, ReshareParams, Reshared, Role, reshare};
pub use room::{agree_room, aux_info_room, keygen_room, reshare_room, sign_room};
pub use sealed::DecodeError;
pub use share::{PublicShare, Share};
pub use sign::{
    CheckError, Message, SignParams, Signature, check_signature, sign, verification_key,
};
