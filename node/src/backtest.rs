//! Backtests: a new version of a plugin is asked every recorded question of a time, on all threads
//! of the runtime, and its answers are compared with those on record. The recordings are read page
//! by page. Nothing is written, signed or sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use countersign_host::{
    Answered, Candidate, Change, NotJudged, Recorded, Recording, Task, Tightening, Totals, Verdict,
};
use countersign_protocol::{Hash, PluginVerdict, TaskId, UnixMillis};
use tokio::task::{JoinHandle, JoinSet};

use crate::admin::{Answer, AskError, Conversation, Question};
use crate::past_decisions::{KeptRecording, PastDecision, PastDecisions};

/// Questions that one thread asks at a stretch.
const STRETCH: usize = 64;
/// The digest in a verdict on an entry that was not loaded.
const NOT_LOADED: Hash = Hash([0; 32]);

/// A comparison, and whether the new version would remember something else.
type Compared = (BacktestDifference, bool);

/// A backtest to be run.
pub struct Backtest {
    /// The new version.
    pub candidate: Arc<Candidate>,
    /// The entry whose decisions it is compared with.
    pub entry: String,
    /// Only tasks that were received at this time or later.
    pub since: UnixMillis,
    /// Only decisions of this version of the entry; `None` for those of every version.
    pub version: Option<EntryVersion>,
    /// The most stretches of questions that are judged at once.
    pub parallel: usize,
}

/// A component with its configuration, as verdicts name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryVersion {
    /// SHA-256 of the component.
    pub digest: Hash,
    /// SHA-256 of the configuration as the plugin sees it.
    pub config: Hash,
}

/// A recorded question with another answer, or with one that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacktestDifference {
    /// The id of the task.
    pub task: TaskId,
    /// The time at which the node first saw the task.
    pub received_at: UnixMillis,
    /// The kind of difference, never [`Change::Same`].
    pub change: Change,
    /// The verdict on record. A failure is shown as a rejection with the failure's code.
    pub then: Verdict,
    /// The answer of the new version.
    pub now: Answered,
}

/// The result of a backtest, or of its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BacktestResult {
    /// The number of answers by their difference.
    pub totals: Totals,
    /// The number of questions that the entry refused then.
    pub refused: u64,
    /// The number of approvals, then and now, after which the new version would remember something
    /// else than the entry did.
    pub remembers_otherwise: u64,
    /// The number of decisions by another version of the entry, which were left out.
    pub by_others: u64,
    /// The number of decisions in which the entry was not asked.
    pub not_asked: u64,
    /// True if decisions of the time may have lost their recordings.
    pub gap: bool,
    /// The number of all recordings in the journal.
    pub recordings: u64,
}

/// The reason why a backtest was not finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// The recordings cannot be read.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The running node is of another version.
    #[error("unexpected answer from the node; update it, and restart it")]
    Unexpected,
    /// A part of the backtest panicked, or the program ends.
    #[error("the backtest ended before its time ({0}); report this if you did not end it")]
    Ended(#[from] tokio::task::JoinError),
}

impl BacktestResult {
    /// The finding whether everything that was refused is still refused.
    pub fn tightening(&self) -> Tightening {
        self.totals.tightening(self.gap)
    }

    /// True if every decision of the time was compared, and none differs.
    pub fn is_same(&self) -> bool {
        self.totals.differences() == 0 && self.tightening() == Tightening::Proven
    }
}

impl Backtest {
    /// Asks every question, through the node that runs in `dir` or from its journal. `tell` gets
    /// the differences of each page, the oldest first, and the result so far.
    pub async fn run(
        &self,
        dir: &Path,
        mut tell: impl FnMut(Vec<BacktestDifference>, &BacktestResult),
    ) -> Result<BacktestResult, BacktestError> {
        let mut result = BacktestResult::default();
        let mut reading = Some(self.read(Conversation::with(dir), 0));
        while let Some(read) = reading {
            let (node, page) = read.await??;
            // The next page is read while this one is judged.
            reading = page.next.map(|from| self.read(node, from));
            result.not_asked += page.not_asked;
            result.gap |= page.gap;
            result.recordings = page.recordings;
            let differences = self.judge(page.decisions, &mut result).await?;
            tell(differences, &result);
        }
        Ok(result)
    }

    /// Reads a page on a thread of its own.
    fn read(
        &self,
        mut node: Conversation,
        from: u64,
    ) -> JoinHandle<Result<(Conversation, PastDecisions), BacktestError>> {
        let question = Question::PastDecisions {
            plugin: self.entry.clone(),
            since: self.since,
            from,
        };
        tokio::task::spawn_blocking(move || match node.ask(&question)? {
            Answer::PastDecisions(page) => Ok((node, page)),
            _ => Err(BacktestError::Unexpected),
        })
    }

    /// Puts the questions of one page on several threads, counts the answers, and gives the
    /// differences in the order of the page. What is under way ends with the caller.
    async fn judge(
        &self,
        mut decisions: Vec<PastDecision>,
        result: &mut BacktestResult,
    ) -> Result<Vec<BacktestDifference>, BacktestError> {
        let all = decisions.len();
        let version = self.version;
        decisions.retain(|past| version.is_none_or(|version| version.gave(&past.verdict)));
        result.by_others += (all - decisions.len()) as u64;
        let mut decisions = decisions.into_iter().peekable();
        let mut under_way = JoinSet::new();
        let mut judged = BTreeMap::new();
        let mut number = 0_u64;
        while decisions.peek().is_some() {
            if under_way.len() >= self.parallel.max(1) {
                finish_one(&mut under_way, &mut judged).await?;
            }
            let stretch: Vec<_> = decisions.by_ref().take(STRETCH).collect();
            let candidate = self.candidate.clone();
            under_way.spawn(async move {
                let mut judged = Vec::with_capacity(stretch.len());
                for past in stretch {
                    judged.push(compare(&candidate, past).await);
                }
                (number, judged)
            });
            number += 1;
        }
        while !under_way.is_empty() {
            finish_one(&mut under_way, &mut judged).await?;
        }
        let mut differences = Vec::new();
        for (judged, otherwise) in judged.into_values().flatten() {
            result.totals.count(judged.change);
            result.refused += u64::from(judged.then != Verdict::Approve);
            result.remembers_otherwise += u64::from(otherwise);
            if judged.change != Change::Same {
                differences.push(judged);
            }
        }
        Ok(differences)
    }
}

