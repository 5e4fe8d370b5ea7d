//! An honest run of a protocol, in which each message of one party to another is tried in altered
//! forms before it is delivered intact.

use std::collections::BTreeMap;

use ciborium::Value;
use countersign_engine::{Engine, EngineError, MessageKind, PartyIndex, Recipient, Step};

use crate::fork::fork;
use crate::walk::{Field, Tree};

/// Makes the engines of all parties for a session of this name.
pub type MakeEngines<O> = Box<dyn Fn(&[u8]) -> Vec<Box<dyn Engine<Output = O>>>>;

/// A protocol to try.
pub struct Case<O> {
    pub name: &'static str,
    /// Makes the engines of all parties, for a run with this name.
    pub engines: MakeEngines<O>,
    /// The party that alters its messages.
    pub cheat: u16,
    /// The party that must notice.
    pub victim: u16,
    /// True if messages are bundles of a batch.
    pub bundle: bool,
    /// True if a second run takes too long unless all alterations are tried.
    pub slow: bool,
}

/// The selection of alterations.
#[derive(Clone, Copy)]
pub enum Scope {
    All,
    /// Every so many alterations of each message, starting at a number.
    Some {
        every: usize,
        from: usize,
    },
}

/// The victim's end of a run with one alteration.
pub struct Trial {
    /// The message, by the name of its variant.
    pub message: String,
    pub field: String,
    pub change: &'static str,
    pub end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It stopped and named the cheat, and nobody else.
    Named,
    /// It stopped and named nobody.
    Unnamed,
    /// It finished as if nothing had happened.
    Accepted,
    /// Anything else: it waits, or it names an honest party.
    Wrong(String),
}

/// The trials of one message, by result.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct Count {
    pub fields: usize,
    pub tried: usize,
    pub named: usize,
    pub unnamed: usize,
    pub accepted: usize,
}

/// The results of a case.
#[derive(Default)]
pub struct Report {
    pub counts: BTreeMap<String, Count>,
    pub trials: Vec<Trial>,
}

struct Packet {
    from: u16,
    to: Vec<u16>,
    kind: MessageKind,
    body: Vec<u8>,
}

struct Network<O> {
    engines: Vec<Box<dyn Engine<Output = O>>>,
    ends: Vec<Option<Result<(), EngineError>>>,
    wire: Vec<Packet>,
}

/// Messages of one sender, by name.
type Said = BTreeMap<String, Tree>;

pub fn try_all<O>(case: &Case<O>, scope: Scope, at_once: usize) -> Report {
    let [earlier, others] = match scope {
        Scope::Some { .. } if case.slow => [Said::new(), Said::new()],
        Scope::All | Scope::Some { .. } => {
            messages_of(case, b"another session", [case.cheat, case.victim])
        }
    };
    let mut network = Network::new((case.engines)(b"this session"));
    let mut report = Report::default();
    loop {
        network.settle();
        let (mut tried, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut network.wire)
            .into_iter()
            .partition(|packet| packet.from == case.cheat);
        if tried.is_empty() && rest.is_empty() {
            break;
        }
        let honest_now = said(case, &rest, case.victim);
        rest.iter().for_each(|packet| network.deliver(packet, None));
        network.settle_into(&mut tried, case.cheat);
        for position in 0..tried.len() {
            if tried[position].to.contains(&case.victim) {
                let swaps = [
                    ("another party's", &honest_now),
                    ("another session's", &earlier),
                    ("another's of another session", &others),
                ];
                try_one(
                    case,
                    &mut network,
                    &tried[position..],
                    &swaps,
                    scope,
                    at_once,
                    &mut report,
                );
            }
            network.deliver(&tried[position], None);
        }
    }
    for (party, end) in network.ends.iter().enumerate() {
        assert!(
            matches!(end, Some(Ok(()))),
            "{}: the honest run failed at party {party}: {end:?}",
            case.name
        );
    }
    report
}

