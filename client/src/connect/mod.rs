//! Wallets in the tools that people already use: an endpoint for tools of Ethereum ([`evm`]), and
//! the external signer of Bitcoin Core ([`bitcoin`]).
//!
//! Each translates a foreign protocol into orders of this client. What such a tool asks for is
//! decoded, ordered and verified exactly as `countersign sign` does; nothing else is ever signed.

pub mod bitcoin;
pub mod evm;
