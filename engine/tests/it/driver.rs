//! An in-memory network: delivers in random order, often before the receiver is ready, and lets
//! a test alter messages.

use countersign_engine::{Engine, EngineError, MessageKind, PartyIndex, Recipient, Step};
use rand::rngs::{OsRng, StdRng};
use rand::{Rng, SeedableRng};

/// A message to one receiver.
pub struct Packet {
    pub from: PartyIndex,
    pub to: PartyIndex,
    pub kind: MessageKind,
    pub body: Vec<u8>,
    /// Index of this message among those that its sender sent to this receiver in
    /// this kind, from 0.
    pub number: usize,
}

/// Each party's result; `None` for a party that still waits.
pub type Outcomes<O> = Vec<Option<Result<O, EngineError>>>;

/// Runs to the end and expects every party to succeed.
pub fn run<O>(engines: Vec<Box<dyn Engine<Output = O>>>) -> Vec<O> {
    let outcomes = run_altered(engines, |_| {});
    outcomes
        .into_iter()
        .map(|outcome| outcome.expect("no party waits").expect("no party fails"))
        .collect()
}

/// Runs until nothing moves. `alter` sees every message before it is delivered.
pub fn run_altered<O>(
    engines: Vec<Box<dyn Engine<Output = O>>>,
    alter: impl FnMut(&mut Packet),
) -> Outcomes<O> {
    let seed = OsRng.r#gen();
    // Shown by the test runner when the test fails.
    println!("order of delivery: seed {seed}");
    let outcomes = engines.iter().map(|_| None).collect();
    let mut network = Network {
        engines,
        outcomes,
        wire: vec![],
        sent: vec![],
        alter,
    };
    network.run(StdRng::seed_from_u64(seed));
    network.outcomes
}

struct Network<O, A> {
    engines: Vec<Box<dyn Engine<Output = O>>>,
    outcomes: Outcomes<O>,
    wire: Vec<Packet>,
    /// Sender, receiver and kind of all messages so far.
    sent: Vec<(PartyIndex, PartyIndex, MessageKind)>,
    alter: A,
}

impl<O, A: FnMut(&mut Packet)> Network<O, A> {
    /// Each turn, either one party computes or one message arrives, at random.
    fn run(&mut self, mut chance: StdRng) {
        let mut idle = 0;
        while idle < self.engines.len() || !self.wire.is_empty() {
            let moved = if !self.wire.is_empty() && chance.r#gen() {
                let packet = self.wire.swap_remove(chance.gen_range(0..self.wire.len()));
                self.deliver(packet);
                true
            } else if self.wire.is_empty() {
                (0..self.engines.len())
                    .filter(|party| self.step(*party))
                    .count()
                    > 0
            } else {
                self.step(chance.gen_range(0..self.engines.len()))
            };
            idle = if moved { 0 } else { idle + 1 };
        }
    }

    /// Steps a party; returns true if it did anything.
    fn step(&mut self, party: usize) -> bool {
        if self.outcomes[party].is_some() {
            return false;
        }
        match self.engines[party].step() {
            Ok(Step::NeedMessage) => return false,
            Ok(Step::Send(message)) => self.post(party, message.to, &message.body),
            Ok(Step::Done(output)) => self.outcomes[party] = Some(Ok(output)),
            Err(error) => self.outcomes[party] = Some(Err(error)),
        }
        true
    }

    fn post(&mut self, from: usize, to: Recipient, body: &[u8]) {
        let (kind, receivers) = match to {
            Recipient::All => (
                MessageKind::Broadcast,
                (0..self.engines.len()).filter(|to| *to != from).collect(),
            ),
            Recipient::One(to) => (MessageKind::Direct, vec![usize::from(to.0)]),
        };
        let from = PartyIndex(from as u16);
        for to in receivers {
            let to = PartyIndex(to as u16);
            let number = self
                .sent
                .iter()
                .filter(|sent| **sent == (from, to, kind))
                .count();
            self.sent.push((from, to, kind));
            let mut packet = Packet {
                from,
                to,
                kind,
                body: body.to_vec(),
                number,
            };
            (self.alter)(&mut packet);
            self.wire.push(packet);
        }
    }

    fn deliver(&mut self, packet: Packet) {
        let party = usize::from(packet.to.0);
        if let Err(error) = self.engines[party].receive(packet.from, packet.kind, &packet.body) {
            self.outcomes[party].get_or_insert(Err(error));
        }
    }
}
