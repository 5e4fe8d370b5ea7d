//! The SDK for authors of Countersign plugins.
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
//! An event receiver is likewise a type that implements [`EventReceiver`], exported with
//! [`export_event_receiver!`]. It is notified of the progress of tasks, and decides nothing.
//!
//! The crate type is `cdylib`, the target `wasm32-wasip2`; `cargo build` emits a component. A
//! plugin that never calls [`Host::send`] does not import `http`, so what a plugin *can* do is
//! visible in the binary.
//!
//! This crate never talks to a node by itself: all effects go through [`Host`].
//!
//! # Values in tasks
//!
//! Tasks show amounts, addresses and selectors as text or bytes. These types parse them, and
//! compare them as the chains do:
//!
//! ```
//! use countersign_sdk::{AddressMap, AddressSet, Amount, Selector, same_address};
//!
//! let limit = Amount::from_units("1.5", 18)?; // 1.5 ether in wei
//! let spent: Amount = "1499999999999999999".parse()?;
//! assert!(spent < limit);
//! assert_eq!(spent + &Amount::from(1), limit);
//! assert_eq!(limit.in_units(18), "1.5");
//! let price: Amount = "340282366920938463463374607431768211455".parse()?;
//! let product = price.checked_mul(&Amount::from(3)).unwrap();
//! assert_eq!(product.as_str(), "1020847100762815390390123822295304634365");
//!
//! let list = AddressSet::new([
//!     ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Some("cold storage")),
//!     ("eip155:1:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359", None),
//! ])?;
//! let found = list.find("eip155:137", "0x5AAEB6053f3e94c9b9a09f33669435e7ef1beaed").unwrap();
//! assert_eq!(found.label(), Some("cold storage"));
//! let elsewhere = list.find("eip155:137", "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359");
//! assert_eq!(elsewhere, None, "listed on another chain");
//!
//! let fees = AddressMap::new([("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359", 3)])?;
//! let mut fee = fees.find("eip155:1", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359");
//! assert_eq!(fee.next(), Some(&3));
//!
//! let (evm, bitcoin) = ("0xAB00000000000000000000000000000000000000", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT");
//! assert!(same_address(evm, "0xab00000000000000000000000000000000000000"));
//! assert!(!same_address(bitcoin, "1boatSLRHtKNngkdXEeobR76b53LETtpyT"));
//!
//! let transfer: Selector = "transfer(address,uint256)".parse()?;
//! let hex: Selector = "0xa9059cbb".parse()?;
//! assert_eq!(transfer, hex);
//! assert!(transfer.matches(&[0xa9, 0x05, 0x9c, 0xbb]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod operation;
mod parsed;
pub mod payload;
mod plugin;
mod receiver;
pub mod scheme;
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
