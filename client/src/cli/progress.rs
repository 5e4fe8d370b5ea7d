//! Shows a task on its way: one line for each node and its plugins, redrawn on a terminal, appended elsewhere.

use std::collections::BTreeMap;

use countersign_client::Profile;
use countersign_client::api::{PartyView, State, TaskView};
use countersign_protocol::{NodeId, Outcome, PluginVerdict};

use super::output::{Output, clean};

/// What has been shown so far.
pub struct Progress<'a> {
    profile: &'a Profile,
    output: Output,
    drawn: usize,
    told: BTreeMap<NodeId, String>,
    state: Option<State>,
}

impl<'a> Progress<'a> {
    /// Shows nothing with `--json`.
    pub fn new(profile: &'a Profile, output: Output) -> Progress<'a> {
        Progress { profile, output, drawn: 0, told: BTreeMap::new(), state: None }
    }

    /// Shows what is new.
    pub fn show(&mut self, task: &TaskView) {
        match (self.output.is_json(), self.output.is_live()) {
            (true, _) => {}
            (false, true) => self.redraw(task),
            (false, false) => self.append(task),
        }
    }

    /// Moves up to the first line drawn, and writes all lines again, each to its end.
    fn redraw(&mut self, task: &TaskView) {
        let mut lines = vec![head(task)];
        lines.extend(task.nodes.iter().map(|party| self.line(party)));
        let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        let text: String = lines.iter().map(|line| format!("\r\x1b[2K{}\n", short(line))).collect();
        eprint!("{up}{text}");
        self.drawn = lines.len();
    }

    fn append(&mut self, task: &TaskView) {
        if self.state != Some(task.summary.state) {
            self.state = Some(task.summary.state);
            eprintln!("{}", clean(&head(task)));
        }
        for party in &task.nodes {
            let line = self.line(party);
            if self.told.insert(party.node, line.clone()).as_ref() != Some(&line) {
                eprintln!("{}", clean(&line));
            }
        }
    }

    fn line(&self, party: &PartyView) -> String {
        let name = self.profile.name_of(&party.node);
        format!("  {name}: {}", self.stand(party) + &plugins(party))
    }

    fn stand(&self, party: &PartyView) -> String {
        let refusal = party.decision.as_ref().and_then(|decision| decision.refusal.as_ref());
        if let Some(refusal) = refusal {
            return format!("refused: {} [{}]", refusal.reason, refusal.code);
        }
        if let Some(outcome) = &party.outcome {
            return ended(&outcome.outcome);
        }
        if let Some(progress) = &party.progress {
            let names: Vec<String> =
                progress.waiting_for.iter().map(|node| self.profile.name_of(node)).collect();
            let whom =
                if names.is_empty() { String::new() } else { format!(", waits for {}", names.join(", ")) };
            return format!("{}{whom}", progress.stage);
        }
        match (&party.decision, party.online) {
            (Some(_), _) => "approved".into(),
            (None, true) => "deciding".into(),
            (None, false) => "not on line".into(),
        }
    }
}

fn head(task: &TaskView) -> String {
    let summary = &task.summary;
    format!("{} {}: {}", summary.operation, summary.id, state(summary.state))
}

/// A state in words.
pub fn state(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting for nodes",
        State::Approving => "nodes decide",
        State::Running => "running",
        State::Completed => "completed",
        State::Rejected => "rejected",
        State::Failed => "failed",
        State::Expired => "expired",
    }
}

/// An outcome in words.
pub fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created(_) => "stored its share".into(),
        Outcome::Signed(_) => "signed".into(),
        Outcome::Reshared(_) => "handed over".into(),
        Outcome::Intact(_) => "share intact".into(),
        Outcome::Refused(refusal) => format!("refused: {} [{}]", refusal.reason, refusal.code),
        Outcome::Failed(failure) => format!("failed: {} [{}]", failure.text, failure.code),
    }
}

fn plugins(party: &PartyView) -> String {
    let verdicts = party.decision.as_ref().map(|decision| &decision.verdicts[..]).unwrap_or_default();
    if verdicts.is_empty() {
        return String::new();
    }
    let one = |verdict: &PluginVerdict| {
        let said = if verdict.approved { "yes" } else { "no" };
        format!("{} {said} ({} us)", verdict.plugin, verdict.micros)
    };
    format!(" | {}", verdicts.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// A redrawn line must stay one line on the terminal.
fn short(line: &str) -> String {
    clean(line).chars().take(WIDTH).collect()
}

const WIDTH: usize = 110;
