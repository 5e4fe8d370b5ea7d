//! An ECDSA signer that proves false statements: it encrypts or multiplies by more than the
//! protocol allows. Its proof is either made the way an honest signer would make it, or a sound one
//! of another statement. It uses public data only.

use std::collections::BTreeMap;
use std::sync::Mutex;

use cggmp24::ExecutionId;
use cggmp24::fast_paillier::backend::Integer;
use cggmp24::fast_paillier::{AnyEncryptionKey, DecryptionKey, EncryptionKey};
use cggmp24::key_share::DirtyAuxInfo;
use cggmp24::security_level::{SecurityLevel, SecurityLevel128};
use cggmp24::signing::msg::{Msg, MsgReliabilityCheck, MsgRound1a, MsgRound1b, MsgRound2};
use countersign_engine::{
    Engine, EngineError, Message, MessageKind, Outgoing, PartyIndex, PeerFault, Recipient, Scheme,
    Signature, Step, batch, derive_public,
};
use generic_ec::curves::Secp256k1;
use generic_ec::{NonZero, Point, Scalar};
use generic_ec_zkp::polynomial::lagrange_coefficient_at_zero;
use paillier_zk::IntegerExt;
use paillier_zk::{
    dlog_with_el_gamal_commitment as pi_elog, paillier_affine_operation_in_range as pi_aff,
    paillier_encryption_in_range_with_el_gamal as pi_enc_elg,
};
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use crate::driver;
use crate::fixtures::{Wallet, aux_bytes};

const PROOFS: [Proof; 2] = [Proof::OfTheLie, Proof::OfSomethingElse];
const PATH: [u32; 2] = [44, 7];

/// The subject of the forger's lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Honest: the tests of lies show nothing unless this one passes.
    None,
    /// Round 1: K holds more than a scalar.
    Nonce,
    /// The same for the mask G.
    Mask,
    /// Both K and G.
    Both,
    /// Round 2: the victim's K is multiplied by more than a scalar, in the product with the
    /// mask of the forger.
    Factor,
    /// In round 2, more than a mask is added to it.
    Addend,
    /// The same in the product with the forger's share.
    ShareFactor,
    ShareAddend,
    /// Γ belongs to another mask than the one in G.
    Gamma,
}

/// The proof that accompanies the lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// An honestly made proof of the false statement. One of its responses is too long, so it
    /// is not even decoded.
    OfTheLie,
    /// A proof of a true statement about something else, with no other defect.
    OfSomethingElse,
}

impl Lie {
    fn in_round_two(self) -> bool {
        match self {
            Self::None | Self::Nonce | Self::Mask | Self::Both => false,
            Self::Factor | Self::Addend | Self::ShareFactor | Self::ShareAddend | Self::Gamma => {
                true
            }
        }
    }
}

#[test]
fn an_oversized_nonce_is_stopped_before_anybody_answers() {
    for proof in PROOFS {
        is_stopped((Lie::Nonce, proof), 3, &[0, 1], 1, 1);
    }
    is_stopped((Lie::Both, Proof::OfSomethingElse), 3, &[0, 1], 1, 1);
    is_stopped((Lie::Nonce, Proof::OfSomethingElse), 5, &[0, 2, 4], 1, 1);
}

#[test]
fn an_oversized_mask_is_stopped_before_anybody_answers() {
    for proof in PROOFS {
        is_stopped((Lie::Mask, proof), 3, &[1, 2], 0, 1);
    }
    is_stopped((Lie::Mask, Proof::OfSomethingElse), 5, &[1, 2, 3], 2, 1);
}

#[test]
fn a_batch_does_not_get_around_it() {
    is_stopped((Lie::Nonce, Proof::OfSomethingElse), 3, &[0, 2], 0, 2);
    is_stopped((Lie::Mask, Proof::OfSomethingElse), 5, &[0, 1, 4], 1, 2);
}

