//! Runs sessions: one driver for every task of every scheme, and one thread or child process for
//! every engine.

pub mod driver;
pub mod hearing;
pub mod news;
pub mod router;
pub mod worker;

pub use driver::{Participants, Run};
pub use news::{News, PeerNews};
pub use router::Router;
pub use worker::CpuPools;
