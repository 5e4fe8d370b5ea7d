//! The interfaces that a component may import, one file each. A new one is a file here and a row in
//! [`capabilities`](crate::contract::capabilities); the [`table`] does the rest.

pub(crate) mod clock;
pub(crate) mod config;
pub mod hs256;
pub(crate) mod http;
pub(crate) mod http_client;
pub(crate) mod interface;
pub(crate) mod key_ring;
pub(crate) mod keys;
pub(crate) mod local;
pub(crate) mod log;
pub(crate) mod resolve;
pub mod rs256;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod types;
pub(crate) mod wasi;
