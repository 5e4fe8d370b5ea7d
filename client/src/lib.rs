//! The requester's library: build and sign tasks, submit them to a coordinator, follow them, and
//! verify what comes back.
//!
//! The client trusts neither the coordinator nor the nodes. A new wallet counts only with the
//! signed acknowledgements of all the nodes that were ordered. Payloads are decoded here as well:
//! signatures count only if there is one for each input, and each verifies under the
//! child key derived here.
//!
//! A wallet that others ordered is believed at first sight only if the [profile] names every node
//! that ever held it and the requester who ordered it, or if a person compared both and said so
//! ([belief]). Believed wallets are kept in a local [wallet book](book), with the reason, and a
//! coordinator that later contradicts it is refused. A wallet that was reshared to another
//! committee is followed if each generation since the one in the book carries the acknowledgements
//! of a quorum of the one before.
//!
//! Whoever votes on a task with an approver's key votes on bytes that were verified and decoded
//! here, and counts only votes that prove themselves.
//!
//! It cannot know that a node's operator is who the requester believes. Node ids and requester ids
//! in the profile must come from their owners, never from a coordinator.

pub mod access;
pub mod api;
pub mod api_key;
pub mod book;
mod client;
pub mod connect;
pub mod console;
mod error;
mod key_file;
pub mod profile;
pub mod requester_key;
mod secret_file;
pub mod voting_key;

pub use countersign_audit as audit;
pub use countersign_payload::{BitcoinForm, FinishError, Finished};
pub use countersign_requester::audit as auditing;
pub use countersign_requester::order::SignOrder;
pub use countersign_requester::{BeliefError, belief, utc};
pub use countersign_strict::is_this_machine;

pub use api_key::ApiKey;
pub use client::{
    CheckUp, Client, Count, Examined, Feed, Finding, Judged, Listed, NewWallet, News, Pushed,
    ReshareOrder, Signature, Standing, VoteError, verify_audit,
};
pub use error::ClientError;
pub use profile::Profile;
pub use requester_key::RequesterKey;
pub use voting_key::VotingKey;
