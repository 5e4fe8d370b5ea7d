//! `config`: the plugin's section of the node's configuration. Always available.

use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::config;
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::sandbox::call_state::CallState;
use crate::sandbox::terms::{Budget, Reach};

pub(crate) enum Config {}

impl Capability for Config {
    const INTERFACES: &'static [Interface] = &[Interface {
        name: "countersign:policy/config",
        pre_init: PreInit::Linked,
    }];
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

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        config::add_to_linker::<CallState, HasSelf<CallState>>(linker, |call| call)
    }

    fn link_for_pre_init(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        Self::link(linker)
    }
}

impl config::Host for CallState {
    fn document(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.document.to_string())
    }

    fn revision(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.context.revision.to_vec())
    }
}
