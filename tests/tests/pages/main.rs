//! The examples of the pages under `docs/` whose values can be computed: read out of the page, and
//! computed. A page cannot say what the code does not do.

mod codes;
mod derivation;
mod fireblocks;
mod node;
mod page;
mod payloads;
mod task_api;
mod webhook;
