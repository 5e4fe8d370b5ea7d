//! Auxiliary information is made in a child process: `countersign-node aux-engine`, the node's own
//! program, which limits itself before it reads a byte.
//!
//! Its engine computes for seconds at a stretch, on numbers that peers chose, and a thread in the
//! middle of a modular exponentiation cannot be ended. A process can: it is killed and reaped when
//! its session ends for any reason, so that no computation outlives its task and the CPU pool is
//! free for the next one. Secrets go through its standard input and come back through its standard
//! output; no argument, variable or file holds any of them.
//!
//! This module has the queue of tasks ([`Queue`]), the node's end of the pipes ([`Program`]), the
//! child ([`aux_main`]) and the protocol between them (`wire`).

mod child;
mod program;
mod queue;
mod roll_call;
mod wire;

pub use child::aux_main;
pub use program::{AuxJob, Program};
pub use queue::{Place, Queue};
pub use roll_call::{Here, roll_call, room as roll_call_room};
