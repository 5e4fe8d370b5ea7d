//! What a requester needs: build and sign tasks, hand them to a coordinator, follow them, and verify what comes back.
//!
//! The client trusts neither the coordinator nor the nodes. A new wallet counts only with the signed marks of all the nodes
//! that were ordered. Payloads are decoded here as well: signatures count only if there is one for each input, and each
//! verifies under the child key derived here. What has been verified once lies in a local [wallet book](book), and a
//! coordinator that later tells another story is refused. A wallet that was handed to another committee is believed if each
//! generation since the one in the book carries the marks of a quorum of the one before.
//!
//! What it cannot know: that a node's operator is who the requester believes. The committee is the list of node ids that
//! the requester gave when it ordered the wallet; compare these ids with their operators by another way.

pub mod api;
pub mod book;
mod client;
mod error;
pub mod profile;
mod proof;
pub mod requester_key;

pub use countersign_payload::{BitcoinForm, FinishError, Finished};

pub use client::{CheckUp, Client, NewWallet, ReshareOrder, SignOrder, Signature};
pub use error::ClientError;
pub use profile::Profile;
pub use requester_key::RequesterKey;
