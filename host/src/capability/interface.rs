//! The definition of a capability, and of the terms on which a component gets it.

use wasmtime::component::Linker;

use crate::contract::anchor::Anchor;
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::sandbox::call_state::CallState;
use crate::sandbox::states::States;
use crate::sandbox::stop::Stop;

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

/// The calls of a capability's imports that one call of the guest may make.
pub(crate) struct Budget {
    pub(crate) most: u32,
    /// Plural, for the message with which the call is stopped.
    pub(crate) of: &'static str,
}

impl Budget {
    /// For a capability whose calls are not counted.
    pub(crate) const UNLIMITED: Self = Self {
        most: u32::MAX,
        of: "calls",
    };
}

/// A group of interfaces that are granted, linked and budgeted together.
///
/// A new one is a file in this folder with an implementation of this trait and of the traits that
/// wasmtime generates from the WIT, and a row in [`capabilities`](crate::contract::capabilities).
/// Its imports must take their answers from [`CallState::answer`], which records them, and answers
/// from the record in a replay.
pub(crate) trait Capability: 'static {
    const INTERFACES: &'static [Interface];
    const NEED: Need = Need::Nothing;
    const BUDGET: Budget = Budget::UNLIMITED;

    /// The operator's grant; `()` if none is needed.
    type Grant: ?Sized;

    /// Returns `None` if nothing is granted, so that a component with the import is not loaded.
    fn granted(grants: &Grants) -> Option<&Self::Grant>;

    /// Takes the grant away for calls that must not reach outside the node. Required
    /// of capabilities with [`PreInit::Forbidden`].
    fn revoke(_grants: &mut Grants) {}

    /// The keys and authorities on which answers under this grant depend.
    fn anchors(_grants: &Grants, _services: &dyn Services) -> Vec<Anchor> {
        Vec::new()
    }

    /// Links all its interfaces.
    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()>;

    /// Links its interfaces with [`PreInit::Linked`] and no others.
    fn link_for_pre_init(_linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        Ok(())
    }

    /// Counts one use against the budget. Returns the number of uses so far.
    fn spend(states: &mut States) -> Result<u32, Stop>
    where
        Self: Sized,
    {
        let spent = states.of::<Spent<Self>>();
        spent.0 = spent.0.saturating_add(1);
        if spent.0 > Self::BUDGET.most {
            return Err(Stop::Budget(Self::BUDGET.of));
        }
        Ok(spent.0)
    }
}

/// Uses of one capability in one call.
struct Spent<C>(u32, std::marker::PhantomData<fn() -> C>);

impl<C> Default for Spent<C> {
    fn default() -> Self {
        Self(0, std::marker::PhantomData)
    }
}
