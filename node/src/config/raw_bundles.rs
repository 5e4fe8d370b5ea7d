//! `policy.bundles` as written.

use serde::{Deserialize, Serialize};

use super::raw_policy::{RawGrants, is_default};

/// Default of `policy.bundles.delay`.
const USUAL_DELAY: &str = "48h";
/// Default of `policy.bundles.backtest_days`.
const USUAL_BACKTEST: u64 = 30;

/// `policy.bundles`: entries that several publishers sign together.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawBundles {
    /// Name of the policy that the node follows.
    pub name: String,
    /// Those whose signatures count.
    pub publishers: Vec<RawPublisher>,
    /// Number of them who must have signed a bundle.
    pub needed: u64,
    /// Time for which a bundle waits that may loosen the policy, such as `48h`. Default: 48h.
    #[serde(default = "usual_delay", skip_serializing_if = "is_usual_delay")]
    pub delay: String,
    /// Days of recorded decisions by which a bundle is judged. Default: 30.
    #[serde(default = "usual_backtest", skip_serializing_if = "is_usual_backtest")]
    pub backtest_days: u64,
    /// The most that an entry of a bundle is granted. Default: no keys, no URLs, no state, and the
    /// usual limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grants: RawGrants,
}

/// An entry of `policy.bundles.publishers`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawPublisher {
    /// The operator's name for it.
    pub name: String,
    /// Its Ed25519 public key (64 hexadecimal digits), as `plugin keygen` prints it.
    pub key: String,
}

fn usual_delay() -> String {
    USUAL_DELAY.into()
}

fn is_usual_delay(value: &str) -> bool {
    value == USUAL_DELAY
}

fn usual_backtest() -> u64 {
    USUAL_BACKTEST
}

fn is_usual_backtest(value: &u64) -> bool {
    *value == USUAL_BACKTEST
}
