//! A signer of ECDSA that proves false statements: it encrypts more than the protocol allows, and makes its proofs as an
//! honest signer would. All that it uses is public; what it does is what the papers' attacks begin with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cggmp24::fast_paillier::backend::Integer;
use cggmp24::fast_paillier::{AnyEncryptionKey, DecryptionKey};
use cggmp24::key_share::DirtyAuxInfo;
use cggmp24::security_level::{SecurityLevel, SecurityLevel128};
use cggmp24::signing::msg::{Msg, MsgReliabilityCheck, MsgRound1a, MsgRound1b};
use cggmp24::{ExecutionId, backend};
use countersign_engine::{
    Engine, EngineError, Message, MessageKind, Outgoing, PartyIndex, PeerFault, Recipient, Scheme, Signature,
    Step, batch, derive_public,
};
use generic_ec::curves::Secp256k1;
use generic_ec::{Point, Scalar};
use paillier_zk::IntegerExt;
use paillier_zk::paillier_encryption_in_range_with_el_gamal as pi_enc_elg;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use crate::driver;
use crate::fixtures::{Wallet, aux_bytes};

/// What the forger lies about in round 1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Nothing: the tests of lies show nothing unless this one passes.
    None,
    /// K holds more than a scalar.
    Nonce,
    /// G does.
    Mask,
    /// Both.
    Both,
}

const PATH: [u32; 2] = [44, 7];

#[test]
fn an_oversized_nonce_is_stopped_before_anybody_answers() {
    for lie in [Lie::Nonce, Lie::Both] {
        is_stopped(lie, 3, &[0, 1], 1, 1);
    }
    is_stopped(Lie::Nonce, 5, &[0, 2, 4], 1, 1);
}

#[test]
fn an_oversized_mask_is_stopped_before_anybody_answers() {
    is_stopped(Lie::Mask, 3, &[1, 2], 0, 1);
    is_stopped(Lie::Mask, 5, &[1, 2, 3], 2, 1);
}

#[test]
fn a_batch_is_no_way_around_it() {
    is_stopped(Lie::Nonce, 3, &[0, 2], 0, 2);
    is_stopped(Lie::Nonce, 5, &[0, 1, 4], 1, 2);
}

/// The forger at `me` among the signers is named by every other signer, and none sends it round 2.
fn is_stopped(lie: Lie, parties: u16, signers: &[u16], me: usize, runs: usize) {
    let (outcomes, answers) = sign_with_forger(lie, parties, signers, me, runs);
    assert_eq!(answers, 0, "round 2 has left");
    for (party, outcome) in outcomes.iter().enumerate().filter(|(party, _)| *party != me) {
        let error = outcome.as_ref().expect("no honest party waits").as_ref().expect_err("no signature");
        assert_eq!(error.culprits(), [PartyIndex(me as u16)], "party {party}: {error}");
        assert!(matches!(error, EngineError::Peer { fault: PeerFault::Protocol(_), .. }), "{error}");
    }
}

/// What shows that the forger is stopped by its lie and by nothing else.
#[test]
fn a_forger_that_does_not_lie_is_answered() {
    for runs in [1, 2] {
        let (outcomes, answers) = sign_with_forger(Lie::None, 3, &[0, 1], 1, runs);
        assert!(outcomes[0].is_none(), "the honest party waits for round 2");
        assert_eq!(answers, 1);
    }
}

/// How each party ended, and how many of the others answered the forger in round 2.
fn sign_with_forger(
    lie: Lie,
    parties: u16,
    signers: &[u16],
    me: usize,
    runs: usize,
) -> (driver::Outcomes<Vec<Signature>>, usize) {
    let wallet = Wallet::new(Scheme::EcdsaSecp256k1, signers.len() as u16, parties);
    let message = Message::Digest([3; 32]);
    let session = |run: usize| [b"forged".as_slice(), &[run as u8]].concat();
    let party = |party: usize, run: usize| -> Box<dyn Engine<Output = Signature>> {
        if party == me {
            Box::new(Forger::new(&wallet, signers, me, &session(run), lie))
        } else {
            wallet.signer(party, signers, &PATH, &message, &session(run))
        }
    };
    let engines = (0..signers.len()).map(|index| batch((0..runs).map(|run| party(index, run)).collect()));
    let answers = Mutex::new(0);
    let outcomes = driver::run_altered(engines.collect(), |packet| {
        let answer = packet.kind == MessageKind::Direct && packet.number == 1;
        *answers.lock().unwrap() += usize::from(answer && packet.to == PartyIndex(me as u16));
    });
    (outcomes, answers.into_inner().unwrap())
}

