//! Every field of every message of every protocol, altered one at a time.
//!
//! The fields are found by walking the messages, not by a list: a field that a library adds is
//! altered too, and the table of numbers below fails until somebody has reviewed it. A field is
//! replaced by another value of its type, the value of the same field in the victim's own message,
//! and those of another run. Each alteration must end with the victim stopping and naming the
//! sender. Exceptions are listed in [`UNNAMED`] with the reason; nothing is accepted.
//!
//! A normal run tries some of the alterations, different ones each time; `just alterations` tries
//! all, which takes long.
#![expect(clippy::disallowed_methods, reason = "a program, not the engine")]

#[path = "../it/driver.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod driver;
mod false_moduli;
#[path = "../it/fixtures.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod fixtures;
mod fork;
mod run;
mod walk;

use std::rc::Rc;

use countersign_engine::{
    AgreeParams, AuxParams, CommitteeIndex, Message, PartyIndex, ReshareParams, Role, Scheme,
    agree, aux_info, batch, check_up, reshare,
};
use rand::rngs::OsRng;

use fixtures::{Wallet, generate, keygens, primes, setup_engines, setups};
use run::{Case, Count, End, Report, Scope, try_all};

/// The ends without a culprit: case, message, beginning of the field's name, reason.
const UNNAMED: &[(&str, &str, &str, &str)] = &[
    ("dkg", "Round1", "", ECHO),
    ("dkg", "ReliabilityCheck", "", ECHO),
    (
        "reshare",
        "Closing",
        "Closing.Proofs.transcript",
        TRANSCRIPT,
    ),
    ("sign ecdsa, three", "ReliabilityCheck", "", ECHO),
    ("sign ecdsa, three", "Round3", "Round3.delta", SUMS),
    ("sign ecdsa, three", "Round3", "Round3.S", SUMS),
    ("sign ecdsa, three", "Round4", "", PARTIAL),
    ("sign dkls23, three", "Round3", "", SUMS),
    ("set-up dkls23", "Closing", "Closing.transcripts", PAIRS),
    ("aux info", "Round1", "", ECHO),
    ("aux info", "ReliabilityCheck", "", ECHO),
];

const ECHO: &str = "an engine cannot tell who told two stories; the signed echo of the session layer names that party";
const SUMS: &str =
    "only their sums are checked, and the library has no identification of who broke them";
const PARTIAL: &str = "the library checks them one by one and does not say whose does not fit";
const PAIRS: &str =
    "two members say different things about their pair, and a third cannot tell who is wrong";
const TRANSCRIPT: &str = "the same, at the end of a resharing";

