//! The parts of WASI 0.2 that language runtimes import unasked: clocks, randomness, standard
//! streams and an empty environment. No files, no sockets: there is nothing to link them to.

use wasmtime::component::Linker;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::WasiRandom;

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::sandbox::call_state::CallState;
use crate::sandbox::terms::{Budget, Reach};

pub(crate) enum Wasi {}

impl Capability for Wasi {
    /// The environment is empty, and the seed of hash tables is recorded with every decision.
    const INTERFACES: &'static [Interface] = &[
        linked("wasi:cli/environment"),
        linked("wasi:cli/exit"),
        traps("wasi:cli/stdin"),
        traps("wasi:cli/stdout"),
        traps("wasi:cli/stderr"),
        traps("wasi:cli/terminal-input"),
        traps("wasi:cli/terminal-output"),
        traps("wasi:cli/terminal-stdin"),
        traps("wasi:cli/terminal-stdout"),
        traps("wasi:cli/terminal-stderr"),
        traps("wasi:clocks/monotonic-clock"),
        traps("wasi:clocks/wall-clock"),
        traps("wasi:io/error"),
        traps("wasi:io/poll"),
        traps("wasi:io/streams"),
        traps("wasi:random/random"),
        traps("wasi:random/insecure"),
        linked("wasi:random/insecure-seed"),
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

    fn link(l: &mut Linker<CallState>) -> wasmtime::Result<()> {
        Self::link_for_pre_init(l)?;
        wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
        random::insecure::add_to_linker::<CallState, WasiRandom>(l, |c| c.ctx().ctx.random())?;
        cli::terminal_input::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
        cli::terminal_output::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
        cli::terminal_stdin::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
        cli::terminal_stdout::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
        cli::terminal_stderr::add_to_linker::<CallState, WasiCli>(l, CallState::cli)
    }

    fn link_for_pre_init(l: &mut Linker<CallState>) -> wasmtime::Result<()> {
        random::insecure_seed::add_to_linker::<CallState, WasiRandom>(l, |c| c.ctx().ctx.random())?;
        cli::environment::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
        cli::exit::add_to_linker::<CallState, WasiCli>(l, CallState::cli)
    }
}

const fn linked(name: &'static str) -> Interface {
    Interface {
        name,
        pre_init: PreInit::Linked,
    }
}

const fn traps(name: &'static str) -> Interface {
    Interface {
        name,
        pre_init: PreInit::Traps,
    }
}
