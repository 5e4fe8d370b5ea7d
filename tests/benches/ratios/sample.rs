//! Repetitions and their statistics: warm-up, then ours and the bare call
//! alternating; medians and percentiles.

use std::time::{Duration, Instant};

/// Numbers of repetitions.
pub struct Effort {
    /// True for a trial run.
    pub quick: bool,
    /// Decisions of the plugin chain.
    pub decisions: usize,
    /// FROST signatures, one after the other.
    pub frost: usize,
    /// Concurrent FROST signatures.
    pub burst: usize,
    pub ecdsa: usize,
    pub keygens: usize,
    /// Keys of a node that holds many.
    pub keys: usize,
    /// Copies of keys, at a node that holds very many.
    pub copies: usize,
    /// Starts of a node.
    pub starts: usize,
}

impl Effort {
    /// The repetitions for real figures.
    pub const FULL: Self = Self {
        quick: false,
        decisions: 20_000,
        frost: 500,
        burst: 3_000,
        ecdsa: 40,
        keygens: 30,
        keys: 2_000,
        copies: 1_000,
        starts: 5,
    };
    pub const QUICK: Self = Self {
        quick: true,
        decisions: 200,
        frost: 10,
        burst: 64,
        ecdsa: 2,
        keygens: 3,
        keys: 16,
        copies: 16,
        starts: 1,
    };
}

/// Durations of one kind, shortest first.
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Takes at least one duration.
    pub fn new(mut durations: Vec<Duration>) -> Self {
        assert!(!durations.is_empty(), "nothing was measured");
        durations.sort_unstable();
        Self(durations)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// By nearest rank: a value that occurred.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    pub fn mean(&self) -> Duration {
        self.0.iter().sum::<Duration>() / self.0.len() as u32
    }
}

/// Ours and the bare call, measured side by side.
pub struct Pair {
    pub ours: Samples,
    pub bare: Samples,
}

impl Pair {
    /// The ratio of the medians.
    pub fn ratio(&self) -> f64 {
        self.ours.median().as_secs_f64() / self.bare.median().as_secs_f64()
    }
}

/// Both a few times unmeasured, then alternating.
pub async fn by_turns(
    repetitions: usize,
    mut ours: impl AsyncFnMut() -> anyhow::Result<()>,
    mut bare: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Pair> {
    for _ in 0..repetitions.div_ceil(10) {
        ours().await?;
        bare().await?;
    }
    let mut our_times = Vec::new();
    let mut bare_times = Vec::new();
    for _ in 0..repetitions {
        our_times.push(timed(&mut ours).await?);
        bare_times.push(timed(&mut bare).await?);
    }
    Ok(Pair {
        ours: Samples::new(our_times),
        bare: Samples::new(bare_times),
    })
}

/// Measures one call.
pub async fn timed(call: &mut impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let started = Instant::now();
    call().await?;
    Ok(started.elapsed())
}
