//! A party in an auxiliary-information run whose moduli, or parameters under them, do not satisfy
//! the statements that its proofs must show.
//!
//! It is an honest party until round 2, with its own moduli; then it substitutes others, commits to
//! those, and proves what it can: honestly if the statement can be proven at all, otherwise with a
//! sound proof of its own modulus.
//!
//! The last test has three parties, of which two have moduli with a factor in common
//! and are otherwise honest.

use cggmp24::ExecutionId;
use cggmp24::fast_paillier::backend::Integer;
use cggmp24::key_refresh::msg::{Msg, MsgRound1, MsgRound2, MsgRound3};
use cggmp24::security_level::{M, SecurityLevel, SecurityLevel128 as Level};
use ciborium::Value;
use countersign_engine::{
    Aux, AuxParams, Engine, EngineError, MessageKind, PartyIndex, PeerFault, Primes, SafePrime,
    Step, aux_info,
};
use paillier_zk::{no_small_factor as pi_fac, paillier_blum_modulus as pi_mod};
use rand::rngs::OsRng;
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::fixtures::primes;
use crate::fork::fork;

const SESSION: &[u8] = b"false moduli";
const VICTIM: PartyIndex = PartyIndex(0);
const CHEAT: PartyIndex = PartyIndex(1);

type Wire = Msg<Sha256, Level>;
type Parameters = MsgRound2<Level>;
type Party = Box<dyn Engine<Output = Aux>>;

/// A party's round 2: the library's message, with our proof beside it.
#[derive(Clone)]
struct Word {
    parameters: Parameters,
    /// Absent: the library's message is sent alone.
    proof: Option<Value>,
}

/// The cheat's substitute message, and the primes for its proofs.
struct Lie {
    name: &'static str,
    alter: Box<dyn Fn(&mut Word)>,
    proven: [Integer; 2],
    ends: &'static str,
}

/// Returns the cases that did not end as they should.
pub fn try_all() -> Vec<String> {
    let mut victim = party(VICTIM);
    let mut cheat = party(CHEAT);
    let theirs = said(&mut victim).expect("round 1");
    let own = until_round_two(&mut cheat, &theirs);
    // Of the same moduli, with parameters of their own.
    let other = until_round_two(&mut party(CHEAT), &theirs);
    let mut failures = vec![];
    if let Err(failure) = two_others_share_a_factor() {
        failures.push(failure);
    }
    for lie in moduli()
        .into_iter()
        .chain(parameters(&own.parameters, &other))
    {
        let end = fork(|| play(&mut victim, &own, &lie)).wait();
        println!("aux info, {}: {end}", lie.name);
        if end != lie.ends {
            failures.push(format!("aux info, {}: {end}, not {}", lie.name, lie.ends));
        }
    }
    failures
}

fn lie(name: &'static str, proven: &[Integer; 2], alter: Box<dyn Fn(&mut Word)>) -> Lie {
    Lie {
        name,
        alter,
        proven: proven.clone(),
        ends: "named",
    }
}

/// Lies about s and t. Each is told with proofs of true statements, both the library's and ours.
fn parameters(own: &Parameters, other: &Word) -> Vec<Lie> {
    let [p, q, ..] = raw_primes(1);
    let primes = [p, q];
    let told = |name, alter: fn(&mut Word, &Word, &Parameters)| {
        let other = other.clone();
        let own = own.clone();
        lie(
            name,
            &primes,
            Box::new(move |word| alter(word, &other, &own)),
        )
    };
    vec![
        told(
            "s with the other sign, which no power of t has",
            |word, _, own| {
                word.parameters.s = &own.hat_N - &own.s;
            },
        ),
        told("t of order two", |word, _, own| {
            word.parameters.t = &own.hat_N - 1u8
        }),
        told("s and t turned round", |word, _, own| {
            (word.parameters.s, word.parameters.t) = (own.t.clone(), own.s.clone());
        }),
        told("s of another pair", |word, other, _| {
            word.parameters.s = other.parameters.s.clone()
        }),
        told("another pair, proofs of the first", |word, other, _| {
            word.parameters.s = other.parameters.s.clone();
            word.parameters.t = other.parameters.t.clone();
        }),
        told("s no unit", |word, _, own| {
            word.parameters.s = own.hat_N.clone()
        }),
        told("the library's proof of another pair", |word, other, _| {
            word.parameters.params_proof = other.parameters.params_proof.clone();
        }),
        // The library does not know these.
        told("our proof of another pair", |word, other, _| {
            word.proof = other.proof.clone()
        }),
        told("no proof of ours", |word, _, _| word.proof = None),
    ]
}

