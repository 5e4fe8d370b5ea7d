//! The chain of plugins that decides on a task: who is asked, in which order, what is recorded of
//! it, and how a recorded decision is replayed.

pub(crate) mod candidate;
pub(crate) mod chain;
pub(crate) mod comparison;
pub(crate) mod entry;
pub(crate) mod in_force;
pub(crate) mod lock;
mod monitor;
pub(crate) mod pipeline;
mod plan;
pub(crate) mod preview;
pub(crate) mod recording;
pub(crate) mod replay;
mod shadow;
pub(crate) mod status;
