//! One call into a component: a fresh store, its limits and budgets, and the reading of what
//! stopped it. Nothing survives a call but its answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use tokio::time::timeout_at;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, StoreContextMut, Trap, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::engine::TABLE_ELEMENTS;
use crate::evaluation::{LogLine, StateWrite};
use crate::host::Host;
use crate::services::Memory;
use crate::surroundings::{self, Clock, surround};
use crate::text::{self, printable};
use crate::trace::{Asked, Divergence, Played, Spoken, Tape, Trace};
use crate::{Anchor, Code, Grants, Services};

/// Bytes that one call may pass to the host in all.
const TRANSFER: usize = 4 << 20;
/// Bytes of standard output and error that are kept.
const STDIO: usize = 4 << 10;

/// What the host knows about a plugin before it runs.
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) document: Arc<str>,
    pub(crate) revision: [u8; 32],
    pub(crate) grants: Grants,
    /// What its answers rest on besides component and configuration.
    pub(crate) anchors: Arc<[Anchor]>,
    pub(crate) services: Arc<dyn Services>,
    /// Whose memory it reads: its own, or that of the entry that it is compared with.
    pub(crate) memory_of: String,
}

impl Context {
    /// The same without anything outside the node.
    pub(crate) fn secluded(&self) -> Arc<Self> {
        let grants = Grants {
            http: Vec::new(),
            keys: Vec::new(),
            ..self.grants.clone()
        };
        let Self {
            name,
            document,
            revision,
            anchors,
            services,
            memory_of,
            ..
        } = self;
        Arc::new(Self {
            name: name.clone(),
            document: document.clone(),
            revision: *revision,
            grants,
            anchors: anchors.clone(),
            services: services.clone(),
            memory_of: memory_of.clone(),
        })
    }

    /// The instant at which a call that begins now is cut off.
    pub(crate) fn cut_off(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + Duration::from_millis(self.grants.wall_ms))
    }
}

/// A question that a component's export answers. It knows how to make an instance, of whatever
/// world.
pub(crate) trait Ask {
    type Answer: Send;

    fn ask(
        self,
        store: &mut Store<Call>,
    ) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

/// Answer and remains of a call.
pub(crate) struct Finished<T> {
    pub(crate) result: Result<T, Broken>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) writes: Vec<StateWrite>,
    pub(crate) trace: Trace,
    pub(crate) divergence: Option<Divergence>,
}

/// With what a call is surrounded.
#[derive(Default)]
pub(crate) struct Setting {
    /// Given: everything from outside is as it was then, and the call was stopped with this code,
    /// if it was.
    pub(crate) replay: Option<(Trace, Option<Code>)>,
    /// Given: the plugin's memory as it is to see it. Otherwise it is looked at when it first asks.
    pub(crate) memory: Option<Box<dyn Memory>>,
    /// Given: the seed of all randomness, where no recording gives it.
    pub(crate) seed: Option<[u8; 32]>,
}

/// A call without a usable answer.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl Broken {
    pub(crate) fn new(code: Code, reason: impl AsRef<str>) -> Self {
        Self {
            code,
            reason: printable(reason.as_ref(), text::REASON),
        }
    }
}

/// Puts `ask` to a new instance, until `cut_off` at the latest.
pub(crate) async fn call<A: Ask>(
    host: &Host,
    context: &Arc<Context>,
    cut_off: Instant,
    ask: A,
) -> Finished<A::Answer> {
    call_in(Setting::default(), host, context, cut_off, ask).await
}

