//! One call into a component: a fresh store, its limits and the answer. Nothing else survives the
//! call.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;
use wasmtime::component::Linker;
use wasmtime::{Engine, Store};

use crate::contract::code::Code;
use crate::contract::trace::{Divergence, Trace};
use crate::sandbox::call_state::{CallOptions, CallState, charge_tick};
use crate::sandbox::context::Context;
use crate::sandbox::states::States;
use crate::sandbox::stop::{CallFailure, failure};
use crate::sandbox::ticker::{Running, Ticker};

/// Bytes that one call may pass to the host in all.
const TRANSFER: usize = 4 << 20;

/// Runs calls. All plugins share one.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<CallState>,
    /// As many permits as the pool has slots: an exhausted pool is an error, an
    /// exhausted semaphore a queue.
    slots: Semaphore,
    ticker: Ticker,
}

/// A question that a component's export answers. It knows how to make an
/// instance, of whatever world.
pub(crate) trait Ask {
    type Answer: Send;

    fn ask(
        self,
        store: &mut Store<CallState>,
    ) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

/// Answer and remains of a call.
pub(crate) struct Finished<T> {
    pub(crate) result: Result<T, CallFailure>,
    pub(crate) states: States,
    pub(crate) trace: Trace,
    pub(crate) divergence: Option<Divergence>,
    /// True if a replay wrote to its memory what is not on record, or left out what is.
    pub(crate) wrote_otherwise: bool,
}

impl Sandbox {
    pub(crate) fn new(
        engine: Engine,
        linker: Linker<CallState>,
        slots: u32,
    ) -> std::io::Result<Self> {
        let ticker = Ticker::start(&engine)?;
        let slots = Semaphore::new(slots as usize);
        Ok(Self {
            engine,
            linker,
            slots,
            ticker,
        })
    }

    /// Puts `ask` to a new instance, until `cut_off` at the latest.
    pub(crate) async fn call<A: Ask>(
        &self,
        context: &Arc<Context>,
        cut_off: Instant,
        ask: A,
    ) -> Finished<A::Answer> {
        self.call_with(CallOptions::default(), context, cut_off, ask)
            .await
    }

    pub(crate) async fn call_with<A: Ask>(
        &self,
        options: CallOptions,
        context: &Arc<Context>,
        cut_off: Instant,
        ask: A,
    ) -> Finished<A::Answer> {
        let Ok(Some(running)) = timeout_at(cut_off.into(), self.enter()).await else {
            return Finished::never(CallFailure::new(
                Code::Busy,
                "all instances were in use; raise the number of slots",
            ));
        };
        let Some(state) = CallState::new(context.clone(), options) else {
            return Finished::never(CallFailure::new(
                Code::Busy,
                "the operating system gave no randomness",
            ));
        };
        let mut store = self.store(state);
        let answer = timeout_at(cut_off.into(), ask.ask(&mut store)).await;
        let mut state = store.into_data();
        // The pool has a free slot only after the store is gone.
        drop(running);
        let result = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failure(&error, &state.stdio.contents())),
            Err(_) => Err(CallFailure::new(
                Code::Timeout,
                "no answer in the time that was left to it",
            )),
        };
        Finished {
            result,
            divergence: state.tape.divergence(),
            wrote_otherwise: state.tape.wrote_otherwise(),
            states: std::mem::take(&mut state.states),
            trace: state.into_trace(),
        }
    }

    /// Waits for a slot, and keeps the epoch clock running until the result is dropped.
    pub(crate) async fn enter(&self) -> Option<Entered<'_>> {
        let slot = self.slots.acquire().await.ok()?;
        Some(Entered {
            _timed: self.ticker.run(),
            _slot: slot,
        })
    }

    pub(crate) fn store(&self, state: CallState) -> Store<CallState> {
        let cpu_ms = state.context.grants.cpu_ms;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(TRANSFER);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |store| charge_tick(store, cpu_ms));
        store
    }
}

/// The right to run one store. Dropped after the store.
pub(crate) struct Entered<'s> {
    _timed: Running<'s>,
    _slot: SemaphorePermit<'s>,
}

impl<T> Finished<T> {
    fn never(failure: CallFailure) -> Self {
        Self {
            result: Err(failure),
            states: States::default(),
            trace: Trace::default(),
            divergence: None,
            wrote_otherwise: false,
        }
    }
}
