//! The encoding of stored values, and the number of those that were read.

use std::cell::Cell;

pub(super) use countersign_audit::stored::{Stored, Unreadable, encode};

thread_local! {
    static DECODED: Cell<u64> = const { Cell::new(0) };
}

/// The number of rows that this thread has decoded.
pub(super) fn decoded() -> u64 {
    DECODED.get()
}

pub(super) fn decode<T: Stored>(bytes: &[u8]) -> Result<T, Unreadable> {
    DECODED.set(DECODED.get() + 1);
    countersign_audit::stored::decode(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use countersign_audit::Checkpoint;
    use countersign_protocol::evidence::{Claim, Echoed, Misconduct, Signature, SignedHash};
    use countersign_protocol::frame::{Mark, Ready};
    use countersign_protocol::{
        Cause, Committee, Evidence, Failure, GenerationProof, Hash, InputSignature, Intact,
        KeyDescriptor, KeyId, NodeId, OperationKind, Outcome, PluginVerdict, Point, Refusal,
        Scheme, SessionId, Signed, SignedAck, TaskId, Threshold, UnixMillis,
    };

    use super::*;
    use crate::journal::audit::{AuditHead, AuditKind};
    use crate::journal::counted::{Counted, Taken, Teller};
    use crate::journal::generation::Generation;
    use crate::journal::outbox::Delivery;
    use crate::journal::pair::{Burnt, Pair};
    use crate::journal::peer::PeerMark;
    use crate::journal::prepared::{PreparedReshare, ReshareStage};
    use crate::journal::pruned::Spent;
    use crate::journal::quarantine::{Quarantine, Stop};
    use crate::journal::row::{KeyRecord, KeyStatus, Row, State, StateValue};

    fn node(seed: u8) -> NodeId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
    }

    fn row(state: State) -> Row {
        let verdict = PluginVerdict {
            plugin: "rules".into(),
            version: "1.0.0".into(),
            digest: Hash([1; 32]),
            config: Hash([2; 32]),
            approved: true,
            code: String::new(),
            reason: String::new(),
            micros: 300,
        };
        Row {
            task: TaskId([3; 16]),
            hash: Hash([4; 32]),
            kind: OperationKind::KeySign,
            received_at: UnixMillis(1_000),
            state,
            verdicts: vec![verdict],
            parties: vec![node(1)],
            bytes: b"{}".to_vec(),
            recording: None,
            chain: None,
        }
    }

    fn ended(outcome: Outcome) -> Row {
        row(State::Ended {
            outcome: outcome.into(),
            at: UnixMillis(2_000),
        })
    }

    fn descriptor() -> KeyDescriptor {
        KeyDescriptor {
            key: KeyId::from_bytes([5; 16]).unwrap(),
            task: TaskId([3; 16]),
            session: SessionId([6; 32]),
            name: "n".into(),
            scheme: Scheme::Taproot,
            committee: Committee::new(vec![node(1), node(2)]).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: 1,
            root_public_key: vec![7; 33],
            chain_code: Hash([8; 32]),
            public_shares: Hash([9; 32]),
            aux: Some(Hash([10; 32])),
            parties: Vec::new(),
            acks: vec![SignedAck {
                node: node(1),
                signature: vec![11; 64],
            }],
        }
    }

    /// One row of each kind, by name.
    fn rows() -> Vec<(&'static str, Row)> {
        let refusal = Refusal {
            code: "c".into(),
            reason: "r".into(),
            plugin: Some("p".into()),
        };
        let failure = Failure {
            cause: Cause::Bug,
            code: "c".into(),
            text: "t".into(),
            culprits: vec![node(2)],
        };
        let signed = Signed {
            session: SessionId([6; 32]),
            signatures: vec![InputSignature {
                path: "m/0/7".parse().unwrap(),
                public_key: vec![1, 2],
                signed_bytes: vec![3, 4],
                signature: vec![5, 6],
                recovery_id: Some(1),
            }],
        };
        vec![
            ("approved", row(State::Approved)),
            ("created", ended(Outcome::Created(descriptor()))),
            ("signed", ended(Outcome::Signed(signed))),
            ("refused", ended(Outcome::Refused(refusal))),
            ("failed", ended(Outcome::Failed(failure))),
        ]
    }

    /// Values that programs of the first format did not write.
    fn later() -> Vec<(&'static str, Vec<u8>)> {
        let intact = Intact {
            node: node(1),
            key: KeyId::from_bytes([5; 16]).unwrap(),
            generation: 1,
            public_shares: vec![Point(vec![1, 2]), Point(vec![3])],
            proof: Point(vec![4]),
        };
        let released = KeyRecord {
            descriptor: descriptor(),
            status: KeyStatus::Released,
            created: UnixMillis(3_000),
        };
        vec![
            ("reshared", encode(&ended(Outcome::Reshared(descriptor())))),
            ("intact", encode(&ended(Outcome::Intact(intact)))),
            ("released", encode(&released)),
        ]
    }

    fn quarantine() -> Quarantine {
        Quarantine {
            key: KeyId::from_bytes([5; 16]).unwrap(),
            peer: node(2),
            task: TaskId([3; 16]),
            since: UnixMillis(8_000),
            code: "c".into(),
            text: "t".into(),
            evidence: None,
        }
    }

    fn peer() -> PeerMark {
        PeerMark {
            secrets: 9,
            audit: 300,
            at: UnixMillis(9_000),
            signed: None,
        }
    }

    /// Records of cheats that are newer than the second format or have changed since.
    fn cheats() -> Vec<(&'static str, Vec<u8>)> {
        let ready = Ready {
            task: Hash([1; 32]),
            parties: Hash([2; 32]),
            fresh: [3; 32],
            holds: Some(Hash([4; 32])),
            mark: Mark {
                at: UnixMillis(5),
                secrets: 6,
                audit: 700,
            },
            signature: [8; 64],
        };
        let session = SessionId([9; 32]);
        let signature = Signature([10; 64]);
        let signed = [SignedHash {
            hash: Hash([11; 32]),
            signature,
        }; 2];
        let claim = Claim {
            digest: Hash([12; 32]),
            ack: signature,
            signature,
        };
        let of = node(1);
        let body = Hash([13; 32]);
        let claimed = signature;
        let echo = Echoed {
            of,
            phase: 1,
            number: 2,
            body,
            claimed,
            signature,
        };
        let misconduct = [
            (
                "readies",
                Misconduct::Readies(Box::new([ready.clone(), ready.clone()])),
            ),
            (
                "broadcasts",
                Misconduct::Broadcasts {
                    session,
                    phase: 1,
                    number: 2,
                    signed,
                },
            ),
            (
                "results",
                Misconduct::Results {
                    session,
                    claims: Box::new([claim; 2]),
                },
            ),
            (
                "false-mark",
                Misconduct::FalseAck {
                    session,
                    claim: Box::new(claim),
                },
            ),
            (
                "false-echo",
                Misconduct::FalseEcho {
                    session,
                    echo: Box::new(echo),
                },
            ),
        ];
        let of = |(name, misconduct)| {
            let evidence = Some(Evidence {
                task: Hash([14; 32]),
                node: node(2),
                misconduct,
            });
            (
                name,
                encode(&Quarantine {
                    evidence,
                    ..quarantine()
                }),
            )
        };
        let Quarantine {
            key,
            peer: signer,
            task,
            since,
            code,
            text,
            ..
        } = quarantine();
        let stop = Stop {
            key,
            signers: vec![signer],
            task,
            since,
            code,
            text,
        };
        let signed = PeerMark {
            signed: Some(ready.signed_mark()),
            ..peer()
        };
        let others = [
            ("stop", encode(&stop)),
            ("quarantine", encode(&quarantine())),
            ("peer", encode(&signed)),
        ];
        misconduct.into_iter().map(of).chain(others).collect()
    }

    /// One value of each other kind that is stored, by name.
    fn others() -> Vec<(&'static str, Vec<u8>)> {
        let key = KeyRecord {
            descriptor: descriptor(),
            status: KeyStatus::Active,
            created: UnixMillis(3_000),
        };
        let state = StateValue {
            value: vec![1, 2, 3],
            expires: Some(UnixMillis(4_000)),
        };
        let head = AuditHead {
            entries: 7,
            hash: Hash([12; 32]),
        };
        let record = Some(Hash([13; 32]));
        let entry = head.append(
            UnixMillis(5_000),
            AuditKind::Ended,
            Some(TaskId([3; 16])),
            "t".into(),
            record,
        );
        let delivery = Delivery {
            receiver: "r".into(),
            body: vec![1, 2],
            tries: 3,
            next: UnixMillis(6_000),
            given_up: Some("w".into()),
        };
        vec![
            ("key", encode(&key)),
            ("state", encode(&state)),
            ("audit", encode(&entry)),
            ("delivery", encode(&delivery)),
        ]
    }

    fn prepared() -> PreparedReshare {
        PreparedReshare {
            task: TaskId([3; 16]),
            descriptor: descriptor(),
            joins: true,
            opened: UnixMillis(7_000),
            stage: ReshareStage::Aborted,
            created: UnixMillis(6_500),
        }
    }

    /// Values written since key descriptors list their parties.
    fn latest() -> Vec<(&'static str, Vec<u8>)> {
        let listed = KeyDescriptor {
            parties: vec![node(1), node(2), node(3)],
            ..descriptor()
        };
        let mark = |signature| SignedAck {
            node: node(1),
            signature,
        };
        let generation = Generation {
            proof: GenerationProof {
                descriptor: listed.clone(),
                in_force: vec![mark(vec![15; 64])],
            },
            concerned: vec![node(1), node(2)],
            heard: vec![node(2)],
        };
        let leaving = KeyRecord {
            descriptor: listed,
            status: KeyStatus::Leaving,
            created: UnixMillis(3_000),
        };
        vec![
            ("handover", encode(&prepared())),
            ("generation", encode(&generation)),
            ("leaving", encode(&leaving)),
        ]
    }

    /// Records of tasks that others sign.
    fn counts() -> Vec<(&'static str, Vec<u8>)> {
        let value = |value| {
            Some(StateValue {
                value,
                expires: Some(UnixMillis(4_000)),
            })
        };
        let counted = Counted {
            task: TaskId([3; 16]),
            key: KeyId::from_bytes([5; 16]).unwrap(),
            until: UnixMillis(9_000),
            tellers: vec![
                Teller {
                    node: node(1),
                    released: true,
                },
                Teller {
                    node: node(2),
                    released: false,
                },
            ],
            owed: vec!["p".into()],
            taken: vec![Taken {
                plugin: "r".into(),
                key: "k".into(),
                before: None,
                wrote: value(vec![1]),
            }],
        };
        let head = AuditHead {
            entries: 9,
            hash: Hash([12; 32]),
        };
        let entry = head.append(
            UnixMillis(5_000),
            AuditKind::Counted,
            None,
            "t".into(),
            None,
        );
        vec![
            ("counted", encode(&counted)),
            ("counted-entry", encode(&entry)),
        ]
    }

    #[test]
    fn the_bytes_of_what_is_kept_of_others_uses_are_frozen() {
        let file = fixture("v4").with_file_name("counts.txt");
        let found = lines(counts().into_iter());
        if std::env::var("BLESS").is_ok_and(|format| format == "v4") {
            std::fs::write(&file, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(file).unwrap());
    }

    #[test]
    fn the_bytes_of_what_is_left_of_old_tasks_are_frozen() {
        let spent = Spent {
            hash: Hash([4; 32]),
            record: Hash([13; 32]),
        };
        let head = AuditHead {
            entries: 10,
            hash: Hash([12; 32]),
        };
        let vouched = Some(countersign_audit::pruned_hash(UnixMillis(4_000)));
        let entry = head.append(
            UnixMillis(5_000),
            AuditKind::Pruned,
            None,
            "t".into(),
            vouched,
        );
        let file = fixture("v4").with_file_name("pruned.txt");
        let checkpoint = Checkpoint {
            node: node(1),
            entries: 11,
            hash: Hash([12; 32]),
            records: 1,
            before: UnixMillis(4_000),
            at: UnixMillis(5_000),
            signature: Signature([9; 64]),
        };
        let all = [
            ("spent", encode(&spent)),
            ("pruned-entry", encode(&entry)),
            ("checkpoint", encode(&checkpoint)),
        ];
        let found = lines(all.into_iter());
        if std::env::var("BLESS").is_ok_and(|format| format == "v4") {
            std::fs::write(&file, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(file).unwrap());
    }

    #[test]
    fn the_bytes_of_what_is_kept_of_pairs_are_frozen() {
        let pair = Pair {
            setup: Hash([16; 32]),
            peer: node(2),
            runs: 300,
            unrecorded: 2,
            burnt: None,
        };
        let burnt = |task| Pair {
            burnt: Some(Burnt {
                task,
                since: UnixMillis(8_000),
                text: "t".into(),
            }),
            ..pair.clone()
        };
        let all = [
            ("pair", encode(&pair)),
            ("burnt", encode(&burnt(Some(TaskId([3; 16]))))),
            ("restored", encode(&burnt(None))),
        ];
        let file = fixture("v4").with_file_name("pairs.txt");
        let found = lines(all.into_iter());
        if std::env::var("BLESS").is_ok_and(|format| format == "v4") {
            std::fs::write(&file, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(file).unwrap());
    }

    fn fixture(version: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(version)
            .join("records.txt")
    }

    fn lines<'a>(records: impl Iterator<Item = (&'a str, Vec<u8>)>) -> String {
        records
            .map(|(name, bytes)| format!("{name} {}\n", hex::encode(bytes)))
            .collect()
    }

    /// Rows, which have come furthest, and what was added since the version before.
    fn newest() -> Vec<(&'static str, Vec<u8>)> {
        let row = |(name, row)| {
            let recording = Some(Hash([14; 32]));
            let chain = Some(Hash([15; 32]));
            (
                name,
                encode(&Row {
                    recording,
                    chain,
                    ..row
                }),
            )
        };
        let head = AuditHead {
            entries: 8,
            hash: Hash([12; 32]),
        };
        let policy = head.append(UnixMillis(5_000), AuditKind::Policy, None, "t".into(), None);
        rows()
            .into_iter()
            .map(row)
            .chain([("policy", encode(&policy))])
            .collect()
    }

    #[test]
    fn the_bytes_of_every_record_are_frozen() {
        let found = lines(newest().into_iter());
        if std::env::var("BLESS").is_ok_and(|format| format == "v3") {
            std::fs::write(fixture("v3"), &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(fixture("v3")).unwrap());
        let unchanged = later()
            .into_iter()
            .filter(|(name, _)| !["reshared", "intact"].contains(name));
        let second = std::fs::read_to_string(fixture("v2")).unwrap();
        assert!(
            second.contains(&lines(unchanged)),
            "what has its first version still"
        );
        let found = lines(latest().into_iter());
        if std::env::var("BLESS").is_ok_and(|format| format == "v4") {
            std::fs::create_dir_all(fixture("v4").parent().unwrap()).unwrap();
            std::fs::write(fixture("v4"), &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(fixture("v4")).unwrap());
        let first = std::fs::read_to_string(fixture("v1")).unwrap();
        assert!(
            first.ends_with(&lines(others().into_iter())),
            "what has its first version still"
        );
    }

    #[test]
    fn rows_of_earlier_versions_are_read() {
        let recorded = |(name, row)| {
            (
                name,
                Row {
                    recording: Some(Hash([14; 32])),
                    ..row
                },
            )
        };
        let second = rows().into_iter().map(recorded).collect();
        for (version, number, expected) in [("v1", 1, rows()), ("v2", 2, second)] {
            let kept = std::fs::read_to_string(fixture(version)).unwrap();
            for ((name, expected), line) in expected.into_iter().zip(kept.lines()) {
                let bytes = hex::decode(line.strip_prefix(name).unwrap().trim()).unwrap();
                assert_eq!(bytes[0], number, "{name}");
                assert_eq!(decode::<Row>(&bytes), Ok(expected), "{name}");
            }
        }
    }

    #[test]
    fn reshares_of_programs_that_listed_no_parties_are_read() {
        let second = std::fs::read_to_string(fixture("v2")).unwrap();
        let line = second
            .lines()
            .find_map(|line| line.strip_prefix("handover "))
            .unwrap();
        let expected = PreparedReshare {
            created: UnixMillis(0),
            ..prepared()
        };
        assert_eq!(
            decode::<PreparedReshare>(&hex::decode(line).unwrap()),
            Ok(expected)
        );
    }

    #[test]
    fn the_bytes_of_what_is_kept_of_cheats_are_frozen() {
        let file = fixture("v3").with_file_name("cheats.txt");
        let found = lines(cheats().into_iter());
        if std::env::var("BLESS").is_ok_and(|format| format == "v3") {
            std::fs::write(&file, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(file).unwrap());
    }

    #[test]
    fn quarantines_and_marks_of_the_second_format_are_read() {
        let second = std::fs::read_to_string(fixture("v2")).unwrap();
        let stored = |name: &str| {
            let line = second
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .unwrap();
            hex::decode(line).unwrap()
        };
        assert_eq!(
            decode::<Quarantine>(&stored("quarantine")),
            Ok(quarantine())
        );
        assert_eq!(decode::<PeerMark>(&stored("peer")), Ok(peer()));
    }

    #[test]
    fn only_exactly_one_record_of_a_known_version_is_read() {
        let mut bytes = encode(&row(State::Approved));
        assert_eq!(decode::<Row>(&bytes).unwrap(), row(State::Approved));
        assert_eq!(
            decode::<Row>(&bytes[..bytes.len() - 1]),
            Err(Unreadable::Malformed)
        );
        bytes.push(0);
        assert_eq!(decode::<Row>(&bytes), Err(Unreadable::Malformed));
        bytes[0] = 4;
        assert_eq!(decode::<Row>(&bytes), Err(Unreadable::Newer(4)));
        bytes[0] = 0;
        assert_eq!(decode::<Row>(&bytes), Err(Unreadable::Malformed));
        assert_eq!(decode::<Row>(&[]), Err(Unreadable::Malformed));
    }
}
