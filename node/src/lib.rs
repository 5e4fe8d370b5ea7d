//! The Countersign co-signer node: the parts of its daemon, and those shared with its command line.
//!
//! [`daemon::run`] wires and runs a node. The module [`task`] describes the path of a task.

#[macro_use(eprintln)]
extern crate countersign_stdio;

mod activation;
pub mod admin;
pub mod audit_export;
mod aux_cache;
pub mod backtest;
pub mod backup;
pub mod bundle;
mod calendar;
pub mod check_ups;
pub mod config;
pub mod contacts;
pub mod daemon;
mod dispatch;
mod drain;
pub mod events;
pub mod heavy;
mod high_water;
pub mod key_switch;
pub mod metrics;
pub mod names;
mod node_key;
mod off_thread;
pub mod overview;
mod own_keys;
mod parts;
pub mod past_decisions;
pub mod patience;
pub mod primes;
mod priority;
pub mod public;
mod reload;
mod report;
mod retention;
pub mod risk;
pub mod session;
#[cfg(test)]
mod specimen;
mod start_error;
mod status;
mod store_watch;
pub mod task;
#[cfg(test)]
mod test_node;
mod twins;
pub mod vault;
mod wiring;
pub mod world;
