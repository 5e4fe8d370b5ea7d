//! The implementation of [`Host`] inside a component: every method calls one import.

use crate::Host;

/// The node that runs this component.
pub(crate) struct Node;

impl Host for Node {
    /// Uses WASI's generator, which the node backs by its own, so that the component's memory keeps
    /// no state of a generator.
    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the node has randomness");
        bytes
    }
}
