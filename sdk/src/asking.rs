//! Identifiers and time limits of questions to servers. All plugins that ask servers use these, so
//! that none has weaker ones of its own.

use crate::Host;

/// Names one question of one node for one server: 32 hex digits, 128 random bits.
///
/// It is not the task's id. That one is the requester's choice and the same for every node that is
/// asked: a requester and a coordinator together could order two things under one id, each from one
/// node, and a server that both nodes ask, and that remembers its answers by request id, would
/// answer the second with its answer to the first. An id that nobody else chooses and nobody uses
/// twice gives an answer one meaning: the document that first carried the id.
///
/// Draw one for each decision and each server. With one id for two servers that share a key, the
/// answer of one, repeated by the other, would count as the other's own. A retry keeps its id.
pub fn request_id(host: &impl Host) -> String {
    hex::encode(&host.random()[..16])
}

/// The time for one try in milliseconds: `limit` seconds, or the `left` milliseconds
/// if those are fewer.
pub fn timeout_ms(limit: u32, left: u64) -> u32 {
    let limit = limit.saturating_mul(1000);
    u32::try_from(left).map_or(limit, |left| left.min(limit))
}

/// Names one try: 64 hex digits, 256 random bits. An answer that repeats it was made after the
/// question, and for this try.
pub fn nonce(host: &impl Host) -> String {
    hex::encode(host.random())
}
