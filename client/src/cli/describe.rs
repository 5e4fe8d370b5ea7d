//! Orders in words: the effect of a reshare, and whole tasks as decoded here.

use countersign_client::{Client, Examined, Profile, ReshareOrder};
use countersign_protocol::text::escaped;
use countersign_protocol::{
    Committee, KeyDescriptor, KeyGen, KeyReshare, KeyShareSign, KeySign, NodeId, Operation, Task,
    Threshold,
};
use countersign_requester::describe;

use super::line::{Line, Tone};
use super::{collect, time};

/// Characters of others' text on one line.
const WIDTH: usize = 64;

/// Describes a reshare: the present and the future holders of the wallet.
pub fn reshare_lines(from: &KeyDescriptor, order: &ReshareOrder, profile: &Profile) -> Vec<String> {
    move_lines(from, (&order.committee, order.threshold), profile)
}

fn move_lines(
    from: &KeyDescriptor,
    (new, threshold): (&Committee, Threshold),
    profile: &Profile,
) -> Vec<String> {
    let old = &from.committee;
    let names = |nodes: Vec<&NodeId>| {
        nodes
            .into_iter()
            .map(|node| profile.name_of(node))
            .collect::<Vec<_>>()
    };
    let part = |nodes: &[NodeId], keep: &dyn Fn(&NodeId) -> bool| {
        names(nodes.iter().filter(|node| keep(node)).collect()).join(", ")
    };
    let groups = [
        (
            "stay ",
            part(old.members(), &|node| new.index_of(node).is_some()),
        ),
        (
            "join ",
            part(new.members(), &|node| old.index_of(node).is_none()),
        ),
        (
            "leave",
            part(old.members(), &|node| new.index_of(node).is_none()),
        ),
    ];
    let mut lines = vec![format!(
        "reshares {}, generation {}: from {} of {} nodes to {} of {}; key and addresses stay",
        from.name,
        from.generation,
        from.threshold.get(),
        old.members().len(),
        threshold.get(),
        new.members().len()
    )];
    lines.extend(
        groups
            .iter()
            .filter(|(_, who)| !who.is_empty())
            .map(|(what, who)| format!("  {what}: {who}")),
    );
    lines
}

/// Describes a task that was examined: everything in its order, nothing of what a coordinator says.
pub fn task_lines(examined: &Examined, client: &Client) -> Vec<Line> {
    let Task {
        version: _,
        id,
        created,
        not_after,
        requester,
        note,
        claims,
        collect,
        operation,
    } = examined.task();
    let requester_line = client
        .profile()
        .describe_requester(client.requester(), requester);
    let trusted = client.profile().known(client.requester()).trusts(requester);
    let tone = if trusted { Tone::Plain } else { Tone::Bad };
    let mut lines: Vec<Line> = vec![
        format!("task        {id}").into(),
        format!("hash        {}", examined.hash()).into(),
        Line::from("requester   ").and(requester_line, tone),
        format!(
            "lives       from {} until {}",
            time::utc(*created),
            time::utc(*not_after)
        )
        .into(),
    ];
    lines.extend(
        collect
            .iter()
            .map(|collect| format!("approval    {}", collect::words(collect)).into()),
    );
    let notes = note.iter().flat_map(|note| foreign("note", &escaped(note)));
    lines.extend(notes);
    let claims = claims
        .iter()
        .flat_map(|(name, value)| foreign("claim", &format!("{name}={}", escaped(value))));
    lines.extend(claims);
    lines.push(format!("operation   {}", operation.name()).into());
    lines.extend(
        examined
            .wallet()
            .map(|wallet| format!("wallet      {} ({})", wallet.name, wallet.key).into()),
    );
    lines.extend(operation_lines(operation, examined, client));
    lines
}

/// What is voted on, in short, to stand beside the question.
pub fn gist(examined: &Examined, client: &Client) -> Vec<Line> {
    let task = examined.task();
    let profile = client.profile();
    let requester = profile.describe_requester(client.requester(), &task.requester);
    let wallet = examined.wallet().map_or_else(
        || "a new wallet".to_owned(),
        |wallet| format!("{} ({})", wallet.name, wallet.key),
    );
    vec![
        "".into(),
        "You vote on this order:".into(),
        format!("  ordered by  {requester}").into(),
        format!("  operation   {}", task.operation.name()).into(),
        format!("  wallet      {wallet}").into(),
        format!("  hash        {}", examined.hash()).into(),
    ]
}