/// The number of fields of each message, by case and message.
const FIELDS: &[(&str, &str, usize)] = &[
    ("dkg ecdsa-secp256k1", "ReliabilityCheck", 33),
    ("dkg ecdsa-secp256k1", "Round1", 33),
    ("dkg ecdsa-secp256k1", "Round2Broad", 10),
    ("dkg ecdsa-secp256k1", "Round2Uni", 2),
    ("dkg ecdsa-secp256k1", "Round3", 2),
    ("dkg ed25519", "ReliabilityCheck", 33),
    ("dkg ed25519", "Round1", 33),
    ("dkg ed25519", "Round2Broad", 10),
    ("dkg ed25519", "Round2Uni", 2),
    ("dkg ed25519", "Round3", 2),
    ("dkg schnorr-secp256k1", "ReliabilityCheck", 33),
    ("dkg schnorr-secp256k1", "Round1", 33),
    ("dkg schnorr-secp256k1", "Round2Broad", 10),
    ("dkg schnorr-secp256k1", "Round2Uni", 2),
    ("dkg schnorr-secp256k1", "Round3", 2),
    ("dkg taproot", "ReliabilityCheck", 33),
    ("dkg taproot", "Round1", 33),
    ("dkg taproot", "Round2Broad", 10),
    ("dkg taproot", "Round2Uni", 2),
    ("dkg taproot", "Round3", 2),
    ("reshare ecdsa-secp256k1", "Closing", 41),
    ("reshare ecdsa-secp256k1", "Commitment", 66),
    ("reshare ecdsa-secp256k1", "Opening", 38),
    ("reshare ecdsa-secp256k1", "SubShare", 2),
    ("reshare ed25519", "Closing", 41),
    ("reshare ed25519", "Commitment", 66),
    ("reshare ed25519", "Opening", 38),
    ("reshare ed25519", "SubShare", 2),
    ("reshare schnorr-secp256k1", "Closing", 41),
    ("reshare schnorr-secp256k1", "Commitment", 66),
    ("reshare schnorr-secp256k1", "Opening", 38),
    ("reshare schnorr-secp256k1", "SubShare", 2),
    ("reshare taproot", "Closing", 41),
    ("reshare taproot", "Commitment", 66),
    ("reshare taproot", "Opening", 38),
    ("reshare taproot", "SubShare", 2),
    ("agree", "Word", 34),
    ("sign ed25519", "Round1", 105),
    ("sign ed25519", "Round2", 39),
    ("sign schnorr-secp256k1", "Round1", 107),
    ("sign schnorr-secp256k1", "Round2", 39),
    ("sign taproot", "Round1", 107),
    ("sign taproot", "Round2", 39),
    ("batch ed25519", "Round1", 210),
    ("batch ed25519", "Round2", 78),
    ("sign ecdsa, two signers", "ReliabilityCheck", 33),
    ("sign ecdsa, two signers", "Round1a", 14),
    ("sign ecdsa, two signers", "Round1b", 36),
    ("sign ecdsa, two signers", "Round2", 72),
    ("sign ecdsa, two signers", "Round3", 16),
    ("sign ecdsa, two signers", "Round4", 2),
    ("sign ecdsa, three signers", "ReliabilityCheck", 33),
    ("sign ecdsa, three signers", "Round1a", 14),
    ("sign ecdsa, three signers", "Round1b", 36),
    ("sign ecdsa, three signers", "Round2", 72),
    ("sign ecdsa, three signers", "Round3", 16),
    ("sign ecdsa, three signers", "Round4", 2),
    ("batch ecdsa", "ReliabilityCheck", 66),
    ("batch ecdsa", "Round1a", 28),
    ("batch ecdsa", "Round1b", 72),
    ("batch ecdsa", "Round2", 144),
    ("batch ecdsa", "Round3", 32),
    ("batch ecdsa", "Round4", 4),
    ("sign dkls23, two signers", "Round1", 7042),
    ("sign dkls23, two signers", "Round2", 1846),
    ("sign dkls23, two signers", "Round3", 2),
    ("sign dkls23, three signers", "Round1", 7042),
    ("sign dkls23, three signers", "Round2", 1846),
    ("sign dkls23, three signers", "Round3", 2),
    ("batch dkls23", "Round1", 14084),
    ("batch dkls23", "Round2", 3692),
    ("batch dkls23", "Round3", 4),
    ("set-up dkls23", "Offer", 4615),
    ("set-up dkls23", "Opening", 98),
    ("set-up dkls23", "Closing", 67),
    ("aux info", "ReliabilityCheck", 33),
    ("aux info", "Round1", 33),
    ("aux info", "ProvenRound2", 654),
    ("aux info", "Round3", 791),
];

const FROST: [Scheme; 3] = [Scheme::Ed25519, Scheme::SchnorrSecp256k1, Scheme::Taproot];
const SCHEMES: [Scheme; 4] = Scheme::ALL;

fn main() {
    let all = std::env::var("COUNTERSIGN_ALTERATIONS").is_ok_and(|value| value == "all");
    let only: Option<String> = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let tests = Tests {
        all,
        from: rand::random(),
        only,
        failures: vec![],
    };
    println!("the alterations of this run begin at {}", tests.from);
    tests.run();
}

struct Tests {
    all: bool,
    from: usize,
    /// Only cases with names that contain this.
    only: Option<String>,
    failures: Vec<String>,
}

impl Tests {
    fn run(mut self) {
        self.key_generation();
        self.resharing();
        self.agreement();
        self.frost();
        self.ecdsa();
        self.dkls23();
        self.auxiliary_information();
        self.false_moduli();
        self.check_ups();
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
    }

    fn key_generation(&mut self) {
        for (name, scheme) in SCHEMES.map(|scheme| (case_name("dkg", scheme), scheme)) {
            let engines = Box::new(move |session: &[u8]| keygens(scheme, 2, 3, session));
            self.case(
                5,
                Case {
                    name,
                    engines,
                    cheat: 1,
                    victim: 0,
                    bundle: false,
                    slow: false,
                },
            );
        }
    }

