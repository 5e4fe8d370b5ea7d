//! Runs one call of a guest in a fresh wasmtime store, within limits of time and memory. It knows
//! neither which interfaces exist nor where components come from.

pub(crate) mod call;
pub(crate) mod call_state;
pub(crate) mod context;
pub(crate) mod engine;
pub(crate) mod env;
pub(crate) mod states;
pub(crate) mod stop;
pub(crate) mod tape;
pub(crate) mod terms;
pub(crate) mod ticker;