type Wire = Msg<Secp256k1, Sha256>;

/// Plays round 1 and its echo, then falls silent.
struct Forger {
    me: u16,
    id: [u8; 32],
    info: Arc<DirtyAuxInfo>,
    signers: Vec<u16>,
    lie: Lie,
    first: BTreeMap<u16, MsgRound1a<Secp256k1>>,
    unsent: Vec<(Recipient, Wire)>,
    echoed: bool,
}

impl Forger {
    fn new(wallet: &Wallet, signers: &[u16], me: usize, session: &[u8], lie: Lie) -> Forger {
        let (info, id) = (aux_info(wallet, signers[me]), execution_id(wallet, signers, session));
        let signers = signers.to_vec();
        let mut forger = Forger {
            me: me as u16,
            id,
            info: Arc::new(info),
            signers,
            lie,
            first: BTreeMap::new(),
            unsent: vec![],
            echoed: false,
        };
        forger.begin();
        forger
    }

    /// Round 1, as the library makes it but for the size of what is encrypted.
    fn begin(&mut self) {
        let key = DecryptionKey::from_primes(self.info.p.clone(), self.info.q.clone()).unwrap();
        let y = Point::generator() * Scalar::random(&mut OsRng);
        let k = self.plaintext(matches!(self.lie, Lie::Nonce | Lie::Both));
        let gamma = self.plaintext(matches!(self.lie, Lie::Mask | Lie::Both));
        let (k, gamma) = (Secret::new(&key, &y, k), Secret::new(&key, &y, gamma));
        let first = MsgRound1a {
            K: k.ciphertext.clone(),
            G: gamma.ciphertext.clone(),
            Y: y,
            A1: k.commitment[0],
            A2: k.commitment[1],
            B1: gamma.commitment[0],
            B2: gamma.commitment[1],
        };
        self.first.insert(self.me, first.clone());
        self.unsent.push((Recipient::All, Msg::Round1a(first)));
        for (other, signer) in (0..).zip(&self.signers).filter(|(other, _)| *other != self.me) {
            let theirs = (&self.info.pedersen_params[usize::from(*signer)]).into();
            let prove = |number, secret: &Secret| {
                let context = ProofEnc { sid: ExecutionId::new(&self.id), prover: self.me, num: number };
                secret.prove(&context, &theirs, &key, &y)
            };
            let proofs = MsgRound1b { psi0: prove(0, &k), psi1: prove(1, &gamma) };
            self.unsent.push((Recipient::One(PartyIndex(other)), Msg::Round1b(proofs)));
        }
    }

    /// A scalar, or a number of 1,800 bits that is equal to it modulo the order of the curve, so that all other equations
    /// hold.
    fn plaintext(&self, oversized: bool) -> Integer {
        let order = Integer::curve_order::<Secp256k1>();
        let small = order.random_below_ref(&mut OsRng) >> 1;
        if oversized { small + (order << 1544u32) } else { small }
    }

    fn echo(&mut self) {
        if self.echoed || self.first.len() < self.signers.len() {
            return;
        }
        let sid = ExecutionId::new(&self.id);
        let said = self.first.values().map(|ciphertexts| Echo { sid, ciphertexts });
        let hash = udigest::hash_iter::<Sha256>(said);
        self.unsent.push((Recipient::All, Msg::ReliabilityCheck(MsgReliabilityCheck(hash))));
        self.echoed = true;
    }
}

impl Engine for Forger {
    type Output = Signature;

