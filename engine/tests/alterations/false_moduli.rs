//! A party of auxiliary information whose moduli are not what its proofs have to show.
//!
//! It is an honest party until round 2, with its own moduli; then it puts others in their place, commits to those, and proves
//! what it can: honestly where the statement can be proven at all, otherwise with a sound proof of its own modulus.

use cggmp24::ExecutionId;
use cggmp24::fast_paillier::backend::Integer;
use cggmp24::key_refresh::msg::{Msg, MsgRound1, MsgRound2, MsgRound3};
use cggmp24::security_level::{M, SecurityLevel, SecurityLevel128 as Level};
use countersign_engine::{Aux, AuxParams, Engine, EngineError, MessageKind, PartyIndex, Step, aux_info};
use paillier_zk::{no_small_factor as pi_fac, paillier_blum_modulus as pi_mod};
use rand::rngs::OsRng;
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::fixtures::primes;
use crate::fork::fork;

type Wire = Msg<Sha256, Level>;
type Parameters = MsgRound2<Level>;
type Party = Box<dyn Engine<Output = Aux>>;

const SESSION: &[u8] = b"false moduli";
const VICTIM: PartyIndex = PartyIndex(0);
const CHEAT: PartyIndex = PartyIndex(1);

/// What the cheat says instead, and with which primes it makes its proofs.
struct Lie {
    name: &'static str,
    alter: Box<dyn Fn(&mut Parameters)>,
    proven: [Integer; 2],
    ends: &'static str,
}

/// Returns what did not end as it should.
pub fn try_all() -> Vec<String> {
    let (mut victim, mut cheat) = (party(VICTIM), party(CHEAT));
    let theirs = said(&mut victim).expect("round 1");
    let own = until_round_two(&mut cheat, &theirs);
    let mut failures = vec![];
    for lie in lies() {
        let end = fork(|| play(&mut victim, &own, &lie)).wait();
        println!("aux info, {}: {end}", lie.name);
        if end != lie.ends {
            failures.push(format!("aux info, {}: {end}, not {}", lie.name, lie.ends));
        }
    }
    failures
}

fn lies() -> Vec<Lie> {
    let [p, q, hat_p, hat_q] = raw_primes(1);
    let [their_p, their_q, their_hat_p, their_hat_q] = raw_primes(0);
    let (theirs, their_hat) = (&their_p * &their_q, &their_hat_p * &their_hat_q);
    let own_hat = &hat_p * &hat_q;
    let [small, large] = unbalanced();
    let unbalanced = &small * &large;
    let square = &p * &p;
    let own = [p, q];
    let lie = |name, proven: &[Integer; 2], alter: Box<dyn Fn(&mut Parameters)>| Lie {
        name,
        alter,
        proven: proven.clone(),
        ends: "named",
    };
    let n = |value: &Integer| -> Box<dyn Fn(&mut Parameters)> {
        let value = value.clone();
        Box::new(move |parameters| parameters.N = value.clone())
    };
    let hat_n = |value: &Integer| -> Box<dyn Fn(&mut Parameters)> {
        let value = value.clone();
        Box::new(move |parameters| parameters.hat_N = value.clone())
    };
    vec![
        Lie { ends: "accepted", ..lie("no lie", &own, Box::new(|_| ())) },
        lie("N with a small factor, proven as it is", &[small, large], n(&unbalanced)),
        lie("N with a small factor, proofs of another", &own, n(&unbalanced)),
        lie("N a square", &own, n(&square)),
        lie("N the victim's", &own, n(&theirs)),
        lie("N the victim's N^", &own, n(&their_hat)),
        lie("N its own N^", &[hat_p, hat_q], n(&own_hat)),
        lie("N even", &own, Box::new(|parameters| parameters.N = &parameters.N + 1u8)),
        lie("N^ with a small factor", &own, hat_n(&unbalanced)),
        lie("N^ a square", &own, hat_n(&square)),
        lie("N^ the victim's", &own, hat_n(&their_hat)),
        lie("N^ even", &own, Box::new(|parameters| parameters.hat_N = &parameters.hat_N + 1u8)),
        lie("N negative", &own, Box::new(|parameters| parameters.N = -&parameters.N)),
        lie("N^ negative", &own, Box::new(|parameters| parameters.hat_N = -&parameters.hat_N)),
    ]
}

