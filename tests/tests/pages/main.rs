//! The examples of the pages under `docs/` whose values can be computed: read from the page, and
//! computed. A page cannot promise what the code does not do. Links lead somewhere, and command
//! lines parse.

mod api;
mod book;
mod codes;
mod commands;
mod configuration;
mod derivation;
mod fireblocks;
mod formats;
mod metrics;
mod node;
mod operations;
mod page;
mod payloads;
mod task_api;
mod tutorial;
mod webhook;
