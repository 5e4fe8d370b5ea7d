//! `--dry-run`: what would come of an order, as the nodes say through the coordinator.

use countersign_client::api::{Answer, NodeForecast, Open, Preflight, Verdict};
use countersign_client::{Client, ClientError, Profile};
use countersign_protocol::{NodeId, NotAsked, PluginVerdict};
use serde_json::json;

use super::exit::Exit;
use super::line::{Line, Tone};
use super::output::Output;
use super::progress;

/// Prints the forecast. The exit code tells what would come of the task.
pub fn show(asked: &Preflight, client: &Client, output: &Output) -> Result<Exit, ClientError> {
    output.note(
        "A forecast by the word of the coordinator and the nodes. It promises nothing, and nothing is ordered.",
    );
    output.result(&json!(asked), &lines(asked, client.profile()))?;
    Ok(exit(&asked.verdict))
}

fn exit(verdict: &Open<Verdict>) -> Exit {
    let known = match verdict {
        Open::Known(known) => known,
        Open::Unknown(_) => return Exit::Undecided,
    };
    match known {
        Verdict::Approved { .. } => Exit::Done,
        Verdict::Refused { .. } => Exit::WouldBeRefused,
        Verdict::Open { .. } | Verdict::Unknown { .. } | Verdict::Waiting { .. } => Exit::Undecided,
    }
}

fn lines(asked: &Preflight, profile: &Profile) -> Vec<Line> {
    let (text, tone) = verdict(asked, profile);
    let operation = progress::operation(&asked.operation);
    let mut lines = vec![Line::from(format!("{operation}: ")).and(text, tone)];
    // Nobody is chosen while the task would wait.
    let chosen = asked.nodes.iter().any(|node| node.chosen);
    for node in &asked.nodes {
        lines.push(head(node, chosen, profile));
        match &node.answer {
            Open::Known(answer) => lines.extend(details(answer, profile)),
            // The head says that it is unknown.
            Open::Unknown(_) => {}
        }
    }
    lines
}

fn verdict(asked: &Preflight, profile: &Profile) -> (String, Tone) {
    let names = |nodes: &[NodeId]| names(nodes, profile);
    let known = match &asked.verdict {
        Open::Known(known) => known,
        Open::Unknown(_) => {
            let text = "unknown: the answer is one of a later version; update this program";
            return (text.into(), Tone::Attention);
        }
    };
    match known {
        Verdict::Approved { by } => (format!("would be approved by {}", names(by)), Tone::Good),
        Verdict::Open { by, undecided } => (
            format!(
                "open: none of {} objects, but not all plugins of {} were asked",
                names(by),
                names(undecided)
            ),
            Tone::Attention,
        ),
        Verdict::Refused { by, .. } => (format!("would be refused by {}", names(by)), Tone::Bad),
        Verdict::Unknown { of } => (
            format!("unknown: {} said nothing", names(of)),
            Tone::Attention,
        ),
        Verdict::Waiting { missing } if missing.is_empty() => (
            format!(
                "would wait until enough of {} nodes have room",
                asked.needed
            ),
            Tone::Attention,
        ),
        Verdict::Waiting { missing } => (
            format!(
                "would wait: it needs {} nodes, and these are offline: {}",
                asked.needed,
                names(missing)
            ),
            Tone::Attention,
        ),
    }
}

fn head(node: &NodeForecast, chosen: bool, profile: &Profile) -> Line {
    let (text, tone) = match &node.answer {
        Open::Known(answer) => answered(answer),
        Open::Unknown(_) => ("gave an answer unknown here".into(), Tone::Attention),
    };
    let part = if chosen && !node.chosen {
        " (would not take part)"
    } else {
        ""
    };
    Line::from(format!("  {}{part}: ", profile.short_name(&node.node)))
        .and(profile.with_names(&text), tone)
}

fn answered(answer: &Answer) -> (String, Tone) {
    match answer {
        Answer::WouldApprove { not_asked, .. } if not_asked.is_empty() => {
            ("would approve".into(), Tone::Good)
        }
        Answer::WouldApprove { .. } => ("does not object so far".into(), Tone::Attention),
        Answer::WouldRefuse { refusal, .. } => (
            format!("would refuse: {} [{}]", refusal.reason, refusal.code),
            Tone::Bad,
        ),
        Answer::SwitchedOff => ("answers no preflights of yours".into(), Tone::Attention),
        Answer::Busy => ("is busy; ask again later".into(), Tone::Attention),
        Answer::Offline => ("is not online".into(), Tone::Attention),
        Answer::NoAnswer => ("did not answer in time".into(), Tone::Attention),
    }
}

fn details(answer: &Answer, profile: &Profile) -> Vec<Line> {
    let (verdicts, not_asked) = match answer {
        Answer::WouldApprove {
            verdicts,
            not_asked,
        }
        | Answer::WouldRefuse {
            verdicts,
            not_asked,
            ..
        } => (verdicts.as_slice(), not_asked.as_slice()),
        Answer::SwitchedOff | Answer::Busy | Answer::Offline | Answer::NoAnswer => {
            (&[][..], &[][..])
        }
    };
    let said = |one: &PluginVerdict| {
        let line = Line::from(format!("    {} {}: ", one.plugin, one.version));
        if one.approved {
            line.and("yes", Tone::Good)
        } else {
            let why = format!("no: {} [{}]", profile.with_names(&one.reason), one.code);
            line.and(why, Tone::Bad)
        }
    };
    let open = |one: &NotAsked| {
        Line::from(format!("    {}: ", one.plugin))
            .and(format!("not asked: {}", one.why), Tone::Attention)
    };
    let verdicts = verdicts.iter().map(said);
    verdicts.chain(not_asked.iter().map(open)).collect()
}

fn names(nodes: &[NodeId], profile: &Profile) -> String {
    let names: Vec<String> = nodes.iter().map(|node| profile.name_of(node)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_approval_by_all_is_a_success() {
        let verdict = |text: &str| serde_json::from_str::<Open<Verdict>>(text).unwrap();
        for (text, expected) in [
            (r#"{"kind":"approved","by":[]}"#, Exit::Done),
            (
                r#"{"kind":"refused","by":[],"instead":[]}"#,
                Exit::WouldBeRefused,
            ),
            (r#"{"kind":"open","by":[],"undecided":[]}"#, Exit::Undecided),
            (r#"{"kind":"unknown","of":[]}"#, Exit::Undecided),
            (r#"{"kind":"waiting","missing":[]}"#, Exit::Undecided),
            (r#"{"kind":"surely","by":[]}"#, Exit::Undecided),
            (r#"{"kind":"approved"}"#, Exit::Undecided),
        ] {
            assert_eq!(exit(&verdict(text)), expected, "{text}");
        }
    }
}