fn moduli() -> Vec<Lie> {
    let [p, q, hat_p, hat_q] = raw_primes(1);
    let [their_p, their_q, their_hat_p, their_hat_q] = raw_primes(0);
    let theirs = &their_p * &their_q;
    let their_hat = &their_hat_p * &their_hat_q;
    let own_hat = &hat_p * &hat_q;
    let [small, large] = unbalanced();
    let unbalanced = &small * &large;
    let square = &p * &p;
    let own = [p, q];
    let n = |value: &Integer| -> Box<dyn Fn(&mut Word)> {
        let value = value.clone();
        Box::new(move |word| word.parameters.N = value.clone())
    };
    let hat_n = |value: &Integer| -> Box<dyn Fn(&mut Word)> {
        let value = value.clone();
        Box::new(move |word| word.parameters.hat_N = value.clone())
    };
    let adds = |alter: fn(&mut Parameters)| -> Box<dyn Fn(&mut Word)> {
        Box::new(move |word| alter(&mut word.parameters))
    };
    vec![
        Lie {
            ends: "accepted",
            ..lie("no lie", &own, Box::new(|_| ()))
        },
        lie(
            "N with a small factor, proven as it is",
            &[small, large],
            n(&unbalanced),
        ),
        lie(
            "N with a small factor, proofs of another",
            &own,
            n(&unbalanced),
        ),
        lie("N a square", &own, n(&square)),
        lie("N the victim's", &own, n(&theirs)),
        lie("N the victim's N^", &own, n(&their_hat)),
        lie("N its own N^", &[hat_p, hat_q], n(&own_hat)),
        lie("N even", &own, adds(|said| said.N = &said.N + 1u8)),
        lie("N^ with a small factor", &own, hat_n(&unbalanced)),
        lie("N^ a square", &own, hat_n(&square)),
        lie("N^ the victim's", &own, hat_n(&their_hat)),
        lie("N^ even", &own, adds(|said| said.hat_N = &said.hat_N + 1u8)),
        lie("N negative", &own, adds(|said| said.N = -&said.N)),
        lie("N^ negative", &own, adds(|said| said.hat_N = -&said.hat_N)),
    ]
}

/// Plays the run with one lie; returns the victim's end.
fn play(victim: &mut Party, own: &Word, lie: &Lie) -> String {
    match try_to(victim, own, lie) {
        Ok(()) => "accepted".into(),
        Err(error) if error.culprits() == [CHEAT] => "named".into(),
        Err(error) => format!("{error:?}"),
    }
}

fn try_to(victim: &mut Party, own: &Word, lie: &Lie) -> Result<(), EngineError> {
    let mut word = own.clone();
    (lie.alter)(&mut word);
    let parameters = word.parameters.clone();
    let id = execution_id();
    let sid = ExecutionId::new(&id);
    let committed = HashCom {
        sid,
        prover: CHEAT.0,
        decommitment: &parameters,
    };
    let round1 = MsgRound1 {
        commitment: udigest::hash::<Sha256>(&committed),
    };
    tell(victim, MessageKind::Broadcast, &Msg::Round1(round1))?;
    let echo = said(victim)?;
    victim.receive(CHEAT, MessageKind::Broadcast, &echo[0])?;
    let answer = said(victim)?;
    victim.receive(CHEAT, MessageKind::Broadcast, &word.encode())?;
    said(victim)?;
    let theirs = Word::decode(&answer[0]).parameters;
    tell(
        victim,
        MessageKind::Direct,
        &Msg::Round3(prove(sid, &parameters, &theirs, &lie.proven)),
    )?;
    match victim.step()? {
        Step::Done(_) => Ok(()),
        step => panic!("{step:?}"),
    }
}

