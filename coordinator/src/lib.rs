//! The coordinator: takes tasks over HTTP, asks nodes over QUIC, and relays
//! opaque bytes between them.
//!
//! It holds no share and no key that signs for anybody, cannot read what nodes say to each other,
//! and believes no result that it has not verified. The worst that it can do is deny service.
//!
//! A wallet is kept in all its generations. Each proves that it succeeds the one before, so a node
//! or client that was away receives the generations it missed and needs nobody's word.
//!
//! [`registry`] ties everything together, [`task`] decides what happens next to a task, [`session`]
//! speaks with a node, [`http`] with a caller, [`store`] is the database.

pub mod api_key;
pub mod approvers;
mod clean;
mod clock;
pub mod config;
pub mod http;
pub mod identity;
pub mod invitation;
pub mod metrics;
pub mod registry;
mod relay;
mod run;
pub mod session;
mod share;
pub mod signed_request;
pub mod store;
pub mod task;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod webhook;

pub use config::{Config, ConfigError};
pub use run::{Coordinator, RunError, Signals, run};
