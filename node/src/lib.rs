//! The Countersign co-signer node: what its daemon and its command line are made of.
//!
//! [`daemon::run`] wires a node; `cli` is what an operator types. The way of a task is told in
//! [`task`].

#[macro_use(print, println, eprint, eprintln)]
extern crate countersign_stdio;

pub mod admin;
pub mod aux_cache;
pub mod backup;
pub mod check_ups;
pub mod cli;
pub mod config;
pub mod core;
pub mod daemon;
pub mod dispatch;
pub mod events;
pub mod harden;
pub mod heavy;
pub mod high_water;
pub mod key_switch;
pub mod metrics;
pub mod names;
mod parts;
mod patience;
pub mod primes;
pub mod public;
pub mod report;
pub mod risk;
pub mod session;
mod store_watch;
pub mod task;
pub mod twins;
pub mod vault;
