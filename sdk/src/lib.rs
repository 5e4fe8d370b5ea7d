//! What the author of a Countersign plugin imports.
//!
//! A plugin is a type that implements [`Plugin`], and one line that exports it:
//!
//! ```
//! use countersign_sdk::*;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     chains: Vec<String>,
//! }
//!
//! struct ChainList;
//!
//! impl Plugin for ChainList {
//!     type Config = Config;
//!     const NAME: &'static str = "chain-list";
//!     const DESCRIPTION: &'static str = "Lets only listed chains through.";
//!
//!     fn evaluate(config: &Config, task: &Task, _host: &impl Host) -> Result<Verdict, Failure> {
//!         match task.transaction() {
//!             Some(tx) if config.chains.contains(&tx.chain) => approve(),
//!             Some(tx) => reject("chain-not-allowed", format!("{} is not listed", tx.chain)),
//!             None => reject("not-a-transaction", "only transactions are allowed"),
//!         }
//!     }
//! }
//!
//! export_plugin!(ChainList);
//!
//! let host = testing::MockHost::default();
//! let config = Config { chains: vec!["eip155:1".into()] };
//! let task = testing::transfer("eip155:1", "0xabc", "1");
//! assert!(matches!(ChainList::evaluate(&config, &task, &host), Ok(Verdict::Approve)));
//! ```
//!
//! A receiver of events is likewise a type that implements [`EventReceiver`], exported with
//! [`export_event_receiver!`]. It is told what became of tasks, and decides nothing.
//!
//! The crate type is `cdylib`, the target `wasm32-wasip2`; `cargo build` emits a component. A
//! plugin that never calls [`Host::send`] does not import `http`, so what a plugin *can* do is
//! visible in the binary.
//!
//! This crate never talks to a node by itself: all effects go through [`Host`].

mod address;
mod amount;
mod asking;
mod asset_names;
#[doc(hidden)]
pub mod bindings;
mod export;
mod export_receiver;
mod failure;
mod host;
pub mod json;
pub mod jwt;
#[cfg(target_family = "wasm")]
mod node;
mod parsed;
pub mod payload;
mod plugin;
mod receiver;
mod selector;
mod task;
pub mod testing;

pub use address::{AddressEntry, AddressError, AddressMap, AddressSet, same_address};
pub use amount::{Amount, AmountError};
pub use asking::{nonce, request_id, timeout_ms};
pub use asset_names::{AssetName, AssetNameError, AssetNames};
pub use bindings::countersign::policy::http::{Error as HttpError, Request, Response};
pub use bindings::countersign::policy::keys::Error as KeyError;
pub use bindings::countersign::policy::logging::Level;
pub use bindings::countersign::policy::state::Error as StateError;
pub use bindings::countersign::policy::types::{
    Call, Destination, Failure, Grant, Info, Input, Intent, Key, KeyShareCheck, KeyShareSigning,
    Keygen, Operation, Origin, Principal, Rejection, Resharing, Signing, Statement, Task,
    Transaction, TypedData, Verdict,
};
pub use bindings::event::countersign::policy::events::{
    End, Event, NewKey, Participant, ShareSignature, Signature, Stage, Success, What,
};
pub use host::Host;
pub use plugin::{Plugin, approve, reject};
pub use receiver::EventReceiver;
pub use selector::{Selector, SelectorError};
pub use task::{Rights, Shown};

/// For the expansion of [`export_plugin!`]; not part of the interface.
#[doc(hidden)]
pub mod private {
    pub use wit_bindgen;

    #[cfg(target_family = "wasm")]
    pub use crate::export::{check, describe, evaluate, observe, probe};
    #[cfg(target_family = "wasm")]
    pub use crate::export_receiver::{check_receiver, deliver, describe_receiver};
    pub use crate::parsed::Parsed;
}

// Generated code names this crate from the outside, in plugins as well as here.
extern crate self as countersign_sdk;
