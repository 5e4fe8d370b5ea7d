//! The coordinator: takes tasks over HTTP, asks nodes over QUIC, and relays opaque bytes between
//! them.
//!
//! It holds no share and no key that signs for anybody, cannot read what nodes say to each other,
//! and believes no result that it has not verified. What it can do is deny service.
//!
//! A wallet is kept in all its generations. Each proves that it succeeds the one before, so whoever
//! was away, node or client, is handed those that it missed and needs nobody's word.
//!
//! [`desk`] is where everything meets, [`task`] says what happens next to a task, [`session`]
//! speaks with a node, [`http`] with a caller, [`store`] remembers.

pub mod api_key;
mod clean;
mod clock;
pub mod config;
pub mod desk;
pub mod http;
pub mod identity;
mod relay;
mod run;
pub mod session;
mod share;
pub mod store;
pub mod task;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError};
pub use run::{Coordinator, RunError, Signals, run};
