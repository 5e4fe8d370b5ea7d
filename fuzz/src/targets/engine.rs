//! Messages of the engines: a run of two parties in which one message of the second is altered on
//! its way to the first.
//!
//! Input: one byte for the protocol, one for the number of the message, one that says how it is
//! altered, and the alteration. All randomness is fixed, so that the same input always
//! meets the same run.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ciborium::Value;
use countersign_engine::{
    AgreeParams, Aux, AuxParams, Cause, CommitteeIndex, Engine, EngineError, KeygenParams, Message,
    MessageKind, PartyIndex, Primes, Recipient, ReshareParams, Role, SafePrime, Scheme, Share,
    SignParams, Step, agree, aux_info, batch, keygen, reshare, sign,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::input::Input;

/// Protocols that take milliseconds.
const QUICK: [Protocol; 10] = [
    Protocol::Sign(Scheme::Ed25519),
    Protocol::Sign(Scheme::SchnorrSecp256k1),
    Protocol::Sign(Scheme::Taproot),
    Protocol::Batch(Scheme::Ed25519),
    Protocol::Batch(Scheme::Taproot),
    Protocol::Keygen(Scheme::Ed25519),
    Protocol::Keygen(Scheme::EcdsaSecp256k1),
    Protocol::Reshare(Scheme::Ed25519),
    Protocol::Reshare(Scheme::Taproot),
    Protocol::Agree,
];
const ECDSA: Protocol = Protocol::Sign(Scheme::EcdsaSecp256k1);
const PARTIES: [PartyIndex; 2] = [PartyIndex(0), PartyIndex(1)];

type Party = Box<dyn Engine<Output = ()>>;

/// The output of an engine does not matter here: signatures and shares prove themselves
/// before they leave it.
struct Quiet<E>(E);

impl<E: Engine> Engine for Quiet<E> {
    type Output = ();

    fn step(&mut self) -> Result<Step<()>, EngineError> {
        Ok(match self.0.step()? {
            Step::Send(outgoing) => Step::Send(outgoing),
            Step::NeedMessage => Step::NeedMessage,
            Step::Done(_) => Step::Done(()),
        })
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        self.0.receive(from, kind, body)
    }

    fn body_limit(&self) -> usize {
        self.0.body_limit()
    }
}

fn quiet<O: 'static>(engine: Result<Box<dyn Engine<Output = O>>, EngineError>) -> Party {
    Box::new(Quiet(engine.expect("valid parameters")))
}

#[derive(Clone, Copy)]
enum Protocol {
    Keygen(Scheme),
    Sign(Scheme),
    Batch(Scheme),
    Reshare(Scheme),
    Agree,
    AuxInfo,
}

impl Protocol {
    fn party(self, me: PartyIndex) -> Party {
        let rng = StdRng::seed_from_u64(100 + u64::from(me.0));
        let session = b"fuzz";
        match self {
            Self::Keygen(scheme) => quiet(keygen(
                scheme,
                KeygenParams {
                    session,
                    me,
                    parties: 2,
                    threshold: 2,
                },
                rng,
            )),
            Self::Sign(scheme) => quiet(signer(scheme, me, b"fuzz", rng)),
            Self::Batch(scheme) => {
                let one = signer(scheme, me, b"one", rng.clone()).expect("valid parameters");
                let two =
                    signer(scheme, me, b"two", StdRng::seed_from_u64(7)).expect("valid parameters");
                quiet(Ok(batch(vec![one, two])))
            }
            Self::Reshare(scheme) => {
                let share = share(scheme, me);
                let role = |party: PartyIndex| Role {
                    deals: Some(CommitteeIndex(party.0)),
                    joins: true,
                };
                let params = ReshareParams {
                    session,
                    me,
                    parties: &PARTIES.map(role),
                    threshold: 2,
                    old: &share.public(),
                    generation: 1,
                };
                quiet(reshare(params, Some(&share), rng))
            }
            Self::Agree => {
                let params = AgreeParams {
                    session,
                    me,
                    parties: 2,
                    speakers: &PARTIES,
                };
                quiet(agree(params, Some(b"the public shares".to_vec())))
            }
            Self::AuxInfo => quiet(aux_info(
                AuxParams {
                    session,
                    me,
                    parties: 2,
                },
                primes(),
                rng,
            )),
        }
    }
}

fn signer(
    scheme: Scheme,
    me: PartyIndex,
    session: &[u8],
    rng: StdRng,
) -> Result<Box<dyn Engine<Output = countersign_engine::Signature>>, EngineError> {
    let message = Message::Digest([5; 32]);
    let params = SignParams {
        session,
        me,
        signers: &[CommitteeIndex(0), CommitteeIndex(1)],
        path: &[0, 7],
        script_root: None,
        message,
    };
    let aux = scheme.needs_aux().then(|| aux(me));
    sign(params, &share(scheme, me), aux, rng)
}

