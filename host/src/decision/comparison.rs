//! The comparison of a new version's answers with those on record, and the finding whether the new
//! version refuses everything that was refused. Whatever is not known speaks against it.

use crate::contract::code::Code;
use crate::contract::evaluation::Verdict;
use crate::contract::trace::Divergence;

/// A new version's answer to a recorded question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It gave a verdict, and heard nothing but what is on record.
    Said(Verdict),
    /// The scope of its entry does not cover the task, so it is not asked and refuses nothing.
    OutOfScope,
    /// Its answer is not known.
    NotJudged(NotJudged),
}

/// The reason for which a new version's answer is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotJudged {
    /// It asked the node or a server something else.
    #[error("it asks what is not on record: {0}")]
    Unheard(Divergence),
    /// The host stopped it.
    #[error("it gave no answer: {reason} [{code}]")]
    Stopped {
        /// Why, as a stable code.
        code: Code,
        /// Why, for people.
        reason: String,
    },
    /// The old version did not run, so nothing was recorded.
    #[error("the plugin did not run at the time [{0}]")]
    NeverRan(Code),
    /// The question or the answers were too large.
    #[error("the question, or what the plugin heard, was too large to be recorded")]
    TooLarge,
    /// The recording cannot be decoded, or does not have the plugin's part.
    #[error("the recording cannot be read: it is damaged, or of a later version of the program")]
    Unreadable,
    /// The recording is not the one that was written with the decision.
    #[error("the recording was changed: it is not the one that the audit log vouches for")]
    Changed,
    /// The program that wrote the recording did not vouch for it.
    #[error("nobody vouches for the recording: an earlier version of the program wrote it")]
    Unvouched,
    /// The recording is no longer kept.
    #[error("the recording is no longer kept")]
    Dropped,
}

/// The difference between an answer on record and a new version's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Approved both times, or refused with the same code.
    Same,
    /// Refused then, approved now.
    Looser,
    /// Approved then, refused now.
    Tighter,
    /// Refused both times, with another code.
    OtherReason,
    /// Not known. Counts as looser.
    NotJudged,
}

/// The number of answers by their difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of `Change`")]
pub struct Totals {
    pub same: u64,
    pub looser: u64,
    pub tighter: u64,
    pub other_reason: u64,
    pub not_judged: u64,
}

/// The finding whether a new version refuses everything that the old one refused. Each question was
/// put with the memory of then, so a new version that counts otherwise may drift from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tightening {
    /// It does, in every decision of the time.
    Proven,
    /// It does not, or that is not known.
    NotProven(Vec<Doubt>),
}

/// A reason for which a new version may be looser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// So many tasks that were refused would be approved.
    Looser(u64),
    /// So many answers are not known.
    NotJudged(u64),
    /// Decisions of the time have lost their recordings.
    Gap,
    /// There was nothing to ask.
    NothingAsked,
}

impl Answered {
    /// The outcome of a replay of a question that was answered with `then`.
    pub(crate) fn new(now: Verdict, divergence: Option<Divergence>, then: &Verdict) -> Self {
        if let Some(divergence) = divergence {
            return Self::NotJudged(NotJudged::Unheard(divergence));
        }
        match now {
            Verdict::Failed { code, reason }
                if is_stop(code) && then.code() != Some(code.as_str()) =>
            {
                Self::NotJudged(NotJudged::Stopped { code, reason })
            }
            now => Self::Said(now),
        }
    }

    /// Code and reason of the refusal, if it is one.
    pub fn refusal(&self) -> Option<(&str, &str)> {
        match self {
            Self::Said(verdict) => verdict.refusal(),
            Self::OutOfScope | Self::NotJudged(_) => None,
        }
    }
}

impl Change {
    /// Compares the verdict on record with the new answer. Of refusals only the codes are compared.
    pub fn between(then: &Verdict, now: &Answered) -> Self {
        let now = match now {
            Answered::NotJudged(_) => return Self::NotJudged,
            Answered::OutOfScope => None,
            Answered::Said(verdict) => verdict.code(),
        };
        match (then.code(), now) {
            (None, None) => Self::Same,
            (Some(_), None) => Self::Looser,
            (None, Some(_)) => Self::Tighter,
            (Some(then), Some(now)) if then == now => Self::Same,
            (Some(_), Some(_)) => Self::OtherReason,
        }
    }
}

impl Totals {
    /// Counts one answer.
    pub fn count(&mut self, change: Change) {
        let total = match change {
            Change::Same => &mut self.same,
            Change::Looser => &mut self.looser,
            Change::Tighter => &mut self.tighter,
            Change::OtherReason => &mut self.other_reason,
            Change::NotJudged => &mut self.not_judged,
        };
        *total += 1;
    }

    /// The number of all answers.
    pub fn all(&self) -> u64 {
        self.same + self.differences()
    }

    /// The number of answers that are not the same.
    pub fn differences(&self) -> u64 {
        self.looser + self.tighter + self.other_reason + self.not_judged
    }

    /// The finding. `gap`: decisions of the time may have lost their recordings.
    pub fn tightening(&self, gap: bool) -> Tightening {
        let doubts = [
            (self.looser > 0).then_some(Doubt::Looser(self.looser)),
            (self.not_judged > 0).then_some(Doubt::NotJudged(self.not_judged)),
            gap.then_some(Doubt::Gap),
            (self.all() == 0).then_some(Doubt::NothingAsked),
        ];
        let doubts: Vec<Doubt> = doubts.into_iter().flatten().collect();
        if doubts.is_empty() {
            Tightening::Proven
        } else {
            Tightening::NotProven(doubts)
        }
    }
}

