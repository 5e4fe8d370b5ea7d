//! The types of the contract, which every world imports.

use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, PreInit};
use crate::contract::bindings::countersign::policy::types;
use crate::contract::grants::Grants;
use crate::sandbox::call_state::CallState;

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

    type Grant = ();

    fn granted(_grants: &Grants) -> Option<&()> {
        Some(&())
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
