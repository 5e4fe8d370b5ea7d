//! Tasks: what is known of them ([`record`]), what happens next ([`flow`]), and when a result is
//! believed ([`proof`]).
//!
//! No I/O and no clock: time, who is on line and what nodes say are arguments; what to send comes
//! back.

mod choose;
pub mod flow;
pub mod proof;
pub mod record;
#[cfg(test)]
mod tests;
