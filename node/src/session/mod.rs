//! Runs sessions: one driver for every task of every scheme, one thread or child process for every
//! engine.

pub mod driver;
pub mod news;
pub mod router;
pub mod worker;

pub use driver::{Run, Seats};
pub use news::{News, PeerNews};
pub use router::Router;
pub use worker::Lanes;
