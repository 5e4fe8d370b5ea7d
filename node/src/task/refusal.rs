//! Refusals by the node itself.

use countersign_protocol::{Refusal, RefusalCode};

pub fn refusal(code: RefusalCode, reason: &str) -> Refusal {
    Refusal {
        code,
        reason: reason.into(),
        plugin: None,
    }
}