impl EntryVersion {
    /// True if this version decided. A refusal because nothing could be loaded counts too: the
    /// entry refused then.
    fn gave(&self, verdict: &PluginVerdict) -> bool {
        verdict.digest == NOT_LOADED
            || (verdict.digest == self.digest && verdict.config == self.config)
    }
}

/// Waits for a stretch that is under way.
async fn finish_one(
    under_way: &mut JoinSet<(u64, Vec<Compared>)>,
    judged: &mut BTreeMap<u64, Vec<Compared>>,
) -> Result<(), BacktestError> {
    if let Some(done) = under_way.join_next().await {
        let (number, stretch) = done?;
        judged.insert(number, stretch);
    }
    Ok(())
}

/// Puts one recorded question, and compares the answers and what is remembered.
async fn compare(candidate: &Candidate, past: PastDecision) -> Compared {
    let (now, otherwise) = match recorded(past.recording, past.bytes, &past.verdict.plugin) {
        Ok((question, recorded)) => candidate.answer_and_remember(&question, &recorded).await,
        Err(unknown) => (Answered::NotJudged(unknown), false),
    };
    let then = said(past.verdict);
    let difference = BacktestDifference {
        task: past.task,
        received_at: past.received_at,
        change: Change::between(&then, &now),
        then,
        now,
    };
    (difference, otherwise)
}

/// The verdict that the task's row vouches for.
fn said(verdict: PluginVerdict) -> Verdict {
    if verdict.approved {
        return Verdict::Approve;
    }
    Verdict::Reject {
        code: verdict.code,
        reason: verdict.reason,
    }
}

/// The question, and the part of the recording that is of the plugin.
fn recorded(
    recording: KeptRecording,
    task: Vec<u8>,
    plugin: &str,
) -> Result<(Task, Recorded), NotJudged> {
    let bytes = match recording {
        KeptRecording::Whole(bytes) => bytes,
        KeptRecording::Unvouched => return Err(NotJudged::Unvouched),
        KeptRecording::Changed => return Err(NotJudged::Changed),
        KeptRecording::Dropped => return Err(NotJudged::Dropped),
    };
    let recording = Recording::decode(&bytes, task).map_err(|_| NotJudged::Unreadable)?;
    let question = recording.question.ok_or(NotJudged::TooLarge)?;
    let mut evaluations = recording.evaluations.into_iter();
    let recorded = evaluations.find(|recorded| recorded.plugin == plugin);
    Ok((question, recorded.ok_or(NotJudged::Unreadable)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(recording: KeptRecording) -> NotJudged {
        recorded(recording, Vec::new(), "rules").unwrap_err()
    }

    fn whole(recording: Recording) -> KeptRecording {
        KeptRecording::Whole(recording.encode())
    }

    #[test]
    fn what_is_no_sound_recording_is_not_judged() {
        for (recording, expected) in [
            (KeptRecording::Unvouched, NotJudged::Unvouched),
            (KeptRecording::Changed, NotJudged::Changed),
            (KeptRecording::Dropped, NotJudged::Dropped),
            (KeptRecording::Whole(vec![2, 0]), NotJudged::Unreadable),
            (KeptRecording::Whole(Vec::new()), NotJudged::Unreadable),
        ] {
            assert_eq!(why(recording), expected);
        }
        let without_question = Recording {
            chain: [0; 32],
            question: None,
            evaluations: Vec::new(),
        };
        assert_eq!(why(whole(without_question)), NotJudged::TooLarge);
    }

    #[test]
    fn a_verdict_is_of_one_component_with_one_configuration() {
        let version = |digest, config| EntryVersion {
            digest: Hash([digest; 32]),
            config: Hash([config; 32]),
        };
        let verdict = |digest, config| PluginVerdict {
            plugin: "rules".into(),
            version: "1.0.0".into(),
            digest: Hash([digest; 32]),
            config: Hash([config; 32]),
            approved: false,
            code: "limit".into(),
            reason: "r".into(),
            micros: 1,
        };
        assert!(version(1, 2).gave(&verdict(1, 2)));
        for other in [verdict(1, 3), verdict(3, 2), verdict(2, 1)] {
            assert!(!version(1, 2).gave(&other), "{other:?}");
        }
        assert!(version(1, 2).gave(&verdict(0, 0)), "it could not be loaded");
    }

    #[test]
    fn only_a_whole_comparison_without_differences_is_the_same() {
        let result = |change: Option<Change>, gap| {
            let mut result = BacktestResult {
                gap,
                ..BacktestResult::default()
            };
            change
                .into_iter()
                .for_each(|change| result.totals.count(change));
            result
        };
        assert!(result(Some(Change::Same), false).is_same());
        assert!(!result(Some(Change::Same), true).is_same());
        assert!(!result(None, false).is_same(), "nothing was asked");
        assert!(!result(Some(Change::Tighter), false).is_same());
        assert!(!result(Some(Change::NotJudged), false).is_same());
    }
}
