//! A guest that misbehaves as its configuration says. It exists to be contained, and approves if
//! nobody stops it: a limit that does not hold shows up as an approval.

use std::hint::black_box;
use std::time::Duration;

use countersign_sdk::{
    Failure, Host, HttpError, KeyError, Level, Plugin, Request, StateError, Task, Verdict, approve,
    export_plugin, reject,
};
use serde::Deserialize;

/// The call that misbehaves, and its behaviour.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In `check`.
    #[serde(default)]
    pub check: Deed,
    /// In `evaluate`.
    #[serde(default)]
    pub evaluate: Deed,
    /// In `probe`.
    #[serde(default)]
    pub probe: Deed,
    /// In `observe`.
    #[serde(default)]
    pub observe: Deed,
}

/// The misbehaviour of a call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Deed {
    /// Approves.
    #[default]
    Nothing,
    /// Computes without end.
    Loop,
    /// Allocates without end.
    Allocate,
    /// Calls itself without end.
    Recurse,
    /// Panics.
    Panic,
    /// Leaves the process.
    Exit,
    /// Rejects with a reason of this length in bytes, and a code that is not allowed.
    Reason(usize),
    /// Logs this many lines of this length in bytes.
    Log(u32, usize),
    /// Prints this number of bytes.
    Print(usize),
    /// Sleeps through the host, in milliseconds.
    Sleep(u64),
    /// Sleeps through WASI.
    WasiSleep(u64),
    /// Signs arbitrary text with a key.
    Sign(String),
    /// Signs a JWT without end.
    SignForEver(String),
    /// Signs text with a key and an algorithm, and rejects with the result.
    SignBy(String, String),
    /// Verifies with a key.
    Verify(String),
    /// Requests a URL with a header.
    Request(String, String),
    /// Looks at environment and arguments.
    Environment,
    /// Writes an entry of this length in bytes, reads it back and counts its calls.
    Remember(usize),
    /// Rejects with the values of its clocks and random numbers.
    ClocksAndDice,
    /// Fails by itself.
    Fail(String),
}

/// The plugin `rogue`.
pub struct Rogue;

impl Plugin for Rogue {
    type Config = Config;

    const NAME: &'static str = "rogue";
    const DESCRIPTION: &'static str = "Misbehaves as told.\u{1b}[31m";

    fn check(config: &Config, host: &impl Host) -> Result<(), Failure> {
        act(&config.check, host).map(drop)
    }

    fn observe(config: &Config, _task: &Task, host: &impl Host) -> Result<(), Failure> {
        match act(&config.observe, host)? {
            Verdict::Approve => Ok(()),
            Verdict::Reject(rejection) => Err(Failure::Internal(rejection.reason)),
        }
    }

    fn probe(config: &Config, host: &impl Host) -> Result<(), Failure> {
        act(&config.probe, host).map(drop)
    }

    fn evaluate(config: &Config, _task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        act(&config.evaluate, host)
    }
}

export_plugin!(Rogue);

fn act(deed: &Deed, host: &impl Host) -> Result<Verdict, Failure> {
    match deed {
        Deed::Nothing => approve(),
        Deed::Loop => spin(),
        Deed::Allocate => allocate(),
        Deed::Recurse => recurse(),
        Deed::Panic => panic!("something is wrong"),
        Deed::Exit => std::process::exit(0),
        Deed::Reason(bytes) => reject("plugin-failed:internal\n", "\u{1b}[2J".repeat(bytes / 4)),
        Deed::Log(lines, bytes) => log(host, *lines, *bytes),
        Deed::Print(bytes) => print(*bytes),
        Deed::Sleep(ms) => sleep(|pause| host.sleep(pause), *ms),
        Deed::WasiSleep(ms) => sleep(std::thread::sleep, *ms),
        Deed::Sign(key) => sign(host, key),
        Deed::SignForEver(key) => sign_for_ever(host, key),
        Deed::SignBy(key, algorithm) => sign_by(host, key, algorithm),
        Deed::Verify(key) => verify(host, key),
        Deed::Request(url, header) => request(host, url, header),
        Deed::Environment => environment(),
        Deed::Remember(bytes) => remember(host, *bytes),
        Deed::ClocksAndDice => clocks_and_dice(host),
        Deed::Fail(kind) => Err(failure(kind)),
    }
}

fn spin() -> Result<Verdict, Failure> {
    let mut i = 0_u64;
    while black_box(true) {
        i = black_box(i.wrapping_add(1));
    }
    approve()
}

