//! Shared by end-to-end tests, the demo and the benches: real processes on loopback, an approval
//! server, and verifiers that share no code with the signers.

pub mod approver;
pub mod cluster;
pub mod event_server;
pub mod failpoint;
pub mod fixtures;
pub mod gate;
pub mod jwt;
pub mod load;
pub mod openssl;
pub mod oracle;
pub mod process;
pub mod release;
pub mod scripted;

pub use approver::{Approver, Script};
pub use cluster::{Blueprint, Cluster, NAMES, Node, Plugins, PrimeSource};
pub use event_server::EventServer;
pub use failpoint::Failpoint;
pub use gate::Gate;
pub use load::Load;
pub use release::Release;