#[test]
fn oversized_factors_and_addends_in_round_two_are_stopped() {
    for lie in [Lie::Factor, Lie::Addend, Lie::ShareFactor, Lie::ShareAddend] {
        for proof in PROOFS {
            is_stopped((lie, proof), 3, &[0, 1], 1, 1);
        }
    }
    is_stopped(
        (Lie::ShareAddend, Proof::OfSomethingElse),
        5,
        &[0, 2, 4],
        2,
        1,
    );
}

#[test]
fn another_mask_than_the_promised_one_is_stopped() {
    is_stopped((Lie::Gamma, Proof::OfSomethingElse), 3, &[0, 1], 1, 1);
}

/// Asserts that every other signer names the forger at `me`, and none answers it.
fn is_stopped((lie, proof): (Lie, Proof), parties: u16, signers: &[u16], me: usize, runs: usize) {
    let (outcomes, answers) = sign_with_forger((lie, proof), parties, signers, me, runs);
    assert_eq!(answers, 0, "the next round has left");
    for (party, outcome) in outcomes
        .iter()
        .enumerate()
        .filter(|(party, _)| *party != me)
    {
        let error = outcome
            .as_ref()
            .expect("no honest party waits")
            .as_ref()
            .expect_err("no signature");
        assert_eq!(
            error.culprits(),
            [PartyIndex(me as u16)],
            "party {party}: {error}"
        );
        let EngineError::Peer { fault, .. } = error else {
            panic!("{error}")
        };
        match proof {
            Proof::OfTheLie => assert_eq!(*fault, PeerFault::Integers),
            Proof::OfSomethingElse => assert!(matches!(fault, PeerFault::Protocol(_)), "{fault}"),
        }
    }
}

/// The control: shows that only its lie stops the forger.
#[test]
fn a_forger_that_does_not_lie_is_answered() {
    for runs in [1, 2] {
        let (outcomes, answers) =
            sign_with_forger((Lie::None, Proof::OfTheLie), 3, &[0, 1], 1, runs);
        assert!(outcomes[0].is_none(), "the honest party waits for round 4");
        assert_eq!(answers, 2, "rounds 2 and 3");
    }
}

/// Returns each party's result, and the number of messages of the others that answered the forger:
/// of round 2, unless it lies later, and of round 3.
fn sign_with_forger(
    (lie, proof): (Lie, Proof),
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
            Box::new(Forger::new(
                &wallet,
                signers,
                me,
                &session(run),
                (lie, proof),
            ))
        } else {
            wallet.signer(party, signers, &PATH, &message, &session(run))
        }
    };
    let engines =
        (0..signers.len()).map(|index| batch((0..runs).map(|run| party(index, run)).collect()));
    let answers = Mutex::new(0);
    let outcomes = driver::run_altered(engines.collect(), |packet| {
        let round_two =
            packet.kind == MessageKind::Direct && packet.number == 1 && !lie.in_round_two();
        let round_three = packet.kind == MessageKind::Broadcast && packet.number == 2;
        let answer = packet.to == PartyIndex(me as u16) && (round_two || round_three);
        *answers.lock().unwrap() += usize::from(answer);
    });
    (outcomes, answers.into_inner().unwrap())
}

type Wire = Msg<Secp256k1, Sha256>;

/// Plays rounds 1 and 2, then falls silent.
struct Forger {
    me: u16,
    id: [u8; 32],
    info: DirtyAuxInfo,
    key: DecryptionKey,
    /// The forger's share, weighted for the signers.
    share: Scalar<Secp256k1>,
    signers: Vec<u16>,
    lie: Lie,
    proof: Proof,
    /// The forger's own mask γ.
    gamma: Option<Secret>,
    first: BTreeMap<u16, MsgRound1a<Secp256k1>>,
    unsent: Vec<(Recipient, Wire)>,
    echoed: bool,
}