/// The shares of a 2-of-3 key of each scheme, made once by each thread.
fn share(scheme: Scheme, me: PartyIndex) -> Rc<Share> {
    thread_local! {
        static SHARES: [OnceCell<Vec<Rc<Share>>>; 4] = const { [const { OnceCell::new() }; 4] };
    }
    SHARES.with(|all| all[scheme as usize].get_or_init(|| key(scheme))[usize::from(me.0)].clone())
}

fn key(scheme: Scheme) -> Vec<Rc<Share>> {
    let engine = |me| {
        let params = KeygenParams {
            session: b"key",
            me: PartyIndex(me),
            parties: 3,
            threshold: 2,
        };
        keygen(scheme, params, StdRng::seed_from_u64(u64::from(me))).expect("valid parameters")
    };
    let mut engines: Vec<_> = (0..3).map(engine).collect();
    let mut shares: Vec<Option<Rc<Share>>> = vec![None, None, None];
    while shares.iter().any(Option::is_none) {
        for from in 0..engines.len() {
            match engines[from].step().expect("nobody cheats") {
                Step::Send(outgoing) => {
                    let (kind, to) = address(&outgoing.to, from, 3);
                    let sender = PartyIndex(from as u16);
                    for to in to {
                        engines[to]
                            .receive(sender, kind, &outgoing.body)
                            .expect("nobody cheats");
                    }
                }
                Step::NeedMessage => {}
                Step::Done(share) => shares[from] = Some(Rc::new(share)),
            }
        }
    }
    shares.into_iter().flatten().collect()
}

fn address(to: &Recipient, from: usize, parties: usize) -> (MessageKind, Vec<usize>) {
    match to {
        Recipient::All => (
            MessageKind::Broadcast,
            (0..parties).filter(|to| *to != from).collect(),
        ),
        Recipient::One(to) => (MessageKind::Direct, vec![usize::from(to.0)]),
    }
}

fn aux(me: PartyIndex) -> Arc<Aux> {
    thread_local! {
        static AUX: [Arc<Aux>; 2] = [
            &include_bytes!("../../../engine/tests/fixtures/aux/3-0.cbor")[..],
            include_bytes!("../../../engine/tests/fixtures/aux/3-1.cbor"),
        ].map(|bytes| Arc::new(Aux::from_bytes(bytes).expect("a fixture")));
    }
    AUX.with(|both| both[usize::from(me.0)].clone())
}

fn primes() -> Primes {
    let list = include_str!("../../../tests/fixtures/primes/safe-primes.json");
    let list: Vec<String> = serde_json::from_str(list).expect("a fixture");
    let prime = |index: usize| {
        SafePrime::from_bytes(&hex::decode(&list[index]).expect("a fixture")).expect("a fixture")
    };
    Primes::new([0, 1, 2, 3].map(prime)).expect("distinct")
}

/// Alters a body in one of several ways.
fn altered(body: &[u8], how: u8, mut input: Input) -> Vec<u8> {
    let mut body = body.to_vec();
    match how % 4 {
        0 => return input.rest().to_vec(),
        1 => body.truncate(usize::from(u16::from_be_bytes(input.array()))),
        2 => {
            let at = usize::from(u16::from_be_bytes(input.array())).min(body.len());
            body.splice(at..at, input.rest().iter().copied());
        }
        _ => {
            // Changes: two bytes for the place, one for the bits.
            while !input.is_empty() {
                let at = usize::from(u16::from_be_bytes(input.array()));
                let bits = input.byte();
                if let Some(byte) = body.get_mut(at) {
                    *byte ^= bits;
                }
            }
        }
    }
    body
}

/// Protocols that take milliseconds.
pub(super) fn quick(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    run(input.choose(&QUICK), input)
}

/// Threshold ECDSA, which takes a third of a second.
pub(super) fn ecdsa(input: &[u8]) -> bool {
    run(ECDSA, Input::new(input))
}