    fn resharing(&mut self) {
        const PARTIES: [Role; 3] = [
            Role {
                deals: Some(CommitteeIndex(0)),
                joins: true,
            },
            Role {
                deals: Some(CommitteeIndex(1)),
                joins: true,
            },
            Role {
                deals: None,
                joins: true,
            },
        ];
        for (name, scheme) in SCHEMES.map(|scheme| (case_name("reshare", scheme), scheme)) {
            let shares = Rc::new(generate(scheme, 2, 3, b"keygen"));
            let engines = Box::new(move |session: &[u8]| {
                let engine = |me: u16| {
                    let old = &shares[0].public();
                    let parties = &PARTIES;
                    let params = ReshareParams {
                        session,
                        me: PartyIndex(me),
                        parties,
                        threshold: 2,
                        old,
                        generation: 1,
                    };
                    let share = PARTIES[usize::from(me)]
                        .deals
                        .map(|index| &shares[usize::from(index.0)]);
                    reshare(params, share, OsRng).expect("valid parameters")
                };
                (0..3).map(engine).collect()
            });
            self.case(
                5,
                Case {
                    name,
                    engines,
                    cheat: 1,
                    victim: 0,
                    bundle: false,
                    slow: false,
                },
            );
        }
    }

    fn agreement(&mut self) {
        let engines = Box::new(|session: &[u8]| {
            let speakers = [PartyIndex(0), PartyIndex(1)];
            let engine = |me: u16| {
                let params = AgreeParams {
                    session,
                    me: PartyIndex(me),
                    parties: 3,
                    speakers: &speakers,
                };
                agree(params, (me < 2).then(|| b"what all know".to_vec()))
                    .expect("valid parameters")
            };
            (0..3).map(engine).collect()
        });
        self.case(
            1,
            Case {
                name: "agree",
                engines,
                cheat: 1,
                victim: 0,
                bundle: false,
                slow: false,
            },
        );
    }

    fn frost(&mut self) {
        for (name, scheme) in FROST.map(|scheme| (case_name("sign", scheme), scheme)) {
            self.signing(1, name, scheme, (3, 5), &[0, 2, 4], 1);
        }
        self.signing(1, "batch ed25519", Scheme::Ed25519, (2, 3), &[0, 1], 2);
    }

    fn ecdsa(&mut self) {
        self.signing(
            6,
            "sign ecdsa, two signers",
            Scheme::EcdsaSecp256k1,
            (2, 3),
            &[0, 1],
            1,
        );
        self.signing(
            12,
            "sign ecdsa, three signers",
            Scheme::EcdsaSecp256k1,
            (3, 5),
            &[0, 2, 4],
            1,
        );
        self.signing(
            24,
            "batch ecdsa",
            Scheme::EcdsaSecp256k1,
            (2, 3),
            &[0, 1],
            2,
        );
    }

    fn signing(
        &mut self,
        every: usize,
        name: &'static str,
        scheme: Scheme,
        (threshold, parties): (u16, u16),
        signers: &'static [u16],
        runs: usize,
    ) {
        let wallet = Rc::new(Wallet::new(scheme, threshold, parties));
        let message = Message::Digest([9; 32]);
        let sign = move |session: &[u8], me: usize, run: usize| {
            wallet.signer(
                me,
                signers,
                &[1, 2],
                &message,
                &[session, &[run as u8]].concat(),
            )
        };
        if runs == 1 {
            let engines = Box::new(move |session: &[u8]| {
                (0..signers.len()).map(|me| sign(session, me, 0)).collect()
            });
            return self.case(
                every,
                Case {
                    name,
                    engines,
                    cheat: 1,
                    victim: 0,
                    bundle: false,
                    slow: false,
                },
            );
        }
        let engines = Box::new(move |session: &[u8]| {
            let all = |me: usize| batch((0..runs).map(|run| sign(session, me, run)).collect());
            (0..signers.len()).map(all).collect()
        });
        self.case(
            every,
            Case {
                name,
                engines,
                cheat: 1,
                victim: 0,
                bundle: true,
                slow: false,
            },
        );
    }

    fn dkls23(&mut self) {
        self.dkls23_signing(400, "sign dkls23, two signers", 2, 1);
        self.dkls23_signing(400, "sign dkls23, three signers", 3, 1);
        self.dkls23_signing(1500, "batch dkls23", 2, 2);
        let engines = Box::new(|session: &[u8]| setup_engines(3, session, 0));
        self.case(
            1500,
            Case {
                name: "set-up dkls23",
                engines,
                cheat: 1,
                victim: 0,
                bundle: false,
                slow: true,
            },
        );
    }

