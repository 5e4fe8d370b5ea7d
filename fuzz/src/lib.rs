//! Fuzz targets: every reader of foreign data, and everything that can be
//! compared with another implementation.
//!
//! A target is a terminating function of bytes: it panics if a promise is broken, and returns for
//! any bytes. The same functions run in two ways. `cargo test -p countersign-fuzz` tries the seeds,
//! the corpora under `corpus/` and some alterations of them; libFuzzer (`just fuzz`) makes inputs
//! of its own, guided by coverage. Nothing here is part of a program.

mod check;
mod corpus;
mod input;
mod memory;
mod target;
pub mod targets;

pub use corpus::{Corpus, CorpusError};
pub use memory::Counting;
pub use target::Target;
pub use targets::TARGETS;

/// Counts the allocations of each thread, for the memory bound of every target.
#[global_allocator]
static ALLOCATOR: Counting = Counting;