/// The same in a setting of its own.
pub(crate) async fn call_in<A: Ask>(
    setting: Setting,
    host: &Host,
    context: &Arc<Context>,
    cut_off: Instant,
    ask: A,
) -> Finished<A::Answer> {
    // Held until the store is gone: a slot of the pool is free only then.
    let slot = match slot(host, cut_off).await {
        Ok(slot) => slot,
        Err(broken) => return Finished::never(broken),
    };
    let Some(call) = Call::new(context.clone(), setting) else {
        return Finished::never(Broken::new(
            Code::Busy,
            "the operating system gave no randomness",
        ));
    };
    let _timed = host.shared.ticker.run();
    let mut store = store(host, call);
    let answer = timeout_at(cut_off.into(), ask.ask(&mut store)).await;
    let mut call = store.into_data();
    drop(slot);
    let result = match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(broken(&error, &call.stdio.contents())),
        Err(_) => Err(Broken::new(
            Code::Timeout,
            "no answer in the time that was left to it",
        )),
    };
    let divergence = call.tape.divergence();
    let logs = std::mem::take(&mut call.logs);
    let writes = std::mem::take(&mut call.staged);
    Finished {
        result,
        logs,
        writes: writes.into_values().collect(),
        trace: call.into_trace(),
        divergence,
    }
}

impl<T> Finished<T> {
    fn never(broken: Broken) -> Self {
        let logs = Vec::new();
        let writes = Vec::new();
        Self {
            result: Err(broken),
            logs,
            writes,
            trace: Trace::default(),
            divergence: None,
        }
    }
}

async fn slot(host: &Host, cut_off: Instant) -> Result<SemaphorePermit<'_>, Broken> {
    match timeout_at(cut_off.into(), host.shared.slots.acquire()).await {
        Ok(Ok(slot)) => Ok(slot),
        _ => Err(Broken::new(
            Code::Busy,
            "all instances were in use; raise the number of slots",
        )),
    }
}

pub(crate) fn store(host: &Host, call: Call) -> Store<Call> {
    let cpu_ms = call.context.grants.cpu_ms;
    let mut store = Store::new(&host.shared.engine, call);
    store.limiter(|call| &mut call.limiter);
    store.set_hostcall_fuel(TRANSFER);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |call| charge_tick(call, cpu_ms));
    store
}

/// Counts the milliseconds in which the guest runs, and lets others run after each.
fn charge_tick(mut call: StoreContextMut<Call>, cpu_ms: u64) -> wasmtime::Result<UpdateDeadline> {
    let call = call.data_mut();
    call.ticks += 1;
    if call.ticks > cpu_ms {
        return Err(Stop::Cpu(cpu_ms).into());
    }
    // tokio's own yield lets timers and sockets have their turn; a plain one is polled again before
    // them.
    Ok(UpdateDeadline::YieldCustom(
        1,
        Box::pin(tokio::task::yield_now()),
    ))
}

/// The data of one store.
pub(crate) struct Call {
    pub(crate) context: Arc<Context>,
    pub(crate) spent: Spent,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) staged: BTreeMap<String, StateWrite>,
    /// Bytes by which the staged writes change the plugin's memory.
    pub(crate) staged_bytes: i64,
    pub(crate) memory: Option<Box<dyn Memory>>,
    /// Bytes of the committed memory, once they were counted.
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) clock: Clock,
    pub(crate) tape: Tape,
    seed: [u8; 32],
    limiter: Limiter,
    ticks: u64,
    wasi: WasiCtx,
    table: ResourceTable,
    stdio: MemoryOutputPipe,
}

impl Call {
    /// `None` if the operating system gives no randomness.
    pub(crate) fn new(context: Arc<Context>, setting: Setting) -> Option<Self> {
        let (seed, clock, tape) = match setting.replay {
            Some((trace, end)) => (
                trace.seed,
                Clock::playing(trace.readings),
                Tape::playing(trace.calls, end),
            ),
            None => {
                let seed = setting.seed.or_else(surroundings::seed)?;
                (seed, Clock::at(context.services.now()), Tape::recording())
            }
        };
        let stdio = MemoryOutputPipe::new(STDIO);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdio.clone()).stderr(stdio.clone());
        surround(&mut wasi, seed, &clock);
        Some(Self {
            limiter: Limiter {
                used: 0,
                granted: context.grants.memory_bytes,
            },
            context,
            spent: Spent::default(),
            logs: Vec::new(),
            staged: BTreeMap::new(),
            staged_bytes: 0,
            memory: setting.memory,
            memory_bytes: None,
            clock,
            tape,
            seed,
            ticks: 0,
            wasi: wasi.build(),
            table: ResourceTable::new(),
            stdio,
        })
    }

    fn into_trace(self) -> Trace {
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

    /// The answer of an import: from the recording, if one is played, else made and put on record.
    pub(crate) fn answer<T: Spoken>(
        &mut self,
        asked: Asked,
        make: impl FnOnce(&mut Self) -> T,
    ) -> wasmtime::Result<T> {
        if let Some(answer) = self.heard(&asked)? {
            return Ok(answer);
        }
        let answer = make(self);
        self.tape.note(asked, &answer);
        Ok(answer)
    }

    /// What the recording answers, if one is played.
    pub(crate) fn heard<T: Spoken>(&mut self, asked: &Asked) -> wasmtime::Result<Option<T>> {
        let Tape::Playing(player) = &mut self.tape else {
            return Ok(None);
        };
        match player.play(asked) {
            Played::Answer(answer) => Ok(Some(answer)),
            Played::CutOff(code) => Err(Stop::CutOff(code).into()),
            Played::Diverged => Err(Stop::Diverged.into()),
        }
    }
}

