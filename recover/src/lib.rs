//! Offline recovery: recovery files of nodes, and the private key that enough of them make.
//!
//! This is the one place where a whole private key may exist: on a machine of the owner's choice,
//! without a network. Of all programs only the node links this crate, for the half that writes
//! ([`Group::new`], [`ExportedShare::seal`], [`write()`]); no coordinator or client does.
//!
//! From files to keys: [`read`] a file of each node, make a [`Recovery`] of them,
//! [`ExportedShare::open`] each with its password, [`Recovery::combine`]. Every step proves what it
//! can: that the files are of one wallet and of different nodes, that the public shares make the
//! public root key, that each share matches its public share, and that the result
//! matches the root key.

#[macro_use(println, eprintln)]
extern crate countersign_stdio;

mod address_list;
pub mod cli;
mod combine;
mod curve;
mod extended;
mod file;
mod group;
mod password;
mod path;
mod sealed;
mod secret;
mod shamir;
mod share_id;
mod token;

pub use address_list::{AddressList, AddressListError, RecoveredList, Unlike};
pub use combine::{CombineError, MatchError, OpenedShare, Recovery, RootError};
pub use curve::Curve;
pub use extended::{DeriveKeyError, ExtendedPrivateKey, ParseKeyError};
pub use file::{ExportedShare, MAX_FILE, ReadError, SealShareError, Shape, Version, read, write};
pub use group::{Group, GroupError, GroupInfo, MAX_PARTICIPANTS, Participant};
pub use password::{Password, PasswordError};
pub use path::{KeyPath, KeyPathError};
pub use sealed::{Hash, ITERATIONS, MAX_ITERATIONS, OpenError, SealError, Sealed};
pub use secret::{Secret, SecretError};
pub use share_id::{ShareId, ShareIdError};
pub use token::{Token, TokenError};
