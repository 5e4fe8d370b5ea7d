//! Shows the progress of a task: one line for each node and its plugins, redrawn on
//! a terminal, appended elsewhere.

use std::collections::BTreeMap;

use countersign_client::Profile;
use countersign_client::api::{Open, PartyView, State, TaskSummary, TaskView};
use countersign_protocol::control::{Pace, Stage};
use countersign_protocol::{NodeId, OperationKind, Outcome, PluginVerdict};

use super::line::{Line, Tone};
use super::output::Output;
use super::time;

const WIDTH: usize = 110;

/// The lines shown so far.
pub struct Progress<'a> {
    profile: &'a Profile,
    output: Output,
    drawn: usize,
    told: BTreeMap<NodeId, Line>,
    head: Vec<Line>,
}

impl<'a> Progress<'a> {
    /// Shows nothing with `--json`.
    pub fn new(profile: &'a Profile, output: Output) -> Self {
        Progress {
            profile,
            output,
            drawn: 0,
            told: BTreeMap::new(),
            head: Vec::new(),
        }
    }

    /// Shows the changes since the last call.
    pub fn show(&mut self, task: &TaskView) {
        match (self.output.is_json(), self.output.is_live()) {
            (true, _) => {}
            (false, true) => self.redraw(task),
            (false, false) => self.append(task),
        }
    }

    /// Moves up to the first line drawn, and writes all lines again, each to its end.
    fn redraw(&mut self, task: &TaskView) {
        let mut lines = head(task);
        let asked = task.summary.offered.is_some();
        lines.extend(parties(task).iter().map(|party| self.line(party, asked)));
        let up = if self.drawn > 0 {
            format!("\x1b[{}A", self.drawn)
        } else {
            String::new()
        };
        self.drawn = lines.len();
        // A redrawn line must stay one line on the terminal.
        let draw = |line: Line| format!("\r\x1b[2K{}\n", self.output.rendered(&line.cut(WIDTH)));
        let text: String = lines.into_iter().map(draw).collect();
        // There may have been more lines before.
        eprint!("{up}{text}\x1b[J");
    }

    fn append(&mut self, task: &TaskView) {
        let head = head(task);
        if self.head != head {
            head.iter().for_each(|line| self.output.note(line.clone()));
            self.head = head;
        }
        let asked = task.summary.offered.is_some();
        for party in parties(task) {
            // Passing time alone is not news.
            let news = self.line(&without_time(party), asked);
            if self.told.insert(party.node, news.clone()).as_ref() != Some(&news) {
                self.output.note(self.line(party, asked));
            }
        }
    }

    fn line(&self, party: &PartyView, asked: bool) -> Line {
        let (text, tone) = self.stand(party, asked);
        Line::from(format!("  {}: ", self.profile.short_name(&party.node)))
            .and(self.profile.with_names(&text), tone)
            .and(plugins(party), Tone::Dim)
    }

    fn stand(&self, party: &PartyView, asked: bool) -> (String, Tone) {
        let refusal = party
            .decision
            .as_ref()
            .and_then(|decision| decision.refusal.as_ref());
        if let Some(refusal) = refusal {
            return (
                format!("refused: {} [{}]", refusal.reason, refusal.code),
                Tone::Bad,
            );
        }
        if let Some(outcome) = &party.outcome {
            return ended(&outcome.outcome);
        }
        if let Some(progress) = &party.progress {
            let names: Vec<String> = progress
                .waiting_for
                .iter()
                .map(|node| self.profile.short_name(node))
                .collect();
            let stage = format!(
                "{}{}",
                stage(&progress.stage),
                progress.pace.map(pace).unwrap_or_default()
            );
            return if names.is_empty() {
                (stage, Tone::Plain)
            } else {
                (
                    format!("{stage}, waiting for {}", names.join(", ")),
                    Tone::Attention,
                )
            };
        }
        match (&party.decision, party.online) {
            (Some(_), _) => ("approved".into(), Tone::Good),
            (None, true) if asked => ("deciding".into(), Tone::Plain),
            (None, true) => ("not asked yet".into(), Tone::Plain),
            (None, false) => ("not online".into(), Tone::Attention),
        }
    }
}

/// The nodes to tell of: none while people vote.
fn parties(task: &TaskView) -> &[PartyView] {
    if task.summary.state == State::Pending {
        &[]
    } else {
        &task.nodes
    }
}

/// The stage in words.
pub fn stage(stage: &Open<Stage>) -> String {
    match stage {
        Open::Known(known) => known.to_string(),
        Open::Unknown(_) => format!("unknown stage {stage}"),
    }
}

