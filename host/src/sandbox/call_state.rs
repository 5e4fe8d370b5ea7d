//! The data of one wasmtime store: a guest's context, clock, tape and limits for a single call.

use std::future::Future;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::contract::trace::{Asked, Recordable, Trace};
use crate::sandbox::context::Context;
use crate::sandbox::engine::TABLE_ELEMENTS;
use crate::sandbox::env::{self, Clock, sandbox_env};
use crate::sandbox::states::States;
use crate::sandbox::stop::Stop;
use crate::sandbox::tape::{Playback, Played, Tape};
use crate::sandbox::terms::{Spent, Terms, Within};

/// Bytes of standard output and error that are kept.
const STDIO: usize = 4 << 10;

/// Options of a single call.
#[derive(Default)]
pub(crate) struct CallOptions {
    /// If set, imports are replayed from this trace.
    pub(crate) replay: Option<Playback>,
    /// Seed of all randomness where there is no trace; drawn at random by default.
    pub(crate) seed: Option<[u8; 32]>,
    /// State that capabilities begin with.
    pub(crate) states: States,
}

/// The data of one store.
pub(crate) struct CallState {
    pub(crate) context: Arc<Context>,
    pub(crate) clock: Clock,
    pub(super) tape: Tape,
    pub(crate) states: States,
    pub(crate) limiter: Limiter,
    pub(crate) stdio: MemoryOutputPipe,
    seed: [u8; 32],
    ticks: u64,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl CallState {
    /// Returns `None` if the operating system gives no randomness.
    pub(crate) fn new(context: Arc<Context>, options: CallOptions) -> Option<Self> {
        let (seed, clock, tape) = match options.replay {
            Some(Playback { trace, asks }) => (
                trace.seed,
                Clock::playing(trace.readings),
                Tape::playing(trace.calls, asks),
            ),
            None => {
                let seed = options.seed.or_else(env::seed)?;
                (seed, Clock::at(context.services.now()), Tape::recording())
            }
        };
        let stdio = MemoryOutputPipe::new(STDIO);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdio.clone()).stderr(stdio.clone());
        sandbox_env(&mut wasi, seed, &clock);
        Some(Self {
            limiter: Limiter {
                used: 0,
                granted: context.grants.memory_bytes,
            },
            context,
            clock,
            tape,
            states: options.states,
            stdio,
            seed,
            ticks: 0,
            wasi: wasi.build(),
            table: ResourceTable::new(),
        })
    }

    /// Answers an import of `C`: counts it, and returns the recorded answer in a replay; else calls
    /// `make` and records its answer.
    pub(crate) fn answer<C: Terms, T: Recordable>(
        &mut self,
        asked: Asked,
        make: impl FnOnce(&mut Self, &Within<C>) -> T,
    ) -> wasmtime::Result<T> {
        self.count::<C>()?;
        if let Some(answer) = self.replayed(&asked)? {
            return Ok(answer);
        }
        let within = self.context.services.within();
        let answer = make(self, &within);
        self.tape.note(asked, &answer);
        Ok(answer)
    }

    /// Like [`answer`](Self::answer), for an answer that takes time and counts as many `uses`.
    pub(crate) async fn answer_later<C: Terms, T: Recordable, F: Future<Output = T>>(
        &mut self,
        uses: usize,
        asked: Asked,
        make: impl FnOnce(&Context, &Within<C>) -> F,
    ) -> wasmtime::Result<T> {
        for _ in 0..uses {
            self.count::<C>()?;
        }
        if let Some(answer) = self.replayed(&asked)? {
            return Ok(answer);
        }
        let making = make(&self.context, &self.context.services.within());
        let answer = making.await;
        self.tape.note(asked, &answer);
        Ok(answer)
    }

    /// Counts one use of an import of `C` that gives nothing to record. Returns the number of uses
    /// so far.
    pub(crate) fn count<C: Terms>(&mut self) -> Result<u32, Stop> {
        let spent = self.states.of::<Spent<C>>();
        spent.0 = spent.0.saturating_add(1);
        if spent.0 > C::BUDGET.most {
            return Err(Stop::Budget(C::BUDGET.of));
        }
        Ok(spent.0)
    }

    /// Returns the recorded answer in a replay, else `None`.
    fn replayed<T: Recordable>(&mut self, asked: &Asked) -> wasmtime::Result<Option<T>> {
        let Tape::Playing(player) = &mut self.tape else {
            return Ok(None);
        };
        match player.play(asked) {
            Played::Answer(answer) => Ok(Some(answer)),
            Played::CutOff(code) => Err(Stop::CutOff(code).into()),
            Played::Diverged => Err(Stop::Diverged.into()),
        }
    }

    pub(crate) fn into_trace(self) -> Trace {
        let (calls, calls_cut) = self.tape.into_calls();
        let (readings, readings_cut) = self.clock.take_readings();
        Trace {
            deadline: 0,
            seed: self.seed,
            readings,
            calls,
            cut: calls_cut || readings_cut,
            ran: true,
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Counts the milliseconds in which the guest runs, and yields to other tasks after each.
pub(crate) fn charge_tick(
    mut store: StoreContextMut<CallState>,
    cpu_ms: u64,
) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.ticks += 1;
    if state.ticks > cpu_ms {
        return Err(Stop::Cpu(cpu_ms).into());
    }
    // tokio's own yield lets timers and sockets have their turn; a plain one is polled again before
    // them.
    Ok(UpdateDeadline::YieldCustom(
        1,
        Box::pin(tokio::task::yield_now()),
    ))
}

/// Counts all memories of a store against one grant.
pub(crate) struct Limiter {
    used: usize,
    granted: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.granted {
            return Err(Stop::Memory {
                wanted,
                granted: self.granted,
            }
            .into());
        }
        self.used = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            Err(Stop::Table(desired).into())
        } else {
            Ok(true)
        }
    }
}