/// Round 3, with proofs of the product of these primes.
fn prove(
    sid: ExecutionId<'_>,
    own: &Parameters,
    theirs: &Parameters,
    [p, q]: &[Integer; 2],
) -> MsgRound3 {
    let pair = own.rho_bytes.as_ref().iter().zip(theirs.rho_bytes.as_ref());
    let rho: Vec<u8> = pair.map(|(one, other)| one ^ other).collect();
    let n = &(p * q);
    let context = ProofMod {
        sid,
        rho: &rho,
        prover: CHEAT.0,
    };
    let known = pi_mod::PrivateData { p, q };
    let mod_proof = pi_mod::non_interactive::prove::<M, Sha256>(
        &context,
        pi_mod::Data { n },
        known,
        &mut OsRng,
    )
    .unwrap();
    let context = ProofFac {
        sid,
        rho: &rho,
        prover: CHEAT.0,
    };
    let s = theirs.s.clone();
    let t = theirs.t.clone();
    let rsa_modulo = theirs.hat_N.clone();
    let verifier = pi_fac::Aux {
        s,
        t,
        rsa_modulo,
        multiexp: None,
        crt: None,
    };
    let data = pi_fac::Data {
        n,
        n_root: &n.sqrt_ref().unwrap(),
    };
    let security = pi_fac::SecurityParams {
        l: Level::ELL,
        epsilon: Level::EPSILON,
    };
    let known = pi_fac::PrivateData { p, q };
    let fac_proof = pi_fac::non_interactive::prove::<Sha256>(
        &context, &verifier, data, known, &security, &mut OsRng,
    )
    .unwrap();
    MsgRound3 {
        mod_proof,
        fac_proof,
    }
}

fn party(me: PartyIndex) -> Party {
    aux_info(
        AuxParams {
            session: SESSION,
            me,
            parties: 2,
        },
        primes(me.0.into()),
        OsRng,
    )
    .unwrap()
}

/// The cheat's honest round 2. It receives its own echo, just as an honest party would send it.
fn until_round_two(cheat: &mut Party, theirs: &[Vec<u8>]) -> Word {
    let honest = "an honest run";
    said(cheat).expect(honest);
    cheat
        .receive(VICTIM, MessageKind::Broadcast, &theirs[0])
        .expect(honest);
    let echo = said(cheat).expect(honest);
    cheat
        .receive(VICTIM, MessageKind::Broadcast, &echo[0])
        .expect(honest);
    Word::decode(&said(cheat).expect(honest)[0])
}

