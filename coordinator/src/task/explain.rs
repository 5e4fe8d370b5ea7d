//! A task in plain words: a pure function of its record and of the nodes that are online.

use std::collections::BTreeMap;

use countersign_api::{Collecting, Decision, Explanation, NodeExplanation, State};
use countersign_protocol::{NodeId, Outcome, TaskId, UnixMillis};

use super::record::{Party, Subject, TaskRecord};
use super::votes::Votes;

/// The surroundings of an explanation.
pub struct Seen<'a> {
    /// Names of the admitted nodes.
    pub names: &'a BTreeMap<NodeId, String>,
    /// True for nodes online.
    pub online: &'a dyn Fn(&NodeId) -> bool,
    /// Time from the offer to the last decision, in ms.
    pub decision: u64,
}

/// Explains a task.
pub fn explain(id: TaskId, subject: &Subject, record: &TaskRecord, seen: &Seen<'_>) -> Explanation {
    let waiting_for = waited_for(record, seen);
    let until = match record.state {
        State::Pending => record.votes.as_ref().map(|votes| votes.collect.until),
        State::Waiting => Some(subject.not_after),
        State::Approving => record
            .offered
            .map(|at| UnixMillis(at.0.saturating_add(seen.decision)))
            .map(|at| at.min(subject.not_after)),
        State::Running
        | State::Completed
        | State::Rejected
        | State::Failed
        | State::Expired
        | State::Cancelled => None,
    };
    Explanation {
        task: id,
        state: record.state.into(),
        summary: summary(subject, record, &waiting_for, seen),
        waiting_for,
        until,
        nodes: record
            .parties
            .iter()
            .map(|party| of_node(record, party, seen))
            .collect(),
        advice: advice(record),
    }
}

fn waited_for(record: &TaskRecord, seen: &Seen<'_>) -> Vec<NodeId> {
    let waits = |party: &&Party| match record.state {
        State::Waiting => !(seen.online)(&party.node),
        State::Approving => party.decision.is_none(),
        State::Running => party.report.is_none(),
        State::Pending
        | State::Completed
        | State::Rejected
        | State::Failed
        | State::Expired
        | State::Cancelled => false,
    };
    let parties = record.parties.iter().filter(waits);
    parties.map(|party| party.node).collect()
}

fn summary(
    subject: &Subject,
    record: &TaskRecord,
    waiting_for: &[NodeId],
    seen: &Seen<'_>,
) -> String {
    let what = format!(
        "This {} of wallet {}",
        subject.operation.title(),
        subject.wallet
    );
    let nodes = list(waiting_for, seen.names);
    let cause = record.reason.as_ref().map_or_else(
        || "no reason is on record".to_owned(),
        |reason| format!("{} (code {})", reason.message, reason.code),
    );
    match record.state {
        State::Pending => format!("{what} waits for people's approval: {}.", counted(record)),
        State::Waiting if waiting_for.is_empty() => {
            format!("{what} waits until enough nodes that can take part are online and have room.")
        }
        State::Waiting => format!("{what} waits for {nodes} to come online."),
        State::Approving if waiting_for.is_empty() => {
            format!("{what} is approved by all parties and is about to begin.")
        }
        State::Approving => format!("{what} waits for the decision of {nodes}."),
        State::Running if waiting_for.is_empty() => format!("{what} is about to end."),
        State::Running => {
            format!("{what} was approved by all parties. It waits for the outcome of {nodes}.")
        }
        State::Completed => format!("{what} ended with a result that was verified here."),
        State::Rejected => {
            let by = record
                .reason
                .as_ref()
                .map_or(&[][..], |reason| &reason.nodes);
            let plugin = record
                .reason
                .as_ref()
                .and_then(|reason| reason.plugin.as_ref())
                .map_or(String::new(), |plugin| format!(" by its plugin `{plugin}`"));
            format!(
                "{what} was refused at {}{plugin}: {cause}.",
                list(by, seen.names)
            )
        }
        State::Failed => format!("{what} failed: {cause}."),
        State::Expired => format!("{what} expired before it began: {cause}."),
        State::Cancelled => format!("{what} was cancelled before it began: {cause}."),
    }
}

