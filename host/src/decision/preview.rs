//! What the chain would say of a task now. A preview is not a decision and cannot become one: it
//! carries no writes, no recording and no guard.

use crate::contract::evaluation::Evaluation;
use crate::decision::chain::{Refusal, first_refusal};

/// The answers of the entries that need nothing from outside the node. Those that do might ask a
/// person for an approval, and are not asked.
#[derive(Clone, Debug)]
pub struct Preview {
    evaluations: Vec<Evaluation>,
    not_asked: Vec<String>,
    /// The host's own refusal, where no plugin refuses.
    stopped: Option<Refusal>,
}

impl Preview {
    pub(super) fn new(evaluations: Vec<Evaluation>, not_asked: Vec<String>) -> Self {
        Self {
            evaluations,
            not_asked,
            stopped: None,
        }
    }

    /// Nobody was asked: the host itself refuses.
    pub(super) fn stopped(refusal: Refusal) -> Self {
        Self {
            stopped: Some(refusal),
            ..Self::new(Vec::new(), Vec::new())
        }
    }

    /// The first objection; `None` if nobody that was asked objects.
    pub fn refusal(&self) -> Option<Refusal> {
        first_refusal(&self.evaluations).or_else(|| self.stopped.clone())
    }

    /// The answers of all entries that were asked, without writes, log lines and traces.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// Names of the entries that guard the task and were not asked.
    pub fn not_asked(&self) -> &[String] {
        &self.not_asked
    }
}
