//! How many of which groups must approve.
//!
//! `all` and `any` of groups are multiplied out into ways, each a list of demands that must all be
//! met. A person counts for one demand of a way, so that "one of finance and one of security" are
//! two people even if somebody is in both groups.

use serde::Deserialize;

use crate::people::{People, Person, Set};

/// The deepest nesting of `all` and `any`.
const MAX_DEPTH: usize = 4;
/// The maximum number of ways.
const MAX_WAYS: usize = 64;

/// A requirement as written: a group with a number of votes, `all` of several requirements, or
/// `any` of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRequirement {
    group: Option<String>,
    votes: Option<usize>,
    all: Option<Vec<Self>>,
    any: Option<Vec<Self>>,
}

/// The requirement as evaluated.
#[derive(Debug)]
pub struct Requirement {
    text: String,
    ways: Vec<Vec<Demand>>,
}

/// So many approvals by members of one group.
#[derive(Debug, Clone)]
struct Demand {
    votes: usize,
    members: Set,
}

impl Requirement {
    /// Checks the written form. Fails if it cannot be met although everybody approves.
    pub fn new(written: &WrittenRequirement, people: &People) -> Result<Self, String> {
        let requirement = expand(written, people, 1)?;
        if !requirement.is_met(&requirement.members()) {
            return Err(format!(
                "{} cannot be had, since a person counts for one group only; add people or demand fewer votes",
                requirement.text
            ));
        }
        Ok(requirement)
    }

    /// The requirement in words, such as `2 of finance and 1 of security`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Everybody whose approval may count.
    pub fn members(&self) -> Set {
        let demands = self.ways.iter().flatten();
        demands.flat_map(|demand| demand.members.clone()).collect()
    }

    /// True if these people suffice, each of them counted for one demand.
    pub fn is_met(&self, by: &Set) -> bool {
        self.ways.iter().any(|way| suffices(way, by))
    }
}

fn expand(
    written: &WrittenRequirement,
    people: &People,
    depth: usize,
) -> Result<Requirement, String> {
    if depth > MAX_DEPTH {
        return Err(format!(
            "`all` and `any` are nested more than {MAX_DEPTH} deep; simplify the rule"
        ));
    }
    match written {
        WrittenRequirement {
            group: Some(group),
            votes: Some(votes),
            all: None,
            any: None,
        } => of_group(group, *votes, people),
        WrittenRequirement {
            group: None,
            votes: None,
            all: Some(parts),
            any: None,
        } => all(expand_each("all", parts, people, depth)?),
        WrittenRequirement {
            group: None,
            votes: None,
            all: None,
            any: Some(parts),
        } => any(expand_each("any", parts, people, depth)?),
        _ => Err(
            "a requirement is a group with a number of votes, e.g. {group: finance, votes: 2}, or a list under `all` or `any`; write one of them"
                .into(),
        ),
    }
}

fn expand_each(
    word: &str,
    parts: &[WrittenRequirement],
    people: &People,
    depth: usize,
) -> Result<Vec<Requirement>, String> {
    if parts.len() < 2 {
        return Err(format!(
            "`{word}` has fewer than two entries; write the entry itself, or add another"
        ));
    }
    parts
        .iter()
        .map(|part| expand(part, people, depth + 1))
        .collect()
}

fn of_group(group: &str, votes: usize, people: &People) -> Result<Requirement, String> {
    let members = people.group(group)?.clone();
    if !(1..=members.len()).contains(&votes) {
        return Err(format!(
            "{votes} votes of {group} cannot be had, which has {} members; demand 1 to {}",
            members.len(),
            members.len()
        ));
    }
    Ok(Requirement {
        text: format!("{votes} of {group}"),
        ways: vec![vec![Demand { votes, members }]],
    })
}

/// Each way of one part joined with each way of the others.
fn all(parts: Vec<Requirement>) -> Result<Requirement, String> {
    let text = joined(&parts, " and ");
    let mut ways = vec![Vec::new()];
    for part in parts {
        if ways.len() * part.ways.len() > MAX_WAYS {
            return Err(too_many());
        }
        let extended = ways.iter().flat_map(|way: &Vec<Demand>| {
            let with = |more: &Vec<Demand>| [&way[..], more].concat();
            part.ways.iter().map(with)
        });
        ways = extended.collect();
    }
    Ok(Requirement { text, ways })
}

fn any(parts: Vec<Requirement>) -> Result<Requirement, String> {
    let text = joined(&parts, " or ");
    let ways: Vec<_> = parts.into_iter().flat_map(|part| part.ways).collect();
    if ways.len() > MAX_WAYS {
        return Err(too_many());
    }
    Ok(Requirement { text, ways })
}

fn too_many() -> String {
    format!("it can be met in more than {MAX_WAYS} ways; simplify the rule")
}

fn joined(parts: &[Requirement], word: &str) -> String {
    let bracketed = |part: &Requirement| {
        if part.text.contains(" and ") || part.text.contains(" or ") {
            format!("({})", part.text)
        } else {
            part.text.clone()
        }
    };
    let texts: Vec<_> = parts.iter().map(bracketed).collect();
    texts.join(word)
}

/// Assigns people to demands one place at a time, moving those already assigned along if that
/// makes room (augmenting paths of a bipartite matching).
fn suffices(way: &[Demand], by: &Set) -> bool {
    let places: Vec<&Demand> = way
        .iter()
        .flat_map(|demand| std::iter::repeat_n(demand, demand.votes))
        .collect();
    let mut taken: Vec<(Person, usize)> = Vec::new();
    (0..places.len()).all(|place| fill(place, &places, by, &mut taken, &mut Set::new()))
}

/// Finds somebody for a place. `tried` are people whom this search has considered.
fn fill(
    place: usize,
    places: &[&Demand],
    by: &Set,
    taken: &mut Vec<(Person, usize)>,
    tried: &mut Set,
) -> bool {
    for person in places[place].members.intersection(by) {
        if !tried.insert(*person) {
            continue;
        }
        let at = taken.iter().position(|(other, _)| other == person);
        match at {
            None => taken.push((*person, place)),
            Some(at) => {
                let held = taken[at].1;
                if !fill(held, places, by, taken, tried) {
                    continue;
                }
                // The person's former place is filled by somebody else now.
                taken[at].1 = place;
            }
        }
        return true;
    }
    false
}