impl Forger {
    fn new(
        wallet: &Wallet,
        signers: &[u16],
        me: usize,
        session: &[u8],
        (lie, proof): (Lie, Proof),
    ) -> Self {
        let info = aux_info(wallet, signers[me]);
        let id = execution_id(wallet, signers, session);
        let mut forger = Self {
            me: me as u16,
            id,
            key: DecryptionKey::from_primes(info.p.clone(), info.q.clone()).unwrap(),
            info,
            share: weighted_share(wallet, signers, me),
            signers: signers.to_vec(),
            lie,
            proof,
            gamma: None,
            first: BTreeMap::new(),
            unsent: vec![],
            echoed: false,
        };
        forger.begin();
        forger
    }

    /// Round 1, as the library makes it except for the size of the plaintexts.
    fn begin(&mut self) {
        let key = self.key.clone();
        let y = Point::generator() * Scalar::random(&mut OsRng);
        let k = self.plaintext(matches!(self.lie, Lie::Nonce | Lie::Both));
        let gamma = self.plaintext(matches!(self.lie, Lie::Mask | Lie::Both));
        let k = Secret::new(&key, &y, k);
        let gamma = Secret::new(&key, &y, gamma);
        let other = |_| Secret::new(&key, &y, self.plaintext(false));
        let other = (self.proof == Proof::OfSomethingElse).then(|| [(), ()].map(other));
        let shown = match (&other, self.lie) {
            (Some([other, _]), Lie::Nonce) => [other, &gamma],
            (Some([_, other]), Lie::Mask) => [&k, other],
            (Some([one, two]), Lie::Both) => [one, two],
            _ => [&k, &gamma],
        };
        let first = MsgRound1a {
            K: k.ciphertext.clone(),
            G: gamma.ciphertext.clone(),
            Y: y,
            A1: k.commitment[0],
            A2: k.commitment[1],
            B1: gamma.commitment[0],
            B2: gamma.commitment[1],
        };
        let mut unsent = vec![(Recipient::All, Msg::Round1a(first.clone()))];
        for (other, signer) in (0..)
            .zip(&self.signers)
            .filter(|(other, _)| *other != self.me)
        {
            let theirs = self.theirs(*signer);
            let prove = |number, secret: &Secret| {
                let context = ProofEnc {
                    sid: ExecutionId::new(&self.id),
                    prover: self.me,
                    num: number,
                };
                secret.prove(&context, &theirs, &key, &y)
            };
            let proofs = MsgRound1b {
                psi0: prove(0, shown[0]),
                psi1: prove(1, shown[1]),
            };
            unsent.push((Recipient::One(PartyIndex(other)), Msg::Round1b(proofs)));
        }
        self.unsent = unsent;
        self.first.insert(self.me, first);
        self.gamma = Some(gamma);
    }

    /// The ring-Pedersen parameters of another member.
    fn theirs(&self, signer: u16) -> pi_enc_elg::Aux {
        (&self.info.pedersen_params[usize::from(signer)]).into()
    }

    /// Round 2, as the library makes it except for the sizes of the factors and addends.
    fn go_on(&mut self) {
        let gamma = self.gamma.take().expect("round 1");
        let first = self.first[&self.me].clone();
        let secret: Scalar<Secp256k1> = gamma.plaintext.to_scalar();
        let told = if self.lie == Lie::Gamma {
            secret + Scalar::one()
        } else {
            secret
        };
        let point = Point::generator() * told;
        let data = pi_elog::Data {
            l: &first.B1,
            m: &first.B2,
            x: &first.Y,
            y: &point,
            h: &Point::generator().to_point(),
        };
        let context = ProofElog {
            sid: ExecutionId::new(&self.id),
            prover: self.me,
            prime: false,
        };
        let known = pi_elog::PrivateData {
            y: &secret,
            lambda: &gamma.mask,
        };
        let tilde_psi =
            pi_elog::non_interactive::prove::<_, Sha256>(&context, data, known, &mut OsRng)
                .unwrap();
        for (other, signer) in (0..)
            .zip(self.signers.clone())
            .filter(|(other, _)| *other != self.me)
        {
            let oversized = (self.lie == Lie::Factor, self.lie == Lie::Addend);
            let product = self.product(other, signer, false, &told, oversized);
            let oversized = (self.lie == Lie::ShareFactor, self.lie == Lie::ShareAddend);
            let share = self.product(other, signer, true, &self.share, oversized);
            let message = MsgRound2 {
                Gamma: point,
                D: product.0,
                F: product.1,
                hat_D: share.0,
                hat_F: share.1,
                tilde_psi: tilde_psi.clone(),
                psi_j: product.2,
                hat_psi_j: share.2,
            };
            self.unsent
                .push((Recipient::One(PartyIndex(other)), Msg::Round2(message)));
        }
    }

