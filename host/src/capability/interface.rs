//! The definition of a capability, and of the terms on which a component gets it.

use wasmtime::component::Linker;

use crate::contract::anchor::Anchor;
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::sandbox::call_state::CallState;
use crate::sandbox::terms::{Budget, Reach, Terms};

/// One interface that a component may import.
pub(crate) struct Interface {
    /// Full name without version, e.g. `countersign:policy/http`.
    pub(crate) name: &'static str,
    pub(crate) pre_init: PreInit,
}

/// The meaning of an import for pre-initialisation, in which the memory of one instance becomes the
/// initial memory of all later calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreInit {
    /// Answers the same in every call, so `check` may use it.
    Linked,
    /// Answers differently in other calls, so using it in `check` ends the attempt.
    Traps,
    /// Shows something to the outside, and a pre-initialised guest could repeat
    /// a nonce: never pre-initialised.
    Forbidden,
}

/// The operator's consent that an import requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// A grant; the text tells the operator how to give it.
    Grant(&'static str),
}

/// A group of interfaces that are granted, linked and budgeted together.
///
/// A new one is a file in this folder with an implementation of this trait and of the traits that
/// wasmtime generates from the WIT, and a row in [`capabilities`](crate::contract::capabilities).
/// Its imports take their answers from [`CallState::answer`], which counts and records them,
/// answers from the record in a replay, and alone gives access to the node's services.
pub(crate) trait Capability: 'static {
    const INTERFACES: &'static [Interface];
    const NEED: Need;
    const REACH: Reach;
    const BUDGET: Budget;

    /// The operator's grant; `()` if none is needed.
    type Grant: ?Sized;

    /// Returns `None` if nothing is granted, so that a component with the import is not loaded.
    fn granted(grants: &Grants) -> Option<&Self::Grant>;

    /// Takes the grant away for calls that must not reach outside the node. Required
    /// of capabilities with [`PreInit::Forbidden`].
    fn revoke(_grants: &mut Grants) {}

    /// The keys and authorities on which answers under this grant depend. They are
    /// recorded with every decision.
    fn anchors(grants: &Grants, services: &dyn Services) -> Vec<Anchor>;

    /// Links all its interfaces.
    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()>;

    /// Links its interfaces with [`PreInit::Linked`] and no others.
    fn link_for_pre_init(_linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl<C: Capability> Terms for C {
    const BUDGET: Budget = C::BUDGET;
    const REACH: Reach = C::REACH;
}
