//! The types of the contract, which every world imports.

use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::types;
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::sandbox::call_state::CallState;
use crate::sandbox::terms::{Budget, Reach};

pub(crate) enum Types {}

impl Capability for Types {
    const INTERFACES: &'static [Interface] = &[
        Interface {
            name: "countersign:policy/types",
            pre_init: PreInit::Linked,
        },
        Interface {
            name: "countersign:policy/events",
            pre_init: PreInit::Traps,
        },
    ];
    const NEED: Need = Need::Nothing;
    const REACH: Reach = Reach::Sandbox;
    const BUDGET: Budget = Budget::UNLIMITED;

    type Grant = ();

    fn granted(_grants: &Grants) -> Option<&()> {
        Some(&())
    }

    fn anchors(_grants: &Grants, _services: &dyn Services) -> Vec<Anchor> {
        Vec::new()
    }

    /// Types without functions need no definition; `types` gets one because wasmtime generates it.
    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        types::add_to_linker::<CallState, HasSelf<CallState>>(linker, |call| call)
    }

    fn link_for_pre_init(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        Self::link(linker)
    }
}

impl types::Host for CallState {}
