//! Identifiers and time limits of requests to servers, shared by all plugins that ask servers, so
//! that none has weaker ones of its own.

use crate::Host;

/// Generates an id for one question of this node to one server: 128 random bits as 32 hex digits.
///
/// The task's id would not do: the requester chooses it, and it is the same at every node. A
/// requester and a coordinator that collude could order two things under one id, each from one
/// node. A server that both nodes ask, and that remembers its answers by request id, would then
/// answer the second with its answer to the first. An id that nobody else chooses and that is never
/// used twice ties an answer to one document: the one that first carried the id.
///
/// Draw an id for each decision and each server, and keep it for retries. If two servers that share
/// a key were asked under one id, the second could repeat the first's answer as its own.
pub fn request_id(host: &impl Host) -> String {
    hex::encode(&host.random()[..16])
}

/// Returns the time for one try in milliseconds: `limit` seconds, at most `left` milliseconds.
pub fn timeout_ms(limit: u32, left: u64) -> u32 {
    let limit = limit.saturating_mul(1000);
    u32::try_from(left).map_or(limit, |left| left.min(limit))
}

/// Generates a nonce for one try: 256 random bits as 64 hex digits. An answer that repeats it was
/// made after the question, and for this try.
pub fn nonce(host: &impl Host) -> String {
    hex::encode(host.random())
}
