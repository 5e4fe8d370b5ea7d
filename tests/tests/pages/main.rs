//! The examples of the pages under `docs/` whose values can be computed: read from the page, and
//! computed. A page cannot promise what the code does not do.

mod api;
mod codes;
mod configuration;
mod derivation;
mod fireblocks;
mod metrics;
mod node;
mod operations;
mod page;
mod payloads;
mod task_api;
mod webhook;
