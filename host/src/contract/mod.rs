//! The vocabulary that the host shares with guests (`wit/policy.wit`), with the node and with the
//! journal. Plain data and traits: nothing in here runs a guest.

pub(crate) mod anchor;
pub(crate) mod bindings;
pub(crate) mod capabilities;
pub(crate) mod code;
pub(crate) mod digest;
pub(crate) mod evaluation;
pub(crate) mod event;
pub(crate) mod grants;
pub(crate) mod role;
pub(crate) mod services;
pub(crate) mod task;
pub(crate) mod text;
pub(crate) mod trace;
