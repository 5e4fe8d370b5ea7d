//! The clock and the randomness of a guest, both reproducible. All clocks of a guest are one clock,
//! which steps by milliseconds and never back; its randomness is ChaCha20 from one seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use crate::contract::trace::Reading;

/// Steps of the clock that a trace holds. Nine times the longest call's usual limit fits.
const STEPS: usize = 100_000;

/// The clock of one call.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<Time>>);

struct Time {
    /// Milliseconds since 1970 at the beginning.
    origin: u64,
    started: Instant,
    readings: Vec<Reading>,
    /// Recorded readings to give instead of the time.
    script: Option<Script>,
}

struct Script {
    readings: Vec<Reading>,
    at: usize,
    said: u64,
}

impl Clock {
    /// A clock that runs, beginning at `now` milliseconds since 1970.
    pub(crate) fn at(now: u64) -> Self {
        Self::new(now, None)
    }

    /// A clock that repeats recorded readings.
    pub(crate) fn playing(readings: Vec<Reading>) -> Self {
        let first = readings.first().map_or(0, |reading| reading.now);
        Self::new(
            first,
            Some(Script {
                readings,
                at: 0,
                said: 0,
            }),
        )
    }

    fn new(origin: u64, script: Option<Script>) -> Self {
        Self(Arc::new(Mutex::new(Time {
            origin,
            started: Instant::now(),
            readings: Vec::new(),
            script,
        })))
    }

    /// Milliseconds since 1970, on record from now on.
    pub(crate) fn read(&self) -> u64 {
        self.time().read()
    }

    /// Returns the readings that were given, and whether the list is incomplete.
    pub(crate) fn take_readings(&self) -> (Vec<Reading>, bool) {
        let mut time = self.time();
        let readings = std::mem::take(&mut time.readings);
        let cut = readings.len() > STEPS;
        (if cut { Vec::new() } else { readings }, cut)
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Time {
    fn read(&mut self) -> u64 {
        if let Some(script) = &mut self.script {
            return script.next(self.origin);
        }
        let now = self
            .origin
            .saturating_add(self.started.elapsed().as_millis() as u64);
        let full = self.readings.len() > STEPS;
        match self.readings.last_mut() {
            Some(last) if last.now == now => last.times += 1,
            _ if full => {}
            _ => self.readings.push(Reading { now, times: 1 }),
        }
        now
    }
}

impl Script {
    /// Gives the next reading; the last one again when all were given.
    fn next(&mut self, origin: u64) -> u64 {
        let Some(reading) = self.readings.get(self.at).copied() else {
            return self.readings.last().map_or(origin, |last| last.now);
        };
        self.said += 1;
        if self.said == reading.times {
            (self.at, self.said) = (self.at + 1, 0);
        }
        reading.now
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.read())
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.read().saturating_mul(1_000_000)
    }
}

/// A seed from the operating system's generator. Without one there is no call.
pub(crate) fn seed() -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).ok().map(|()| seed)
}

/// Gives WASI this randomness and this clock.
pub(crate) fn sandbox_env(wasi: &mut WasiCtxBuilder, seed: [u8; 32], clock: &Clock) {
    let stream = |number: u64| {
        let mut rng = ChaCha20Rng::from_seed(seed);
        rng.set_stream(number);
        rng
    };
    let mut third = stream(2);
    wasi.secure_random(stream(0))
        .insecure_random(stream(1))
        .insecure_random_seed((u128::from(third.next_u64()) << 64) | u128::from(third.next_u64()))
        .wall_clock(clock.clone())
        .monotonic_clock(clock.clone());
}
