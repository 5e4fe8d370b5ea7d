//! What the plugins would say of a task. A [`Forecast`] is the answer to a preflight and nothing
//! else: it has no plan in it, and no session takes one.

use std::time::Instant;

use countersign_host::Preview;
use countersign_protocol::forecast::MAX_FORECAST;
use countersign_protocol::{Forecast, NotAsked, Refusal};

use super::{Guard, verdict};

/// Why a plugin with network is left out.
const REMOTE: &str =
    "it would call its server, which may ask a person; its answer to the task itself is open";

impl Guard {
    /// Asks the plugins that need nothing from outside the node what they would say. Nothing is
    /// counted, logged or written, and no other decision waits for it.
    /// ```compile_fail,E0308
    /// use countersign_node::risk::{Approved, Guard};
    /// async fn forged(guard: &Guard, question: &countersign_host::Task) -> Approved<()> {
    ///     guard.forecast(question, std::time::Instant::now()).await
    /// }
    /// ```
    pub async fn forecast(&self, question: &countersign_host::Task, deadline: Instant) -> Forecast {
        match &self.pipeline {
            Some(pipeline) => told(&pipeline.preview(question, deadline).await),
            // The operator has allowed it, and every task is approved.
            None => Forecast::default(),
        }
    }
}

fn told(preview: &Preview) -> Forecast {
    let verdicts = preview.evaluations().iter().map(verdict);
    let not_asked = preview.not_asked().iter().map(|plugin| NotAsked {
        plugin: plugin.clone(),
        why: REMOTE.into(),
    });
    Forecast {
        refusal: preview.refusal().map(|refused| Refusal {
            code: refused.code.as_str().into(),
            reason: refused.reason,
            plugin: refused.plugin,
        }),
        verdicts: verdicts.take(MAX_FORECAST).collect(),
        not_asked: not_asked.take(MAX_FORECAST).collect(),
    }
}