fn without_time(party: &PartyView) -> PartyView {
    let mut party = party.clone();
    if let Some(pace) = party
        .progress
        .as_mut()
        .and_then(|progress| progress.pace.as_mut())
    {
        pace.elapsed_ms = 0;
    }
    party
}

/// The progress of a node within a long stage.
fn pace(pace: Pace) -> String {
    let done = pace
        .percent
        .map(|percent| format!("{percent} % done, "))
        .unwrap_or_default();
    format!(
        ": {done}{} s of at most {} s",
        pace.elapsed_ms / 1000,
        pace.limit_ms / 1000
    )
}

/// The state, and what people can do about it.
fn head(task: &TaskView) -> Vec<Line> {
    let summary = &task.summary;
    let (state, tone) = state_of(summary);
    let what = operation(&summary.operation);
    let mut lines = vec![Line::from(format!("{what} {}: ", summary.id)).and(state, tone)];
    if summary.state == State::Pending {
        let how = format!("  to vote: countersign task vote {} --approve", summary.id);
        lines.push(how.into());
    }
    lines
}

/// The operation in words.
pub fn operation(operation: &Open<OperationKind>) -> String {
    match operation {
        Open::Known(known) => known.title().into(),
        Open::Unknown(_) => format!("unknown operation {operation}"),
    }
}

/// The state in words, with the coordinator's count of votes while they are collected.
pub fn state_of(task: &TaskSummary) -> (String, Tone) {
    let (words, tone) = state(&task.state);
    let count = task.collecting.filter(|_| task.state == State::Pending);
    let count = count.map_or_else(String::new, |count| {
        let rejected = match count.rejected {
            0 => String::new(),
            number => format!(" and {number} rejected"),
        };
        format!(
            ": {} of {} approved{rejected}, until {}",
            count.approved,
            count.needed,
            time::utc(count.until)
        )
    });
    (words + &count, tone)
}

/// The state in words. One of a later version is nothing that people or programs could rely on.
pub fn state(state: &Open<State>) -> (String, Tone) {
    let (words, tone) = match state {
        Open::Known(known) => known_state(*known),
        Open::Unknown(_) => return (format!("unknown state {state}"), Tone::Attention),
    };
    (words.into(), tone)
}

fn known_state(state: State) -> (&'static str, Tone) {
    match state {
        State::Pending => ("waiting for people's approval", Tone::Attention),
        State::Waiting => ("waiting for nodes", Tone::Attention),
        State::Approving => ("nodes decide", Tone::Plain),
        State::Running => ("running", Tone::Plain),
        State::Completed => ("completed", Tone::Good),
        State::Rejected => ("rejected", Tone::Bad),
        State::Failed => ("failed", Tone::Bad),
        State::Expired => ("expired", Tone::Bad),
        State::Cancelled => ("cancelled", Tone::Bad),
    }
}

pub fn ended(outcome: &Open<Outcome>) -> (String, Tone) {
    let known = match outcome {
        Open::Known(known) => known,
        Open::Unknown(_) => return ("ended in a way unknown here".into(), Tone::Attention),
    };
    match known {
        Outcome::Created(_) => ("stored its share".into(), Tone::Good),
        Outcome::Signed(_) => ("signed".into(), Tone::Good),
        Outcome::Reshared(_) => ("reshared".into(), Tone::Good),
        Outcome::Intact(_) => ("share intact".into(), Tone::Good),
        Outcome::Refused(refusal) => (
            format!("refused: {} [{}]", refusal.reason, refusal.code),
            Tone::Bad,
        ),
        Outcome::Failed(failure) => (
            format!("failed: {} [{}]", failure.text, failure.code),
            Tone::Bad,
        ),
    }
}

fn plugins(party: &PartyView) -> String {
    let verdicts = party
        .decision
        .as_ref()
        .map(|decision| &decision.verdicts[..])
        .unwrap_or_default();
    if verdicts.is_empty() {
        return String::new();
    }
    let one = |verdict: &PluginVerdict| {
        let said = if verdict.approved { "yes" } else { "no" };
        format!("{} {said} ({} us)", verdict.plugin, verdict.micros)
    };
    format!(
        " | {}",
        verdicts.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stage_is_told_with_its_time_and_share() {
        let at = |percent| Pace {
            elapsed_ms: 12_400,
            limit_ms: 900_000,
            percent,
        };
        assert_eq!(pace(at(Some(46))), ": 46 % done, 12 s of at most 900 s");
        assert_eq!(pace(at(None)), ": 12 s of at most 900 s");
    }
}