    /// The product, with its own proof or that of an honest one.
    fn product(
        &self,
        other: u16,
        signer: u16,
        hat: bool,
        scalar: &Scalar<Secp256k1>,
        oversized: (bool, bool),
    ) -> (Integer, Integer, pi_aff::NiProof<Secp256k1>) {
        let mut product = self.multiply(other, signer, hat, scalar, oversized);
        if self.proof == Proof::OfSomethingElse && oversized != (false, false) {
            product.2 = self.multiply(other, signer, hat, scalar, (false, false)).2;
        }
        product
    }

    /// D = x·K + y under the other's key, F = y under the own one, and the proof of both.
    fn multiply(
        &self,
        other: u16,
        signer: u16,
        hat: bool,
        scalar: &Scalar<Secp256k1>,
        (long_factor, long_addend): (bool, bool),
    ) -> (Integer, Integer, pi_aff::NiProof<Secp256k1>) {
        let key_j = EncryptionKey::from_n(self.info.N[usize::from(signer)].clone());
        let ciphertext = &self.first[&other].K;
        let small = Integer::from_bytes_msf(&scalar.to_be_bytes());
        let factor = if long_factor {
            small + (order() << 1544u32)
        } else {
            small
        };
        let bits = SecurityLevel128::ELL_PRIME as u32 + if long_addend { 600 } else { 0 };
        let addend = Integer::random_bits(bits - 1, &mut OsRng);
        let nonce = Integer::sample_in_mult_group_of(&mut OsRng, key_j.n());
        let nonce_y = Integer::sample_in_mult_group_of(&mut OsRng, self.key.n());
        let masked = key_j.encrypt_with(&addend, &nonce).unwrap();
        let d = key_j
            .oadd(&key_j.omul(&factor, ciphertext).unwrap(), &masked)
            .unwrap();
        let f = self.key.encrypt_with(&addend, &nonce_y).unwrap();
        let context = ProofPsi {
            sid: ExecutionId::new(&self.id),
            prover: self.me,
            hat,
        };
        let point = Point::generator() * scalar;
        let data = pi_aff::Data {
            key_j: &key_j,
            key_i: &self.key,
            c: ciphertext,
            d: &d,
            y: &f,
            x: &point,
        };
        let known = pi_aff::PrivateData {
            x: &factor,
            y: &addend,
            nonce: &nonce,
            nonce_y: &nonce_y,
        };
        let security = pi_aff::SecurityParams {
            l_x: SecurityLevel128::ELL,
            l_y: SecurityLevel128::ELL_PRIME,
            epsilon: SecurityLevel128::EPSILON,
        };
        let theirs = self.theirs(signer);
        let proof = pi_aff::non_interactive::prove::<_, Sha256>(
            &context, &theirs, data, known, &security, &mut OsRng,
        )
        .unwrap();
        (d, f, proof)
    }

    /// A scalar, or a number of 1,800 bits that equals it modulo the order of the curve, so that
    /// all other equations hold.
    fn plaintext(&self, oversized: bool) -> Integer {
        let small = order().random_below(&mut OsRng) >> 1;
        if oversized {
            small + (order() << 1544u32)
        } else {
            small
        }
    }

    fn echo(&mut self) {
        if self.echoed || self.first.len() < self.signers.len() {
            return;
        }
        let sid = ExecutionId::new(&self.id);
        let said = self
            .first
            .values()
            .map(|ciphertexts| Echo { sid, ciphertexts });
        let hash = udigest::hash_iter::<Sha256>(said);
        self.unsent.push((
            Recipient::All,
            Msg::ReliabilityCheck(MsgReliabilityCheck(hash)),
        ));
        self.echoed = true;
        self.go_on();
    }
}