impl Word {
    fn decode(body: &[u8]) -> Self {
        let value: Value = ciborium::from_reader(body).unwrap();
        let [(name, Value::Map(parts))] = &value.as_map().unwrap()[..] else {
            panic!("round 2")
        };
        assert_eq!(name.as_text(), Some("ProvenRound2"));
        let bare = Value::Map(vec![("Round2".into(), parts[0].1.clone())]);
        let Msg::Round2(parameters) = decode(&encode(&bare)) else {
            panic!("round 2")
        };
        Self {
            parameters,
            proof: Some(parts[1].1.clone()),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let bare = encode(&Wire::Round2(self.parameters.clone()));
        let Some(proof) = &self.proof else {
            return bare;
        };
        let round: Value = ciborium::from_reader(&bare[..]).unwrap();
        let round = round.as_map().unwrap()[0].1.clone();
        let parts = Value::Map(vec![
            ("round".into(), round),
            ("proof".into(), proof.clone()),
        ]);
        encode(&Value::Map(vec![("ProvenRound2".into(), parts)]))
    }
}

/// Two honest parties with one prime in common, and a third that notices.
fn two_others_share_a_factor() -> Result<(), String> {
    // The first prime of party 1 beside those of party 2.
    let sharing = Primes::new([4, 9, 10, 11].map(safe_prime)).unwrap();
    let of_three = |me: u16, primes| {
        aux_info(
            AuxParams {
                session: SESSION,
                me: PartyIndex(me),
                parties: 3,
            },
            primes,
            OsRng,
        )
        .unwrap()
    };
    let mut parties = [
        of_three(0, primes(0)),
        of_three(1, primes(1)),
        of_three(2, sharing),
    ];
    // Commitments, their echoes, and the openings.
    for _ in 0..3 {
        let words: Vec<Vec<Vec<u8>>> = parties
            .iter_mut()
            .map(|party| said(party).unwrap())
            .collect();
        for (from, words) in words.iter().enumerate() {
            for (_, party) in parties.iter_mut().enumerate().filter(|(to, _)| *to != from) {
                party
                    .receive(PartyIndex(from as u16), MessageKind::Broadcast, &words[0])
                    .unwrap();
            }
        }
    }
    let end = parties[0].step();
    println!("aux info, two others with a factor in common: {end:?}");
    let fault = PeerFault::Protocol("the moduli of two parties have a factor in common".into());
    match end {
        Err(error)
            if error
                == (EngineError::Peer {
                    fault,
                    culprits: vec![],
                }) =>
        {
            Ok(())
        }
        end => Err(format!(
            "aux info, two others with a factor in common: {end:?}"
        )),
    }
}

fn safe_prime(index: usize) -> SafePrime {
    let list = include_str!("../../../tests/fixtures/primes/safe-primes.json");
    let list: Vec<String> = serde_json::from_str(list).unwrap();
    SafePrime::from_bytes(&hex::decode(&list[index]).unwrap()).unwrap()
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut body = vec![];
    ciborium::into_writer(value, &mut body).unwrap();
    body
}

/// All messages that a party sends before it waits.
fn said(party: &mut Party) -> Result<Vec<Vec<u8>>, EngineError> {
    let mut said = vec![];
    loop {
        match party.step()? {
            Step::Send(message) => said.push(message.body.to_vec()),
            Step::NeedMessage => return Ok(said),
            Step::Done(_) => panic!("the end"),
        }
    }
}

fn tell(party: &mut Party, kind: MessageKind, message: &Wire) -> Result<(), EngineError> {
    party.receive(CHEAT, kind, &encode(message))
}

fn decode(body: &[u8]) -> Wire {
    ciborium::from_reader(body).unwrap()
}

/// The four primes of a party, from their records: a version byte, CBOR, a checksum.
fn raw_primes(party: usize) -> [Integer; 4] {
    let list = include_str!("../../../tests/fixtures/primes/safe-primes.json");
    let list: Vec<String> = serde_json::from_str(list).unwrap();
    [0, 1, 2, 3].map(|index| {
        let record = hex::decode(&list[4 * party + index]).unwrap();
        let digits: ByteBuf = ciborium::from_reader(&record[1..record.len() - 32]).unwrap();
        Integer::from_bytes_msf(&digits)
    })
}

/// Primes of 256 and 2,816 bits that are 3 modulo 4: their product is as long as an honest modulus.
fn unbalanced() -> [Integer; 2] {
    let mut lines = include_str!("../fixtures/unbalanced-primes.txt").lines();
    [(); 2].map(|()| Integer::from_str_radix(lines.next().unwrap(), 16).unwrap())
}

/// The execution id of the run, as every party computes it.
fn execution_id() -> [u8; 32] {
    let fields: [&[u8]; 4] = [
        b"countersign engine execution id v1",
        b"aux-info",
        SESSION,
        &[0, 2],
    ];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// The library's context for commitments and proofs of auxiliary information.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.aux_gen.hash_commitment")]
struct HashCom<'a> {
    sid: ExecutionId<'a>,
    prover: u16,
    decommitment: &'a Parameters,
}

#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.aux_gen.proof_mod")]
struct ProofMod<'a> {
    sid: ExecutionId<'a>,
    #[udigest(as_bytes)]
    rho: &'a [u8],
    prover: u16,
}

#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.aux_gen.proof_fac")]
struct ProofFac<'a> {
    sid: ExecutionId<'a>,
    #[udigest(as_bytes)]
    rho: &'a [u8],
    prover: u16,
}