    fn step(&mut self) -> Result<Step<Signature>, EngineError> {
        self.echo();
        if self.unsent.is_empty() {
            return Ok(Step::NeedMessage);
        }
        let (to, message) = self.unsent.remove(0);
        let mut body = Vec::new();
        ciborium::into_writer(&message, &mut body).unwrap();
        Ok(Step::Send(Outgoing { to, body: body.into() }))
    }

    fn receive(&mut self, from: PartyIndex, _: MessageKind, body: &[u8]) -> Result<(), EngineError> {
        let message: Wire = ciborium::from_reader(body).unwrap();
        if let Msg::Round1a(first) = message {
            self.first.insert(from.0, first);
        }
        Ok(())
    }
}

/// A plaintext with its ciphertext and ElGamal commitment.
struct Secret {
    plaintext: Integer,
    nonce: Integer,
    ciphertext: Integer,
    mask: Scalar<Secp256k1>,
    commitment: [Point<Secp256k1>; 2],
}

impl Secret {
    fn new(key: &DecryptionKey, y: &Point<Secp256k1>, plaintext: Integer) -> Secret {
        let nonce = backend::Integer::sample_in_mult_group_of(&mut OsRng, key.n());
        let ciphertext = key.encrypt_with(&plaintext, &nonce).unwrap();
        let mask = Scalar::random(&mut OsRng);
        let g = Point::<Secp256k1>::generator();
        let commitment = [g * mask, y * mask + g * plaintext.to_scalar()];
        Secret { plaintext, nonce, ciphertext, mask, commitment }
    }

    fn prove(
        &self,
        context: &ProofEnc<'_>,
        theirs: &pi_enc_elg::Aux,
        key: &DecryptionKey,
        y: &Point<Secp256k1>,
    ) -> pi_enc_elg::NiProof<Secp256k1> {
        let key: &dyn AnyEncryptionKey = key;
        let [b, x] = &self.commitment;
        let data = pi_enc_elg::Data { key, ciphertext: &self.ciphertext, a: y, b, x };
        let secret =
            pi_enc_elg::PrivateData { plaintext: &self.plaintext, nonce: &self.nonce, b: &self.mask };
        let security =
            pi_enc_elg::SecurityParams { l: SecurityLevel128::ELL, epsilon: SecurityLevel128::EPSILON };
        pi_enc_elg::non_interactive::prove::<_, Sha256>(context, theirs, data, secret, &security, &mut OsRng)
            .unwrap()
    }
}

/// As the library binds its proofs of round 1.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.proof_enc")]
struct ProofEnc<'a> {
    sid: ExecutionId<'a>,
    prover: u16,
    num: u8,
}

/// As the library hashes the echo of round 1.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.echo_round")]
struct Echo<'a> {
    sid: ExecutionId<'a>,
    ciphertexts: &'a MsgRound1a<Secp256k1>,
}

/// What a party knows of its committee, read from its stored record: a version byte, CBOR, a checksum.
fn aux_info(wallet: &Wallet, signer: u16) -> DirtyAuxInfo {
    #[derive(serde::Deserialize)]
    struct Record {
        info: DirtyAuxInfo,
    }
    let bytes = aux_bytes(wallet.shares.len() as u16, signer);
    let record: Record = ciborium::from_reader(&bytes[1..bytes.len() - 32]).unwrap();
    record.info
}

/// The name of a signing run, as its peers compute it.
fn execution_id(wallet: &Wallet, signers: &[u16], session: &[u8]) -> [u8; 32] {
    let public = wallet.shares[0].public();
    let key =
        derive_public(Scheme::EcdsaSecp256k1, &public.root_public_key, &public.chain_code, &PATH).unwrap();
    let signers: Vec<u8> = signers.iter().flat_map(|signer| signer.to_be_bytes()).collect();
    let fields: [&[u8]; 9] = [
        b"countersign engine execution id v1",
        b"sign",
        session,
        b"ecdsa-secp256k1",
        &signers,
        &key.public_key,
        b"",
        b"digest",
        &[3; 32],
    ];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}