fn counted(record: &TaskRecord) -> String {
    let Some(count) = record.votes.as_ref().map(Votes::collecting) else {
        return "it has no votes".into();
    };
    let Collecting {
        needed,
        approved,
        rejected,
        until: _,
    } = count;
    let against = match rejected {
        0 => String::new(),
        some => format!(", and {some} rejected it"),
    };
    format!("{approved} of {needed} approved{against}")
}

fn of_node(record: &TaskRecord, party: &Party, seen: &Seen<'_>) -> NodeExplanation {
    let mut sentences = vec![decided(record, party, seen)];
    sentences.extend(reported(record, party));
    NodeExplanation {
        node: party.node,
        name: seen.names.get(&party.node).cloned(),
        text: sentences.join(" "),
    }
}

fn decided(record: &TaskRecord, party: &Party, seen: &Seen<'_>) -> String {
    let Some(Decision {
        refusal, verdicts, ..
    }) = &party.decision
    else {
        let online = (seen.online)(&party.node);
        let place = if online { "is online" } else { "is not online" };
        return match record.state {
            State::Pending | State::Waiting => format!("It {place} and was not asked yet."),
            State::Approving => format!("It {place} and has not decided yet."),
            State::Running
            | State::Completed
            | State::Rejected
            | State::Failed
            | State::Expired
            | State::Cancelled => "No decision of it is on record.".into(),
        };
    };
    match refusal {
        None if verdicts.is_empty() => "It approved; no plugin guards this at it.".into(),
        None => {
            let plugins: Vec<String> = verdicts
                .iter()
                .map(|verdict| format!("`{}`", verdict.plugin))
                .collect();
            format!("It approved, as did its plugins {}.", plugins.join(", "))
        }
        Some(refusal) => {
            let by = refusal
                .plugin
                .as_ref()
                .map_or("It".to_owned(), |plugin| format!("Its plugin `{plugin}`"));
            format!("{by} refused: {} (code {}).", refusal.reason, refusal.code)
        }
    }
}

fn reported(record: &TaskRecord, party: &Party) -> Option<String> {
    let Some(report) = &party.report else {
        let progress = party.progress.as_ref()?;
        return (record.state == State::Running).then(|| format!("It is {}.", progress.stage));
    };
    Some(match &report.outcome {
        Outcome::Created(_) | Outcome::Reshared(_) => "It stored its share.".into(),
        Outcome::Signed(_) => "It has the signatures.".into(),
        Outcome::Intact(_) => "Its share is intact.".into(),
        Outcome::Refused(refusal) => {
            format!(
                "It did not take part: {} (code {}).",
                refusal.reason, refusal.code
            )
        }
        Outcome::Failed(failure) if report.wrong => {
            format!("It reported a wrong result: {}.", failure.text)
        }
        Outcome::Failed(failure) => {
            format!("It gave up: {} (code {}).", failure.text, failure.code)
        }
    })
}

fn advice(record: &TaskRecord) -> Option<String> {
    let text = match record.state {
        State::Pending => "Ask the approvers to vote, or cancel the task.",
        State::Waiting => "Start the nodes that are not online, or cancel the task.",
        State::Rejected => {
            "Correct the order, or ask the operator of the node that refused; then send a new task."
        }
        State::Failed | State::Expired => {
            "See to the cause, then send a new task. This one is never tried again."
        }
        State::Approving | State::Running | State::Completed | State::Cancelled => return None,
    };
    Some(text.into())
}

fn list(nodes: &[NodeId], names: &BTreeMap<NodeId, String>) -> String {
    let name = |node: &NodeId| names.get(node).cloned().unwrap_or_else(|| node.to_string());
    let named: Vec<String> = nodes.iter().map(name).collect();
    match named.split_last() {
        None => "a node".into(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
