//! From a file to a component that may run: custody, signature, compilation, linking against the
//! grants, and the plugins and event receivers that come of it.

pub(crate) mod admit;
pub(crate) mod ask;
pub(crate) mod bundle_signature;
pub(crate) mod cache;
pub(crate) mod compile;
pub(crate) mod compiler;
pub(crate) mod compiler_child;
pub(crate) mod error;
pub(crate) mod folder;
pub(crate) mod host;
mod install;
mod load;
#[cfg(test)]
mod next;
pub(crate) mod plugin;
pub(crate) mod pre_init;
pub(crate) mod receiver;
pub(crate) mod signature;
pub(crate) mod spec;
pub(crate) mod store;
pub(crate) mod version;