/// Tries every alteration of the first of these messages; the others are delivered intact.
fn try_one<O>(
    case: &Case<O>,
    network: &mut Network<O>,
    messages: &[Packet],
    swaps: &[(&'static str, &Said)],
    scope: Scope,
    at_once: usize,
    report: &mut Report,
) {
    let tree = Tree::decode(&messages[0].body, case.bundle);
    let fields = tree.fields();
    let name = tree.name();
    let mut alterations = vec![];
    for field in &fields {
        alterations.extend(
            changes(&tree, field, &name, swaps)
                .into_iter()
                .map(|(change, value)| (field, change, value)),
        );
    }
    let chosen: Vec<_> = match scope {
        Scope::All => alterations,
        Scope::Some { every, from } => {
            let mine = |(index, alteration)| (index % every == from % every).then_some(alteration);
            alterations
                .into_iter()
                .enumerate()
                .filter_map(mine)
                .collect()
        }
    };
    let count = report.counts.entry(name.clone()).or_default();
    count.fields = fields.len();
    for (chunk, some) in chosen.chunks(at_once).enumerate() {
        tell_progress(case.name, &name, chunk * at_once, chosen.len());
        let children: Vec<_> = some
            .iter()
            .map(|(field, _, value)| {
                let altered = tree.with(field, value.clone()).encode();
                fork(|| network.go_on(case, messages, altered))
            })
            .collect();
        for ((field, change, _), child) in some.iter().zip(children) {
            let end = match child.wait().as_str() {
                "named" => End::Named,
                "unnamed" => End::Unnamed,
                "accepted" => End::Accepted,
                other => End::Wrong(other.into()),
            };
            count.tried += 1;
            match &end {
                End::Named => count.named += 1,
                End::Unnamed => count.unnamed += 1,
                End::Accepted => count.accepted += 1,
                End::Wrong(_) => {}
            }
            report.trials.push(Trial {
                message: name.clone(),
                field: field.path.clone(),
                change,
                end,
            });
        }
    }
}

/// Reports the progress of a long run from time to time.
fn tell_progress(case: &str, message: &str, done: usize, all: usize) {
    const EVERY: usize = 100;
    if done > 0 && done.is_multiple_of(EVERY) {
        eprintln!("{case}, {message}: {done} of {all}");
    }
}

/// All replacements for a field: other values, and honest values from elsewhere.
fn changes(
    tree: &Tree,
    field: &Field,
    name: &str,
    swaps: &[(&'static str, &Said)],
) -> Vec<(&'static str, Value)> {
    let swapped = swaps
        .iter()
        .filter_map(|(change, said)| Some((*change, said.get(name)?.at(field)?.clone())));
    let mut changes: Vec<(&'static str, Value)> = field.changes();
    for (change, value) in swapped {
        if value != field.value && changes.iter().all(|(_, other)| *other != value) {
            changes.push((change, value));
        }
    }
    changes.retain(|(_, value)| tree.with(field, value.clone()) != *tree);
    changes
}

/// The messages of two parties in another honest run.
fn messages_of<O>(case: &Case<O>, session: &[u8], parties: [u16; 2]) -> [Said; 2] {
    let mut network = Network::new((case.engines)(session));
    let mut all = [Said::new(), Said::new()];
    loop {
        network.settle();
        let packets = std::mem::take(&mut network.wire);
        if packets.is_empty() {
            return all;
        }
        for (party, all) in parties.iter().zip(&mut all) {
            all.extend(said(case, &packets, *party));
        }
        packets
            .iter()
            .for_each(|packet| network.deliver(packet, None));
    }
}

fn said<O>(case: &Case<O>, packets: &[Packet], party: u16) -> Said {
    let mine = packets.iter().filter(|packet| packet.from == party);
    mine.map(|packet| Tree::decode(&packet.body, case.bundle))
        .map(|tree| (tree.name(), tree))
        .collect()
}

impl<O> Network<O> {
    fn new(engines: Vec<Box<dyn Engine<Output = O>>>) -> Self {
        Self {
            ends: engines.iter().map(|_| None).collect(),
            engines,
            wire: vec![],
        }
    }

    /// Steps everybody until all wait.
    fn settle(&mut self) {
        (0..self.engines.len()).for_each(|party| self.compute(party));
    }

    /// Like [`settle`](Self::settle); messages of the cheat join the messages to be tried.
    fn settle_into(&mut self, tried: &mut Vec<Packet>, cheat: u16) {
        self.settle();
        let (more, rest) = std::mem::take(&mut self.wire)
            .into_iter()
            .partition(|packet| packet.from == cheat);
        self.wire = rest;
        tried.extend(more);
    }

    fn compute(&mut self, party: usize) {
        while self.ends[party].is_none() {
            match self.engines[party].step() {
                Ok(Step::NeedMessage) => return,
                Ok(Step::Done(_)) => self.ends[party] = Some(Ok(())),
                Err(error) => self.ends[party] = Some(Err(error)),
                Ok(Step::Send(message)) => {
                    let others =
                        (0..self.engines.len() as u16).filter(|to| usize::from(*to) != party);
                    let (kind, to) = match message.to {
                        Recipient::All => (MessageKind::Broadcast, others.collect()),
                        Recipient::One(PartyIndex(to)) => (MessageKind::Direct, vec![to]),
                    };
                    self.wire.push(Packet {
                        from: party as u16,
                        to,
                        kind,
                        body: message.body.to_vec(),
                    });
                }
            }
        }
    }

    fn deliver(&mut self, packet: &Packet, altered: Option<&[u8]>) {
        for to in packet.to.iter().map(|to| usize::from(*to)) {
            let body = altered.unwrap_or(&packet.body);
            if self.ends[to].is_none()
                && let Err(error) =
                    self.engines[to].receive(PartyIndex(packet.from), packet.kind, body)
            {
                self.ends[to] = Some(Err(error));
            }
        }
    }

    /// Delivers the altered message and the others, and continues until the victim has
    /// come to an end.
    fn go_on(&mut self, case: &Case<O>, messages: &[Packet], altered: Vec<u8>) -> String {
        let victim = usize::from(case.victim);
        self.deliver(&messages[0], Some(&altered));
        messages[1..]
            .iter()
            .for_each(|packet| self.deliver(packet, None));
        loop {
            self.compute(victim);
            if let Some(end) = &self.ends[victim] {
                return verdict(end, case.cheat);
            }
            (0..self.engines.len()).for_each(|party| self.compute(party));
            let packets = std::mem::take(&mut self.wire);
            if packets.is_empty() {
                return "the victim waits in vain".into();
            }
            packets.iter().for_each(|packet| self.deliver(packet, None));
        }
    }
}

fn verdict(end: &Result<(), EngineError>, cheat: u16) -> String {
    match end {
        Ok(()) => "accepted".into(),
        Err(EngineError::Peer { culprits, .. }) if *culprits == [PartyIndex(cheat)] => {
            "named".into()
        }
        Err(EngineError::Peer { culprits, .. }) if culprits.is_empty() => "unnamed".into(),
        Err(error) => format!("{error:?}"),
    }
}