/// Goes through the run with one lie; says how it ended for the victim.
fn play(victim: &mut Party, own: &Parameters, lie: &Lie) -> String {
    match try_to(victim, own, lie) {
        Ok(()) => "accepted".into(),
        Err(error) if error.culprits() == [CHEAT] => "named".into(),
        Err(error) => format!("{error:?}"),
    }
}

fn try_to(victim: &mut Party, own: &Parameters, lie: &Lie) -> Result<(), EngineError> {
    let mut parameters = own.clone();
    (lie.alter)(&mut parameters);
    let id = execution_id();
    let sid = ExecutionId::new(&id);
    let committed = HashCom { sid, prover: CHEAT.0, decommitment: &parameters };
    let round1 = MsgRound1 { commitment: udigest::hash::<Sha256>(&committed) };
    tell(victim, MessageKind::Broadcast, &Msg::Round1(round1))?;
    let echo = said(victim)?;
    victim.receive(CHEAT, MessageKind::Broadcast, &echo[0])?;
    let answer = said(victim)?;
    tell(victim, MessageKind::Broadcast, &Msg::Round2(parameters.clone()))?;
    said(victim)?;
    let Wire::Round2(theirs) = decode(&answer[0]) else { panic!("round 2") };
    tell(victim, MessageKind::Direct, &Msg::Round3(prove(sid, &parameters, &theirs, &lie.proven)))?;
    match victim.step()? {
        Step::Done(_) => Ok(()),
        step => panic!("{step:?}"),
    }
}

/// Round 3, with proofs of the product of these primes.
fn prove(sid: ExecutionId<'_>, own: &Parameters, theirs: &Parameters, [p, q]: &[Integer; 2]) -> MsgRound3 {
    let pair = own.rho_bytes.as_ref().iter().zip(theirs.rho_bytes.as_ref());
    let rho: Vec<u8> = pair.map(|(one, other)| one ^ other).collect();
    let n = &(p * q);
    let context = ProofMod { sid, rho: &rho, prover: CHEAT.0 };
    let known = pi_mod::PrivateData { p, q };
    let mod_proof =
        pi_mod::non_interactive::prove::<M, Sha256>(&context, pi_mod::Data { n }, known, &mut OsRng).unwrap();
    let context = ProofFac { sid, rho: &rho, prover: CHEAT.0 };
    let (s, t, rsa_modulo) = (theirs.s.clone(), theirs.t.clone(), theirs.hat_N.clone());
    let verifier = pi_fac::Aux { s, t, rsa_modulo, multiexp: None, crt: None };
    let data = pi_fac::Data { n, n_root: &n.sqrt_ref().unwrap() };
    let security = pi_fac::SecurityParams { l: Level::ELL, epsilon: Level::EPSILON };
    let known = pi_fac::PrivateData { p, q };
    let fac_proof =
        pi_fac::non_interactive::prove::<Sha256>(&context, &verifier, data, known, &security, &mut OsRng)
            .unwrap();
    MsgRound3 { mod_proof, fac_proof }
}

fn party(me: PartyIndex) -> Party {
    aux_info(AuxParams { session: SESSION, me, parties: 2 }, primes(me.0.into()), OsRng).unwrap()
}

/// The cheat's honest round 2. It is told its own echo, which is what an honest other would send.
fn until_round_two(cheat: &mut Party, theirs: &[Vec<u8>]) -> Parameters {
    let honest = "an honest run";
    said(cheat).expect(honest);
    cheat.receive(VICTIM, MessageKind::Broadcast, &theirs[0]).expect(honest);
    let echo = said(cheat).expect(honest);
    cheat.receive(VICTIM, MessageKind::Broadcast, &echo[0]).expect(honest);
    match decode(&said(cheat).expect(honest)[0]) {
        Msg::Round2(parameters) => parameters,
        _ => panic!("round 2"),
    }
}

/// Everything that a party has to say before it waits.
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
    let mut body = vec![];
    ciborium::into_writer(message, &mut body).unwrap();
    party.receive(CHEAT, kind, &body)
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

/// The name of the run, as every party computes it.
fn execution_id() -> [u8; 32] {
    let fields: [&[u8]; 4] = [b"countersign engine execution id v1", b"aux-info", SESSION, &[0, 2]];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// As the library binds commitments and proofs of auxiliary information.
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
