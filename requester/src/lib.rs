//! The rules of a requester: how an order is made and signed, what is believed of the answers,
//! which votes count, how a payload is shown, and what an audit bundle proves.
//!
//! The same code judges in the Rust client and, compiled to WebAssembly, in the clients for other
//! languages. It performs no I/O and reads no clock; time, randomness and the contents of files are
//! arguments.

pub mod audit;
pub mod belief;
pub mod book;
pub mod count;
pub mod describe;
mod error;
pub mod known;
mod names;
pub mod order;
mod pages;
pub mod profile;
pub mod proof;
pub mod request;
pub mod requester_key;
mod secret;
pub mod succession;
mod utc;
pub mod voting;
pub mod voting_key;
pub mod webhook;

pub use error::BeliefError;
pub use known::Known;
pub use profile::Profile;
pub use requester_key::RequesterKey;
pub use utc::utc;
pub use voting_key::VotingKey;