/// Text that others wrote, on short lines with a mark: the terminal wraps none of them, so no part
/// of it stands where a line of ours could.
fn foreign(label: &str, text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let end = fold(rest);
        let label = if lines.is_empty() { label } else { "" };
        lines.push(Line::from(format!("{label:<11} | {}", &rest[..end])));
        rest = &rest[end..];
        if rest.is_empty() {
            return lines;
        }
    }
}

/// The length in bytes of the first line: up to the last blank that fits, if there is one.
fn fold(text: &str) -> usize {
    let Some((limit, _)) = text.char_indices().nth(WIDTH) else {
        return text.len();
    };
    match text[..limit].rfind(' ') {
        Some(blank) => blank + 1,
        None => limit,
    }
}

fn operation_lines(operation: &Operation, examined: &Examined, client: &Client) -> Vec<Line> {
    let profile = client.profile();
    match operation {
        Operation::KeyGen(keygen) => keygen_lines(keygen, profile),
        Operation::KeySign(sign) => sign_lines(sign, examined, profile),
        Operation::KeyReshare(reshare) => {
            let KeyReshare {
                from,
                committee,
                threshold,
                dealers,
            } = &**reshare;
            let moved = move_lines(from, (committee, *threshold), profile);
            let mut lines: Vec<Line> = moved.into_iter().map(Line::from).collect();
            lines.extend(members(committee, profile));
            lines.push(chosen("dealers", dealers.as_deref(), profile));
            lines
        }
        Operation::KeyShareSign(KeyShareSign { key: _, nodes }) => {
            vec![chosen("checks", Some(nodes), profile)]
        }
    }
}

fn keygen_lines(keygen: &KeyGen, profile: &Profile) -> Vec<Line> {
    let KeyGen {
        name,
        scheme,
        committee,
        threshold,
    } = keygen;
    let mut lines: Vec<Line> = vec![
        format!("makes       the wallet {} of {scheme}", escaped(name)).into(),
        format!(
            "threshold   {} of {}",
            threshold.get(),
            committee.members().len()
        )
        .into(),
    ];
    lines.extend(members(committee, profile));
    lines
}

fn sign_lines(sign: &KeySign, examined: &Examined, profile: &Profile) -> Vec<Line> {
    let KeySign {
        key: _,
        path,
        payload,
        signers,
    } = sign;
    let mut lines: Vec<Line> = vec![
        format!("path        {path}").into(),
        chosen("signers", signers.as_deref(), profile),
    ];
    lines.extend(
        payload
            .digests
            .iter()
            .map(|digest| format!("expects     the digest {}", hex::encode(digest)).into()),
    );
    let effect = examined.decoded().into_iter();
    let effect = effect.flat_map(|decoded| describe::lines_in_full(payload, decoded));
    lines.extend(effect.flat_map(|text| foreign("effect", &text)));
    lines
}

/// The future holders of a wallet, each with its whole id.
fn members(committee: &Committee, profile: &Profile) -> impl Iterator<Item = Line> {
    committee.members().iter().map(|node| {
        let tone = if profile.names_node(node) {
            Tone::Plain
        } else {
            Tone::Attention
        };
        Line::from("held by     ").and(profile.describe_node(node), tone)
    })
}

/// Nodes that were chosen by the requester, or are left to the coordinator.
fn chosen(what: &str, nodes: Option<&[NodeId]>, profile: &Profile) -> Line {
    let who = nodes.map_or_else(
        || "chosen by the coordinator".to_owned(),
        |nodes| {
            let names: Vec<String> = nodes.iter().map(|node| profile.name_of(node)).collect();
            names.join(", ")
        },
    );
    format!("{what:<11} {who}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_text_from_elsewhere_is_marked_and_short() {
        let padded = format!("thanks{}requester   you (csr1…)", " ".repeat(200));
        for text in ["", "short", &padded, &"x".repeat(500), &"é ".repeat(300)] {
            let lines = foreign("note", text);
            let lines: Vec<String> = lines.iter().map(|line| line.rendered(false)).collect();
            assert!(lines[0].starts_with("note        | "));
            let mut whole = String::new();
            for line in &lines {
                assert_eq!(&line[11..14], " | ", "{line}");
                assert!(line.chars().count() <= 80, "{line}");
                whole += &line[14..];
            }
            assert_eq!(whole, text);
        }
    }
}