fn order() -> Integer {
    Integer::curve_order::<Secp256k1>()
}

/// The part of the key of the signer at `me`, which must not be the first: that part
/// contains the child's shift.
fn weighted_share(wallet: &Wallet, signers: &[u16], me: usize) -> Scalar<Secp256k1> {
    let points: Vec<_> = signers
        .iter()
        .map(|signer| NonZero::from_scalar(Scalar::<Secp256k1>::from(signer + 1)).unwrap())
        .collect();
    let weight: NonZero<Scalar<Secp256k1>> = lagrange_coefficient_at_zero(me, &points).unwrap();
    let share = wallet.shares[usize::from(signers[me])].secret_scalar();
    weight * Scalar::from_be_bytes(&share[..]).unwrap()
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
        Ok(Step::Send(Outgoing {
            to,
            body: body.into(),
        }))
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        _: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
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
    fn new(key: &DecryptionKey, y: &Point<Secp256k1>, plaintext: Integer) -> Self {
        let nonce = Integer::sample_in_mult_group_of(&mut OsRng, key.n());
        let ciphertext = key.encrypt_with(&plaintext, &nonce).unwrap();
        let mask = Scalar::random(&mut OsRng);
        let g = Point::<Secp256k1>::generator();
        let commitment = [g * mask, y * mask + g * plaintext.to_scalar()];
        Self {
            plaintext,
            nonce,
            ciphertext,
            mask,
            commitment,
        }
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
        let data = pi_enc_elg::Data {
            key,
            ciphertext: &self.ciphertext,
            a: y,
            b,
            x,
        };
        let secret = pi_enc_elg::PrivateData {
            plaintext: &self.plaintext,
            nonce: &self.nonce,
            b: &self.mask,
        };
        let security = pi_enc_elg::SecurityParams {
            l: SecurityLevel128::ELL,
            epsilon: SecurityLevel128::EPSILON,
        };
        pi_enc_elg::non_interactive::prove::<_, Sha256>(
            context, theirs, data, secret, &security, &mut OsRng,
        )
        .unwrap()
    }
}

/// The library's context for its proofs of round 1.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.proof_enc")]
struct ProofEnc<'a> {
    sid: ExecutionId<'a>,
    prover: u16,
    num: u8,
}

/// The library's context for its proofs of round 2.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.proof_psi")]
struct ProofPsi<'a> {
    sid: ExecutionId<'a>,
    prover: u16,
    hat: bool,
}

#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.proof_elog")]
struct ProofElog<'a> {
    sid: ExecutionId<'a>,
    prover: u16,
    prime: bool,
}

/// The library's preimage of the echo of round 1.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.echo_round")]
struct Echo<'a> {
    sid: ExecutionId<'a>,
    ciphertexts: &'a MsgRound1a<Secp256k1>,
}

/// A party's view of its committee, read from its stored record: a version byte, CBOR, a checksum.
fn aux_info(wallet: &Wallet, signer: u16) -> DirtyAuxInfo {
    #[derive(serde::Deserialize)]
    struct Record {
        info: DirtyAuxInfo,
    }
    let bytes = aux_bytes(wallet.shares.len() as u16, signer);
    let record: Record = ciborium::from_reader(&bytes[1..bytes.len() - 32]).unwrap();
    record.info
}

/// The execution id of a signing run, as its peers compute it.
fn execution_id(wallet: &Wallet, signers: &[u16], session: &[u8]) -> [u8; 32] {
    let public = wallet.shares[0].public();
    let key = derive_public(
        Scheme::EcdsaSecp256k1,
        &public.root_public_key,
        &public.chain_code,
        &PATH,
    )
    .unwrap();
    let signers: Vec<u8> = signers
        .iter()
        .flat_map(|signer| signer.to_be_bytes())
        .collect();
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
