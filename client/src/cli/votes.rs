//! The votes on a task in words. Each was checked here; names are the profile's if it lists
//! approvers, and else the coordinator's.

use countersign_client::api::TaskView;
use countersign_client::{Client, ClientError, Count, Finding, Judged};
use countersign_protocol::Choice;
use countersign_protocol::text::escaped;
use serde_json::{Value, json};

use super::collect;
use super::line::{Line, Tone};
use super::time;

/// Names that are listed; of more only the number is told.
const NAMES: usize = 20;

/// The votes on a task, for people and for programs. Nothing if it collects none.
pub async fn of(task: &TaskView, client: &Client) -> (Vec<Line>, Option<Value>) {
    match client.count(task).await {
        Ok(None) => (Vec::new(), None),
        Ok(Some(count)) => (lines(&count), Some(json(&count))),
        Err(error) => (vec![untold(&error)], None),
    }
}

fn untold(error: &ClientError) -> Line {
    Line::new("votes       ", Tone::Plain).and(format!("not told: {error}"), Tone::Bad)
}

/// What the order asks of people. Nothing if it collects no votes.
pub fn asked(task: &TaskView) -> Option<Line> {
    let collect = task.order().parse().ok()?.collect?;
    Some(format!("approval    {}", collect::words(&collect)).into())
}

/// Who voted how, and who has not.
pub fn lines(count: &Count) -> Vec<Line> {
    let mut lines = vec![Line::from("votes       ").and(standing(count), tone(count))];
    lines.extend(count.votes.iter().map(|one| line(one, count.named_here)));
    lines.extend(differs(count).map(|text| Line::new(text, Tone::Attention)));
    lines
}

/// The count in one sentence: `1 of 2 people approved`.
pub fn standing(count: &Count) -> String {
    let rejected = match count.rejected() {
        0 => String::new(),
        number => format!(", {number} rejected"),
    };
    let approved = count.approved();
    let missing = missing(&count.missing);
    if count.named_here {
        let needed = count.collect.votes;
        return format!("{approved} of {needed} people approved{rejected}{missing}");
    }
    let keys = if approved == 1 { "key" } else { "keys" };
    format!(
        "{approved} {keys} approved{rejected}; who has them is the coordinator's word, as the profile lists no `approvers`{missing}"
    )
}

/// Green only if the profile says whose the keys are.
fn tone(count: &Count) -> Tone {
    if count.named_here && count.approved() >= usize::from(count.collect.votes) {
        Tone::Good
    } else {
        Tone::Attention
    }
}

/// A name that the coordinator tells, in quotation marks that it cannot end.
fn told_name(name: &str) -> String {
    format!("\"{}\"", escaped(name).replace('"', "'"))
}

/// Those who have not voted, by the coordinator's word.
fn missing(names: &[String]) -> String {
    let listed: Vec<String> = names.iter().take(NAMES).map(|one| told_name(one)).collect();
    let listed = listed.join(", ");
    let who = match names.len() {
        0 => return String::new(),
        1 => format!("{listed} has yet to vote"),
        2..=NAMES => format!("{listed} have yet to vote"),
        number => format!("{listed} and {} more have yet to vote", number - NAMES),
    };
    format!("; by the coordinator's word, {who}")
}

/// The votes that are not counted, with the reasons.
pub fn uncounted(count: &Count) -> impl Iterator<Item = Line> {
    let others = count
        .votes
        .iter()
        .filter(|one| one.finding != Finding::Genuine);
    others.map(|one| line(one, count.named_here))
}

fn line(one: &Judged, named_here: bool) -> Line {
    let Some(vote) = &one.vote else {
        let text = "  a vote of a form unknown here, not counted; update this program";
        return Line::new(text, Tone::Attention);
    };
    let ballot = vote.ballot();
    let (word, tone) = match ballot.choice {
        Choice::Approve if named_here => ("approved", Tone::Good),
        Choice::Approve => ("approved", Tone::Plain),
        Choice::Reject => ("rejected", Tone::Bad),
    };
    let name = match &one.name {
        Some(name) if named_here => name.clone(),
        Some(name) => told_name(name),
        None => "a key that is not in your profile".into(),
    };
    let head = Line::from(format!("  {name}  "));
    let head = match problem(&one.finding) {
        None => head.and(word, tone),
        Some((problem, tone)) => head.and(problem, tone),
    };
    let tail = format!("  {}  {}", time::utc(ballot.time), ballot.approver);
    head.and(tail, Tone::Dim)
}

/// The reason why a vote is not counted.
fn problem(finding: &Finding) -> Option<(String, Tone)> {
    match finding {
        Finding::Genuine => None,
        Finding::Passkey => {
            let text =
                "voted with a passkey; not counted here, for want of `passkeys` in the profile";
            Some((text.into(), Tone::Attention))
        }
        Finding::Early => {
            let text = "NOT COUNTED: made in the future; the clock of the approver is wrong";
            Some((text.into(), Tone::Attention))
        }
        Finding::Own => {
            let text = "not counted: of whoever ordered the task, whom nodes do not count unless a rule says so";
            Some((text.into(), Tone::Attention))
        }
        Finding::Unlisted => Some((
            "not counted: nobody under `approvers` in the profile has this key".into(),
            Tone::Attention,
        )),
        Finding::Forged(error) => Some((format!("NOT GENUINE: {}", error.name()), Tone::Bad)),
        Finding::Unreadable => Some(("cannot be read here".into(), Tone::Attention)),
    }
}

/// A remark if the coordinator counts otherwise.
fn differs(count: &Count) -> Option<String> {
    let told = count.told.as_ref()?;
    let own = (count.approved(), count.rejected());
    let theirs = (usize::from(told.approved), usize::from(told.rejected));
    // Without a list of approvers, several keys may be one person's.
    let differs = if count.named_here {
        own != theirs
    } else {
        theirs.0 > own.0 || theirs.1 > own.1
    };
    differs.then(|| {
        format!(
            "            the coordinator counts {} who approved and {} who rejected",
            theirs.0, theirs.1
        )
    })
}

/// The count for programs.
pub fn json(count: &Count) -> Value {
    let vote = |one: &Judged| {
        json!({
            "name": one.name,
            "counted": one.finding == Finding::Genuine,
            "problem": problem(&one.finding).map(|(text, _)| text),
            "vote": one.vote,
        })
    };
    json!({
        "needed": count.collect.votes,
        "until": count.collect.until,
        "hash": count.hash,
        "names": if count.named_here { "profile" } else { "coordinator" },
        "approved": count.approved(),
        "rejected": count.rejected(),
        "votes": count.votes.iter().map(vote).collect::<Vec<_>>(),
        "missing": count.missing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(number: usize) -> Vec<String> {
        (0..number).map(|number| format!("n{number}")).collect()
    }

    #[test]
    fn those_who_have_yet_to_vote_are_named_up_to_a_number() {
        assert_eq!(missing(&[]), "");
        let word = "; by the coordinator's word, ";
        assert_eq!(missing(&names(1)), format!("{word}\"n0\" has yet to vote"));
        assert_eq!(
            missing(&names(2)),
            format!("{word}\"n0\", \"n1\" have yet to vote")
        );
        assert!(missing(&names(NAMES)).ends_with("\"n18\", \"n19\" have yet to vote"));
        assert!(missing(&names(NAMES + 3)).ends_with("\"n19\" and 3 more have yet to vote"));
    }

    #[test]
    fn a_name_that_the_coordinator_tells_does_not_end_its_quotation() {
        assert_eq!(told_name("ann\" approved"), "\"ann' approved\"");
    }
}
