//! `clock`: time and pauses. Always available.

use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::clock;
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::contract::trace::{AnswerSize, Asked};
use crate::sandbox::call_state::CallState;
use crate::sandbox::terms::{Budget, Reach};

/// The longest single pause, in milliseconds; the deadline comes sooner.
const NAP: u64 = 24 * 3600 * 1000;

pub(crate) enum Clock {}

impl Capability for Clock {
    const INTERFACES: &'static [Interface] = &[Interface {
        name: "countersign:policy/clock",
        pre_init: PreInit::Traps,
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
        clock::add_to_linker::<CallState, HasSelf<CallState>>(linker, |call| call)
    }
}

impl clock::Host for CallState {
    /// The clock records its readings itself.
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    /// The call's own deadline cuts this off.
    async fn sleep(&mut self, milliseconds: u64) -> wasmtime::Result<()> {
        let asked = Asked::new("clock.sleep", milliseconds.to_string(), &[]);
        let nap = Duration::from_millis(milliseconds.min(NAP));
        self.answer_later::<Clock, _, _>(1, asked, |_, _| tokio::time::sleep(nap))
            .await
    }
}

impl AnswerSize for () {
    fn size(&self) -> usize {
        0
    }
}
