//! How a running node has the bundle that waits judged: beside everything else, until somebody
//! takes the bundle back or another one takes its place.

use std::sync::Arc;

use countersign_protocol::Hash;
use tokio::task::AbortHandle;

use super::judge::Judgement;
use super::life::{BundleLife, BundleRequest, TakeError};
use super::trial::{self, Trial, TrialError};
use crate::config::Policy;
use crate::off_thread::off_thread;

/// The most stretches of questions that a trial has judged at once: tasks come first.
const PARALLEL: usize = 2;

/// A trial under way. It ends when this is dropped.
pub(super) struct Judging {
    pub(super) bundle: Hash,
    task: AbortHandle,
}

/// The end of a trial.
#[derive(Debug)]
pub struct Judged {
    bundle: Hash,
    against: Option<Hash>,
    outcome: Result<Judgement, Failure>,
}

/// The reason why there is no judgement, in words.
#[derive(Debug)]
enum Failure {
    /// The bundle cannot be used at all.
    Unusable(String),
    /// The machine may be at fault, so the bundle is judged again later.
    MayPass(String),
}

impl Drop for Judging {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl From<TrialError> for Failure {
    fn from(error: TrialError) -> Self {
        if error.is_of_the_bundle() {
            Self::Unusable(error.to_string())
        } else {
            Self::MayPass(error.to_string())
        }
    }
}

impl BundleLife {
    /// Begins to judge the bundle that waits, unless that is done or under way.
    pub(super) fn begin_trial(&mut self, policy: &Arc<Policy>) {
        let Some(waiting) = &self.schedule.waiting else {
            return;
        };
        let bundle = waiting.bundle;
        let under_way = self.judging.as_ref();
        let under_way = under_way.is_some_and(|judging| judging.bundle == bundle);
        if waiting.judgement.is_some() || under_way || !self.taken_up || !self.may_try() {
            return;
        }
        let present = self.schedule.present.as_ref();
        let against = present.map(|present| present.bundle);
        let since = trial::since(&self.settings, self.world.now());
        let policy = Policy::clone(policy);
        let folder = self.folder.clone();
        let dir = self.dir.clone();
        let task = tokio::spawn(async move {
            let prepared = off_thread(move || {
                Trial::prepare(&folder, policy, against.as_ref(), &bundle, since)
            });
            let trial = Trial {
                parallel: PARALLEL,
                ..prepared.await?
            };
            let judged: Result<Judgement, TrialError> = trial.run(&dir, |_| {}).await;
            judged
        });
        self.judging = Some(Judging {
            bundle,
            task: task.abort_handle(),
        });
        let requests = self.requests.clone();
        tokio::spawn(async move {
            let outcome = match task.await {
                Ok(judged) => judged.map_err(Failure::from),
                Err(ended) if ended.is_cancelled() => return,
                Err(ended) => Err(Failure::MayPass(ended.to_string())),
            };
            let judged = Judged {
                bundle,
                against,
                outcome,
            };
            // The node may be stopping; it judges again after the next start.
            drop(requests.send(BundleRequest::Judged(judged)).await);
        });
    }

    /// Notes the end of a trial of the bundle that waits.
    pub(super) async fn judged(&mut self, judged: Judged) {
        let Judged {
            bundle,
            against,
            outcome,
        } = judged;
        let Some(waiting) = self.schedule.waiting.clone() else {
            return;
        };
        if waiting.bundle != bundle {
            return;
        }
        self.judging = None;
        let done = match outcome {
            Ok(judgement) => self.note_judgement(bundle, against, judgement).await,
            Err(Failure::Unusable(why)) => {
                self.board.refuse("unusable");
                let text = format!("it cannot be used: {why}");
                self.drop_waiting(&waiting, &text).await
            }
            Err(Failure::MayPass(why)) => {
                tracing::warn!(%bundle, why, "the policy bundle was not judged; it is tried again later");
                return self.try_later();
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "the judgement on a policy bundle was not kept; it waits for its delay");
            self.try_later();
        }
    }

    async fn note_judgement(
        &mut self,
        bundle: Hash,
        against: Option<Hash>,
        judgement: Judgement,
    ) -> Result<(), TakeError> {
        let text = match &judgement {
            Judgement::Tightens => "judged: it refuses whatever the present one refused".into(),
            Judgement::MayLoosen(reasons) => {
                let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                format!("judged: it may loosen, and waits; {}", reasons.join("; "))
            }
        };
        let mut next = self.schedule.clone();
        if !next.judged(bundle, against, judgement) {
            // Another bundle is in force since: it is judged again.
            return Ok(());
        }
        self.step(next, &text).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::soon;

    #[tokio::test]
    async fn a_trial_ends_when_nobody_wants_its_judgement() {
        let task = tokio::spawn(std::future::pending::<()>());
        drop(Judging {
            bundle: Hash([1; 32]),
            task: task.abort_handle(),
        });
        assert!(soon(task).await.unwrap_err().is_cancelled());
    }
}
