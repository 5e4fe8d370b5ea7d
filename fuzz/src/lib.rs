//! Fuzz targets: every reader of what others write, and what can be compared with another
//! implementation.
//!
//! A target is a function of bytes that must end: it panics if a promise is broken, and returns
//! whatever the bytes were. The same functions run in two ways. `cargo test -p countersign-fuzz`
//! puts in the seeds, the corpora under `corpus/` and some alterations of them; libFuzzer (`just
//! fuzz`) makes inputs of its own, led by coverage. Nothing here is part of a program.

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

/// Counts what each thread has allocated, for the bound that every target has.
#[global_allocator]
static ALLOCATOR: Counting = Counting;
