//! A fuzz target, and its execution on one input.

use countersign_protocol::PayloadKind;

use crate::memory;

const MIB: usize = 1 << 20;

/// A function to be fuzzed, with its bounds.
pub struct Target {
    /// Names the target on the command line and its corpus, `corpus/<name>.txt`.
    pub name: &'static str,
    /// Panics if a promise is broken. Returns true if the input was read rather than refused.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to begin with: fixtures, and values of every variant.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longer inputs are not tried.
    pub max_bytes: usize,
    /// Limit on the memory in use for any input, in bytes.
    pub max_memory: usize,
    /// Number of alterations of each seed in a test run.
    pub alterations: usize,
    /// The kind of the payloads that it decodes, for a target of one kind.
    pub kind: Option<PayloadKind>,
}

impl Target {
    /// A target with the usual bounds: 64 KiB of input, 16 MiB of memory.
    pub(crate) const fn new(
        name: &'static str,
        run: fn(&[u8]) -> bool,
        seeds: fn() -> Vec<Vec<u8>>,
    ) -> Self {
        Self {
            name,
            run,
            seeds,
            max_bytes: 64 << 10,
            max_memory: 16 * MIB,
            alterations: 200,
            kind: None,
        }
    }

    pub(crate) const fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    pub(crate) const fn max_memory_mib(self, mib: usize) -> Self {
        Self {
            max_memory: mib * MIB,
            ..self
        }
    }

    pub(crate) const fn alterations(self, alterations: usize) -> Self {
        Self {
            alterations,
            ..self
        }
    }

    pub(crate) const fn of_kind(self, kind: PayloadKind) -> Self {
        Self {
            kind: Some(kind),
            ..self
        }
    }

    /// Runs on one input. Panics as the target does, and if it exceeds its memory limit. Returns
    /// true if the input was read.
    pub fn try_input(&self, input: &[u8]) -> bool {
        let (was_read, most) = memory::peak(|| (self.run)(input));
        assert!(
            most <= self.max_memory,
            "{} took {most} bytes of memory",
            self.name
        );
        was_read
    }
}
