//! Keys, auxiliary information and primes shared by tests.

use std::sync::{Arc, OnceLock};

use countersign_engine::dkls23::{self, Counted, Setup, SetupOf, SetupParams};
use countersign_engine::{
    Aux, CommitteeIndex, Engine, KeygenParams, Message, PartyIndex, Primes, SafePrime, Scheme,
    Share, SignParams, Signature, keygen, sign,
};
use rand::rngs::OsRng;

use crate::driver;

/// Runs one key generation; returns all shares, in order.
pub fn generate(scheme: Scheme, threshold: u16, parties: u16, session: &[u8]) -> Vec<Share> {
    driver::run(keygens(scheme, threshold, parties, session))
}

pub fn keygens(
    scheme: Scheme,
    threshold: u16,
    parties: u16,
    session: &[u8],
) -> Vec<Box<dyn Engine<Output = Share>>> {
    let engine = |me| {
        let params = KeygenParams {
            session,
            me: PartyIndex(me),
            parties,
            threshold,
        };
        keygen(scheme, params, OsRng).expect("valid parameters")
    };
    (0..parties).map(engine).collect()
}

/// A committee with its key and, for ECDSA, its auxiliary information.
pub struct Wallet {
    pub shares: Vec<Share>,
    pub auxes: Vec<Option<Arc<Aux>>>,
}

impl Wallet {
    pub fn new(scheme: Scheme, threshold: u16, parties: u16) -> Self {
        let auxes = (0..parties).map(|index| scheme.needs_aux().then(|| aux(parties, index)));
        Self {
            shares: generate(scheme, threshold, parties, b"wallet"),
            auxes: auxes.collect(),
        }
    }

    pub fn signers(
        &self,
        signers: &[u16],
        path: &[u32],
        message: &Message,
    ) -> Vec<Box<dyn Engine<Output = Signature>>> {
        (0..signers.len())
            .map(|me| self.signer(me, signers, path, message, b"signing"))
            .collect()
    }

    pub fn signer(
        &self,
        me: usize,
        signers: &[u16],
        path: &[u32],
        message: &Message,
        session: &[u8],
    ) -> Box<dyn Engine<Output = Signature>> {
        let mine = usize::from(signers[me]);
        let signers: Vec<_> = signers.iter().copied().map(CommitteeIndex).collect();
        let params = SignParams {
            session,
            me: PartyIndex(me as u16),
            signers: &signers,
            path,
            script_root: None,
            message: message.clone(),
        };
        sign(params, &self.shares[mine], self.auxes[mine].clone(), OsRng).expect("valid parameters")
    }

    /// The same with the engine `dkls23`.
    pub fn dkls23_signer(
        &self,
        setups: &[Setup],
        me: usize,
        signers: &[u16],
        path: &[u32],
        message: &Message,
        session: &[u8],
    ) -> Box<dyn Engine<Output = Signature>> {
        let mine = usize::from(signers[me]);
        let signers: Vec<_> = signers.iter().copied().map(CommitteeIndex).collect();
        let params = SignParams {
            session,
            me: PartyIndex(me as u16),
            signers: &signers,
            path,
            script_root: None,
            message: message.clone(),
        };
        let setup = &setups[mine];
        let counted = Counted::on_disk(setup.digest(), session);
        dkls23::sign(params, &self.shares[mine], setup, of(setup), counted)
            .expect("valid parameters")
    }

    /// Signs, and returns the signature after comparing it at all signers.
    pub fn sign(&self, signers: &[u16], path: &[u32], message: &Message) -> Signature {
        let signatures = driver::run(self.signers(signers, path, message));
        assert!(signatures.windows(2).all(|pair| pair[0] == pair[1]));
        signatures.into_iter().next().expect("signers")
    }
}

/// The committee and the generation that a set-up was made for.
pub fn of(setup: &Setup) -> SetupOf {
    SetupOf {
        committee: setup.committee(),
        generation: setup.generation(),
    }
}

/// The set-ups of a committee of three or five, made once.
pub fn setups(parties: u16) -> &'static [Setup] {
    static THREE: OnceLock<Vec<Setup>> = OnceLock::new();
    static FIVE: OnceLock<Vec<Setup>> = OnceLock::new();
    let made = match parties {
        3 => &THREE,
        5 => &FIVE,
        _ => panic!("no set-ups for {parties} parties"),
    };
    made.get_or_init(|| driver::run(setup_engines(parties, b"set-up", 0)))
}

pub fn setup_engines(
    parties: u16,
    session: &[u8],
    generation: u64,
) -> Vec<Box<dyn Engine<Output = Setup>>> {
    let engine = |me| {
        let params = SetupParams {
            session,
            me: PartyIndex(me),
            parties,
            committee: [1; 32],
            generation,
        };
        dkls23::setup(params).expect("valid parameters")
    };
    (0..parties).map(engine).collect()
}

/// Auxiliary information from `tests/fixtures/aux`, for whole committees of three and five.
pub fn aux(parties: u16, index: u16) -> Arc<Aux> {
    Arc::new(Aux::from_bytes(aux_bytes(parties, index)).expect("a sound fixture"))
}

pub fn aux_bytes(parties: u16, index: u16) -> &'static [u8] {
    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../fixtures/aux/", $name, ".cbor"))
        };
    }
    match (parties, index) {
        (3, 0) => fixture!("3-0"),
        (3, 1) => fixture!("3-1"),
        (3, 2) => fixture!("3-2"),
        (5, 0) => fixture!("5-0"),
        (5, 1) => fixture!("5-1"),
        (5, 2) => fixture!("5-2"),
        (5, 3) => fixture!("5-3"),
        (5, 4) => fixture!("5-4"),
        _ => panic!("no fixture for {parties} parties"),
    }
}

/// The set of primes of one party, from the repository's test primes.
pub fn primes(party: usize) -> Primes {
    Primes::new([0, 1, 2, 3].map(|i| prime(4 * party + i))).expect("distinct")
}

pub fn prime(index: usize) -> SafePrime {
    let list = include_str!("../../../tests/fixtures/primes/safe-primes.json");
    let list: Vec<String> = serde_json::from_str(list).unwrap();
    SafePrime::from_bytes(&hex::decode(&list[index]).unwrap()).expect("a sound fixture")
}
