//! Tasks: their records ([`record`]), their next steps ([`flow`]), and the verification
//! of their results ([`proof`]).
//!
//! No I/O and no clock: time, the nodes online and their frames are arguments; frames
//! to send are returned.

pub(crate) mod choose;
pub mod explain;
pub mod flow;
pub mod proof;
pub mod record;
#[cfg(test)]
mod tests;
pub mod votes;
