//! A JSON-RPC endpoint on loopback with the methods of EIP-1193, behind which an MPC wallet
//! signs: what ethers, viem, web3.py, Foundry and Hardhat take for a node with unlocked accounts.
//!
//! - Methods that sign become orders of this client. The exact transaction is encoded here, decoded
//!   again, shown, and signed as by `countersign sign`. No digest is ever signed blindly.
//! - Methods that only read go to the upstream RPC. It is trusted for nothing that is signed except
//!   nonce, gas and fees that the caller left open, and the fee is bounded. Everything else is
//!   refused.
//! - The sends of an account run one after the other, so that no nonce is lost or used twice.
//! - An order that waits for approvals goes on when its caller stops waiting. The same request
//!   takes it up again instead of paying a second time.
//!
//! Pages in a browser on this machine are kept out: see [`gate`]. Nothing here holds a key.

mod account;
mod desk;
mod error;
mod fees;
pub mod gate;
mod method;
mod request;
mod rpc;
mod server;
mod upstream;
mod value;
mod wallet;

#[cfg(test)]
mod tests;

pub use error::{RpcError, StartError};
pub use fees::{CoinError, Coins};
pub use gate::{Gate, GateError, Token};
pub use server::{Endpoint, Settings};
pub use upstream::{Upstream, UpstreamError};
pub use wallet::{Account, MpcWallet, Notice, Remarks, Signs};