    /// The first members of a committee of three sign.
    fn dkls23_signing(&mut self, every: usize, name: &'static str, threshold: u16, runs: usize) {
        let wallet = Rc::new(Wallet::new(Scheme::EcdsaSecp256k1, threshold, 3));
        let message = Message::Digest([9; 32]);
        let signers: Vec<u16> = (0..threshold).collect();
        let engines = Box::new(move |session: &[u8]| {
            let sign = |me: usize, run: usize| {
                let session = [session, &[run as u8]].concat();
                wallet.dkls23_signer(setups(3), me, &signers, &[1, 2], &message, &session)
            };
            let party = |me: usize| (0..runs).map(|run| sign(me, run)).collect();
            (0..signers.len()).map(party).collect::<Vec<Vec<_>>>()
        });
        if runs == 1 {
            let engines =
                Box::new(move |session: &[u8]| engines(session).into_iter().flatten().collect());
            return self.case(
                every,
                Case {
                    name,
                    engines,
                    cheat: 1,
                    victim: 0,
                    bundle: false,
                    slow: false,
                },
            );
        }
        let engines =
            Box::new(move |session: &[u8]| engines(session).into_iter().map(batch).collect());
        self.case(
            every,
            Case {
                name,
                engines,
                cheat: 1,
                victim: 0,
                bundle: true,
                slow: false,
            },
        );
    }

    fn auxiliary_information(&mut self) {
        let engines = Box::new(|session: &[u8]| {
            let engine = |me: u16| {
                let params = AuxParams {
                    session,
                    me: PartyIndex(me),
                    parties: 3,
                };
                aux_info(params, primes(me.into()), OsRng).expect("valid parameters")
            };
            (0..3).map(engine).collect()
        });
        self.case(
            150,
            Case {
                name: "aux info",
                engines,
                cheat: 1,
                victim: 0,
                bundle: false,
                slow: true,
            },
        );
    }

    fn false_moduli(&mut self) {
        if self
            .only
            .as_ref()
            .is_none_or(|only| "false moduli".contains(only.as_str()))
        {
            self.failures.extend(false_moduli::try_all());
        }
    }

    /// A check-up is a single proof by one party, without a protocol.
    fn check_ups(&mut self) {
        for scheme in SCHEMES {
            let share = &generate(scheme, 2, 3, b"keygen")[1];
            let proof = check_up::prove(share, b"today", OsRng).expect("a proof");
            let key = share.public();
            let index = CommitteeIndex(1);
            assert_eq!(check_up::verify(&key, index, b"today", &proof), Ok(()));
            for byte in 0..proof.bytes.len() {
                for bit in 0..8 {
                    let mut altered = proof.clone();
                    altered.bytes[byte] ^= 1 << bit;
                    if check_up::verify(&key, index, b"today", &altered).is_ok() {
                        self.failures.push(format!(
                            "check-up {scheme}: bit {bit} of byte {byte} does not count"
                        ));
                    }
                }
            }
        }
    }

    fn case<O>(&mut self, every: usize, case: Case<O>) {
        if self
            .only
            .as_ref()
            .is_some_and(|only| !case.name.contains(only.as_str()))
        {
            return;
        }
        let scope = if self.all {
            Scope::All
        } else {
            Scope::Some {
                every,
                from: self.from,
            }
        };
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let Report { counts, trials } = try_all(&case, scope, at_once);
        for (
            message,
            Count {
                fields,
                tried,
                named,
                unnamed,
                accepted,
            },
        ) in &counts
        {
            println!(
                "{}, {message}: {fields} fields, {tried} alterations: {named} named, {unnamed} unnamed, {accepted} accepted",
                case.name
            );
            if !FIELDS.contains(&(case.name, message.as_str(), *fields)) {
                self.failures.push(format!(
                    "(\"{}\", \"{message}\", {fields}), is not in the table",
                    case.name
                ));
            }
        }
        let listed = FIELDS
            .iter()
            .filter(|(name, ..)| *name == case.name)
            .count();
        if listed != counts.len() {
            self.failures.push(format!(
                "{}: {} messages, but {listed} in the table",
                case.name,
                counts.len()
            ));
        }
        for trial in trials {
            let listed = UNNAMED.iter().any(|(name, message, field, _)| {
                case.name.starts_with(name)
                    && trial.message == *message
                    && trial.field.starts_with(field)
            });
            match trial.end {
                End::Named => {}
                End::Unnamed if listed => {}
                end => self.failures.push(format!(
                    "{}, {}: {} ({}): {end:?}",
                    case.name, trial.message, trial.field, trial.change
                )),
            }
        }
    }
}

fn case_name(protocol: &str, scheme: Scheme) -> &'static str {
    // A handful of names for the life of the program.
    format!("{protocol} {scheme}").leak()
}