/// Returns true if the first party completed in spite of the message.
fn run(protocol: Protocol, mut input: Input) -> bool {
    let number = usize::from(input.byte() & 7);
    let how = input.byte();
    let mut input = Some(input);
    let mut became = Became::Itself;
    let mut parties = PARTIES.map(|me| protocol.party(me));
    let mut done = [false, false];
    let mut wire: VecDeque<(usize, MessageKind, Vec<u8>)> = VecDeque::new();
    let mut said = 0;
    loop {
        let mut moved = false;
        for from in 0..2 {
            while !done[from] {
                let step = parties[from].step();
                match step {
                    Ok(Step::Send(outgoing)) => {
                        let (kind, _) = address(&outgoing.to, from, 2);
                        let mut body = outgoing.body.to_vec();
                        if from == 1 {
                            if said == number
                                && let Some(input) = input.take()
                            {
                                body = altered(&body, how, input);
                                became = Became::of(&outgoing.body, &body);
                            }
                            said += 1;
                        }
                        wire.push_back((1 - from, kind, body));
                    }
                    Ok(Step::NeedMessage) => break,
                    Ok(Step::Done(())) => done[from] = true,
                    Err(error) => return ended(from, &error, became),
                }
                moved = true;
            }
        }
        if let Some((to, kind, body)) = wire.pop_front() {
            moved = true;
            if let Err(error) = parties[to].receive(PARTIES[1 - to], kind, &body) {
                return ended(to, &error, became);
            }
        }
        if done == [true, true] {
            assert!(
                became != Became::Other,
                "a message that says something else changes nothing"
            );
            return true;
        }
        if !moved {
            return false;
        }
    }
}

/// The effect of the alteration on the second party's message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Became {
    Itself,
    /// The same in another form, which may be refused or taken.
    Similar,
    /// Another message, which must end the run.
    Other,
}

impl Became {
    fn of(one: &[u8], other: &[u8]) -> Self {
        let read = |mut bytes: &[u8]| {
            ciborium::from_reader::<Value, _>(&mut bytes)
                .ok()
                .filter(|_| bytes.is_empty())
        };
        if one == other {
            Self::Itself
        } else if read(other).is_some_and(|other| read(one) == Some(other)) {
            Self::Similar
        } else {
            Self::Other
        }
    }
}

/// Checks the error of a party: the first may only blame the second.
fn ended(party: usize, error: &EngineError, became: Became) -> bool {
    if party == 0 {
        assert_eq!(error.cause(), Cause::Peer, "{error}");
        assert_eq!(
            error.culprits(),
            &PARTIES[1..],
            "with two parties it is the other one: {error}"
        );
    }
    assert!(
        became != Became::Itself || party == 1,
        "an honest run fails: {error}"
    );
    assert!(!matches!(error, EngineError::Bug(_)), "{error}");
    false
}

/// A body alone, for an engine that has not begun. Input: one byte for the protocol, one for the
/// kind, and the body.
pub(super) fn bodies(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let all = [&QUICK[..], &[ECDSA, Protocol::AuxInfo]].concat();
    let protocol = input.choose(&all);
    let kind = input.choose(&[MessageKind::Broadcast, MessageKind::Direct]);
    let body = input.rest();
    let mut party = protocol.party(PARTIES[0]);
    let limit = party.body_limit();
    match party.receive(PARTIES[1], kind, body) {
        Ok(()) => {
            assert!(
                body.len() <= limit,
                "what is longer than the engine says is refused"
            );
            true
        }
        Err(error) => {
            assert_eq!(
                (error.cause(), error.culprits()),
                (Cause::Peer, &PARTIES[1..]),
                "{error}"
            );
            false
        }
    }
}

/// Each message of each protocol: as it is, with one bit changed, and cut.
fn altered_seeds(protocols: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let each = protocols.flat_map(|protocol| {
        (0..5u8).flat_map(move |number| {
            let place = [0, 30 + 7 * number, 1];
            [
                [3, 0, 0, 0].to_vec(),
                [&[3][..], &place].concat(),
                vec![1, 0, 40],
                vec![2, 0, 9, 0x18, 1],
            ]
            .map(|how| [&protocol[..], &[number], &how].concat())
        })
    });
    each.collect()
}

pub(super) fn quick_seeds() -> Vec<Vec<u8>> {
    altered_seeds((0..QUICK.len() as u8).map(|protocol| vec![protocol]))
}

pub(super) fn ecdsa_seeds() -> Vec<Vec<u8>> {
    altered_seeds(std::iter::once(vec![]))
        .into_iter()
        .step_by(3)
        .collect()
}

/// First messages of every protocol that begins at once.
pub(super) fn body_seeds() -> Vec<Vec<u8>> {
    let first = |(number, protocol): (usize, &Protocol)| match protocol.party(PARTIES[1]).step() {
        Ok(Step::Send(outgoing)) => {
            let kind = u8::from(matches!(outgoing.to, Recipient::One(_)));
            Some([&[number as u8, kind], &outgoing.body[..]].concat())
        }
        _ => None,
    };
    QUICK
        .iter()
        .chain([&ECDSA])
        .enumerate()
        .filter_map(first)
        .collect()
}
