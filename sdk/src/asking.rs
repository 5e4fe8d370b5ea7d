//! Names for questions that a plugin puts to a server. All plugins that ask somebody take them from
//! here, so that none has a weaker one of its own.

use crate::Host;

/// Names one question of one node for one server: 32 hex digits, 128 random bits.
///
/// It is not the task's id. That one is the requester's choice and the same for every node that is
/// asked: a requester and a coordinator together could order two things under one id, each of one
/// node, and a server that both nodes ask, and that remembers its answers by request id, would
/// answer the second with its answer to the first. An id that nobody else chooses and nobody uses
/// twice gives an answer one meaning: the document that first carried the id.
///
/// Draw one for each decision and each server. With one id for two servers that share a key, the
/// answer of one, repeated by the other, would count as that one's own. A further try keeps its id.
pub fn request_id(host: &impl Host) -> String {
    hex::encode(&host.random()[..16])
}

/// Names one try: 64 hex digits, 256 random bits. An answer that repeats it was made after the
/// question, and for this try.
pub fn nonce(host: &impl Host) -> String {
    hex::encode(host.random())
}