/// True if the host gave the code because it stopped or never started the plugin. The other codes
/// are for answers that the plugin gave itself.
fn is_stop(code: Code) -> bool {
    match code {
        Code::RejectCode
        | Code::Misconfigured
        | Code::Unavailable
        | Code::Unsupported
        | Code::Internal => false,
        Code::NoPlugin
        | Code::Config
        | Code::Busy
        | Code::Missing
        | Code::Custody
        | Code::TooLarge
        | Code::Digest
        | Code::NotAComponent
        | Code::Signature
        | Code::Compile
        | Code::NotGranted
        | Code::Incompatible
        | Code::Name
        | Code::Grants
        | Code::Trap
        | Code::Exit
        | Code::Stack
        | Code::Memory
        | Code::Cpu
        | Code::Timeout
        | Code::Output
        | Code::Budget => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::trace::Asked;

    fn refused(code: &str) -> Verdict {
        Verdict::Reject {
            code: code.into(),
            reason: "r".into(),
        }
    }

    fn failed(code: Code) -> Verdict {
        Verdict::Failed {
            code,
            reason: "r".into(),
        }
    }

    fn between(then: Verdict, now: Verdict) -> Change {
        Change::between(&then, &Answered::new(now, None, &then))
    }

    #[test]
    fn each_difference_has_its_kind() {
        let approve = || Verdict::Approve;
        for (then, now, change) in [
            (approve(), approve(), Change::Same),
            (refused("a"), refused("a"), Change::Same),
            (refused("a"), approve(), Change::Looser),
            (failed(Code::Unavailable), approve(), Change::Looser),
            (approve(), refused("a"), Change::Tighter),
            (approve(), failed(Code::Unsupported), Change::Tighter),
            (refused("a"), refused("b"), Change::OtherReason),
            (refused("a"), failed(Code::Internal), Change::OtherReason),
        ] {
            assert_eq!(
                between(then.clone(), now.clone()),
                change,
                "{then:?} {now:?}"
            );
        }
    }

    #[test]
    fn the_wording_of_a_refusal_is_no_difference() {
        let now = Verdict::Reject {
            code: "a".into(),
            reason: "in other words".into(),
        };
        assert_eq!(between(refused("a"), now), Change::Same);
    }

    #[test]
    fn a_plugin_that_was_stopped_has_not_answered() {
        for then in [Verdict::Approve, refused("a"), failed(Code::Memory)] {
            for code in [Code::Trap, Code::Cpu, Code::Budget, Code::Busy] {
                assert_eq!(between(then.clone(), failed(code)), Change::NotJudged);
            }
        }
        assert_eq!(
            between(failed(Code::Trap), failed(Code::Trap)),
            Change::Same,
            "it refuses as it did"
        );
    }

    #[test]
    fn an_answer_after_a_question_that_is_not_on_record_is_not_known() {
        let divergence = Divergence {
            at: 0,
            recorded: None,
            asked: Asked::new("http.send", "https://risk.example.com/", &[]),
        };
        for now in [Verdict::Approve, refused("a"), failed(Code::Internal)] {
            let answered = Answered::new(now, Some(divergence.clone()), &refused("a"));
            assert_eq!(Change::between(&refused("a"), &answered), Change::NotJudged);
        }
    }

    #[test]
    fn what_is_out_of_scope_is_refused_no_more() {
        let out = Answered::OutOfScope;
        assert_eq!(Change::between(&refused("a"), &out), Change::Looser);
        assert_eq!(Change::between(&Verdict::Approve, &out), Change::Same);
    }

    fn totals(changes: &[Change]) -> Totals {
        let mut totals = Totals::default();
        changes.iter().for_each(|change| totals.count(*change));
        totals
    }

    #[test]
    fn totals_count_each_kind() {
        use Change::*;
        let totals = totals(&[
            Same,
            Same,
            Looser,
            Tighter,
            Tighter,
            Tighter,
            OtherReason,
            NotJudged,
        ]);
        assert_eq!((totals.all(), totals.differences()), (8, 6));
        assert_eq!(
            totals,
            Totals {
                same: 2,
                looser: 1,
                tighter: 3,
                other_reason: 1,
                not_judged: 1
            }
        );
    }

    #[test]
    fn only_what_is_known_of_every_decision_proves_a_tightening() {
        use Change::*;
        let harmless = [Same, Tighter, OtherReason];
        assert_eq!(totals(&harmless).tightening(false), Tightening::Proven);
        let doubts = |changes: &[Change], gap| match totals(changes).tightening(gap) {
            Tightening::Proven => Vec::new(),
            Tightening::NotProven(doubts) => doubts,
        };
        assert_eq!(doubts(&harmless, true), [Doubt::Gap]);
        assert_eq!(doubts(&[Same, Looser], false), [Doubt::Looser(1)]);
        assert_eq!(doubts(&[Same, NotJudged], false), [Doubt::NotJudged(1)]);
        assert_eq!(doubts(&[], false), [Doubt::NothingAsked]);
        assert_eq!(
            doubts(&[Looser, NotJudged, NotJudged], true),
            [Doubt::Looser(1), Doubt::NotJudged(2), Doubt::Gap]
        );
    }
}