impl WasiView for Call {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Use of what is counted.
#[derive(Default)]
pub(crate) struct Spent {
    pub(crate) lines: u32,
    pub(crate) key_operations: u32,
    pub(crate) requests: u32,
    pub(crate) state_operations: u32,
}

/// Counts all memories of a store against one grant.
struct Limiter {
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

/// Why the host stopped a guest. Carried through wasmtime as the cause of the trap.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("used more than {0} ms of CPU time")]
    Cpu(u64),
    #[error("wanted {wanted} bytes of memory, {granted} are granted")]
    Memory { wanted: usize, granted: usize },
    #[error("wanted a table of {0} elements")]
    Table(usize),
    #[error("too many {0} in one call")]
    Budget(&'static str),
    #[error("the recorded call was cut off here")]
    CutOff(Code),
    #[error("the replay asked for something else than what was recorded")]
    Diverged,
}

/// The component does not fit the contract. Types are compared at the first instantiation only.
#[derive(Debug, thiserror::Error)]
#[error("the component does not fit the contract")]
struct Misfit;

/// Marks the error of an instantiation in which no guest code went wrong.
pub(crate) fn misfit(error: wasmtime::Error) -> wasmtime::Error {
    let by_guest = error.is::<Trap>() || error.is::<Stop>() || error.is::<I32Exit>();
    if by_guest {
        error
    } else {
        error.context(Misfit)
    }
}

fn broken(error: &wasmtime::Error, stdio: &[u8]) -> Broken {
    let code = code(error);
    let said = said(&String::from_utf8_lossy(stdio));
    let said = if said.is_empty() {
        said
    } else {
        format!("; it printed: {said}")
    };
    Broken::new(code, format!("{}{said}", error.root_cause()))
}

/// What a guest printed, in one line, without advice that an operator cannot follow.
fn said(printed: &str) -> String {
    let lines = printed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let useful = lines.filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"));
    useful.collect::<Vec<_>>().join(" / ")
}

fn code(error: &wasmtime::Error) -> Code {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Cpu(_) => Code::Cpu,
            Stop::Memory { .. } | Stop::Table(_) => Code::Memory,
            Stop::Budget(_) => Code::Budget,
            Stop::CutOff(code) => *code,
            Stop::Diverged => Code::Internal,
        };
    }
    if error.is::<Misfit>() {
        return Code::Incompatible;
    }
    if error.is::<I32Exit>() {
        return Code::Exit;
    }
    // wasmtime keeps the type of this one to itself; a test notices if the words change.
    if error
        .root_cause()
        .to_string()
        .contains("fuel allocated for hostcalls")
    {
        return Code::Output;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Code::Stack,
        _ => Code::Trap,
    }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn a_panic_is_told_in_one_readable_line() {
        let printed = "\nthread '<unnamed>' panicked at src/lib.rs:7:5:\nattempt to divide by zero\nnote: run with \
                       `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            said(printed),
            "thread '<unnamed>' panicked at src/lib.rs:7:5: / attempt to divide by zero"
        );
        assert_eq!(said(" \n"), "");
    }
}