fn allocate() -> Result<Verdict, Failure> {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    while black_box(true) {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
    approve()
}

fn recurse() -> Result<Verdict, Failure> {
    black_box(descend(0, black_box(u64::MAX)));
    approve()
}

/// Neither a recognisable loop nor a user of linear memory, whose end would stop it first.
#[inline(never)]
fn descend(depth: u64, end: u64) -> u64 {
    if depth == end {
        end
    } else {
        descend(depth + 1, end).wrapping_mul(3).wrapping_add(depth)
    }
}

fn log(host: &impl Host, lines: u32, bytes: usize) -> Result<Verdict, Failure> {
    let line = "\u{1b}x\n".repeat(bytes / 3);
    (0..lines).for_each(|_| host.log(Level::Error, &line, &[("field", "value")]));
    approve()
}

fn print(bytes: usize) -> Result<Verdict, Failure> {
    use std::io::Write;
    let written = std::io::stdout().write_all(&vec![b'x'; bytes]);
    written.map_err(|error| Failure::Internal(error.to_string()))?;
    approve()
}

fn sleep(sleep: impl Fn(Duration), ms: u64) -> Result<Verdict, Failure> {
    sleep(Duration::from_millis(ms));
    approve()
}

fn sign(host: &impl Host, key: &str) -> Result<Verdict, Failure> {
    match host.sign(key, "RS256", b"pay everything to me") {
        Ok(_) => approve(),
        Err(KeyError::UnknownKey(_)) => reject("unknown-key", "as it should be"),
        Err(KeyError::UnsupportedAlgorithm(why)) => reject("not-a-jwt", why),
        Err(error) => Err(error.into()),
    }
}

fn sign_by(host: &impl Host, key: &str, algorithm: &str) -> Result<Verdict, Failure> {
    match host.sign(key, algorithm, b"pay everything to me") {
        Ok(signature) => {
            let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            let sound = host.verify(key, algorithm, b"pay everything to me", &signature)?;
            reject(if sound { "signed" } else { "unsound" }, hex)
        }
        Err(KeyError::UnknownKey(_)) => reject("unknown-key", "as it should be"),
        Err(KeyError::UnsupportedAlgorithm(why)) => reject("unsupported-algorithm", why),
        Err(error) => Err(error.into()),
    }
}

fn sign_for_ever(host: &impl Host, key: &str) -> Result<Verdict, Failure> {
    while black_box(true) {
        // {"alg":"RS256"} . {}
        host.sign(key, "RS256", b"eyJhbGciOiJSUzI1NiJ9.e30")?;
    }
    approve()
}

fn verify(host: &impl Host, key: &str) -> Result<Verdict, Failure> {
    match host.verify(key, "RS256", b"data", b"signature") {
        Ok(_) => approve(),
        Err(KeyError::UnknownKey(_)) => reject("unknown-key", "as it should be"),
        Err(error) => Err(error.into()),
    }
}

fn request(host: &impl Host, url: &str, header: &str) -> Result<Verdict, Failure> {
    let headers = vec![(header.into(), "x".into())];
    let request = Request {
        method: "GET".into(),
        url: url.into(),
        headers,
        body: Vec::new(),
        timeout_ms: None,
    };
    match host.send(&request) {
        Ok(response) => reject(
            format!("status-{}", response.status),
            format!("{} bytes", response.body.len()),
        ),
        Err(HttpError::Denied(what)) => reject("denied", what),
        Err(HttpError::TooLarge(limit)) => reject("too-large", limit.to_string()),
        Err(error) => Err(error.into()),
    }
}

fn environment() -> Result<Verdict, Failure> {
    let found: Vec<_> = std::env::vars()
        .map(|(name, _)| name)
        .chain(std::env::args())
        .collect();
    if found.is_empty() {
        reject("nothing-there", "as it should be")
    } else {
        approve()
    }
}

fn remember(host: &impl Host, bytes: usize) -> Result<Verdict, Failure> {
    let before = host.state_get("entry")?.unwrap_or_default();
    match host.state_set("entry", &vec![7; before.len() + bytes], None) {
        Ok(()) => {}
        Err(StateError::Denied(why)) => return reject("quota", why),
        Err(error) => return Err(error.into()),
    }
    let after = host.state_get("entry")?.unwrap_or_default();
    host.log(
        Level::Info,
        "remembered",
        &[
            ("before", &before.len().to_string()),
            ("after", &after.len().to_string()),
        ],
    );
    approve()
}

fn clocks_and_dice(host: &impl Host) -> Result<Verdict, Failure> {
    use std::hash::{BuildHasher, RandomState};
    let started = std::time::Instant::now();
    host.sleep(Duration::from_millis(3));
    let wall = std::time::SystemTime::now();
    let dice = RandomState::new().hash_one(1);
    reject(
        "said",
        format!("{} {wall:?} {:?} {dice}", host.now(), started.elapsed()),
    )
}

fn failure(kind: &str) -> Failure {
    match kind {
        "misconfigured" => Failure::Misconfigured(kind.into()),
        "unavailable" => Failure::Unavailable(kind.into()),
        "unsupported" => Failure::Unsupported(kind.into()),
        other => Failure::Internal(other.into()),
    }
}
