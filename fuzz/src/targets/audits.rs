//! Logs and bundles for auditors. Nothing is proven but what the node of the tests has signed.

use std::collections::BTreeMap;

use countersign_audit::{
    AuditHead, AuditKind, Bundle, Checkpoint, Deleted, Extent, NodeLog, Policy, Record, SignedHead,
    Vouched, record_hash,
};
use countersign_protocol::{Hash, IdentitySigner, NodeId, TaskId, UnixMillis};
use countersign_requester::Known;
use countersign_requester::audit::{Fact, Proven, Trust, verify};
use ed25519_dalek::{Signer, SigningKey};

const NOW: UnixMillis = UnixMillis(1_000);
const TASK: TaskId = TaskId([1; 16]);

struct Alice(SigningKey);

impl IdentitySigner for Alice {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

pub(super) fn run(input: &[u8]) -> bool {
    let log = NodeLog::read(input).ok();
    if let Some(log) = &log {
        assert_eq!(log.write(), input, "a log has one text");
    }
    let bundle = Bundle::read(input).ok();
    if let Some(bundle) = &bundle {
        assert_eq!(bundle.write(), input, "a bundle has one text");
    }
    let bundles: Vec<Bundle> = log.map(bundle_of).into_iter().chain(bundle).collect();
    bundles.iter().for_each(check);
    !bundles.is_empty()
}

/// Whoever knows Alice alone finds no chain proven but hers.
fn check(bundle: &Bundle) {
    let nodes = BTreeMap::from([("alice".to_owned(), alice().1)]);
    let trust = Trust {
        known: Known {
            nodes: &nodes,
            trusted_requesters: &BTreeMap::new(),
            own: None,
        },
        coordinator: None,
        people: None,
        pages: None,
        wallets: &[],
    };
    let report = verify(bundle, bundle.time, &trust);
    let proven = report.findings.iter().any(|one| match &one.fact {
        Fact::Proven(Proven::Chain { .. } | Proven::EmptyLog { .. }) => true,
        Fact::Proven(_) | Fact::Missing(_) | Fact::Wrong(_) => false,
    });
    let log = bundle.nodes.iter().find(|log| log.node == alice().1);
    if proven {
        let log = log.expect("a proven log is in the bundle");
        assert_eq!((&log.entries, log.head), (&given().entries, given().head));
    }
}

fn alice() -> (Alice, NodeId) {
    let key = SigningKey::from_bytes(&[1; 32]);
    let id = NodeId::from_bytes(key.verifying_key().to_bytes()).expect("a key made from a seed");
    (Alice(key), id)
}

fn given() -> NodeLog {
    let (key, node) = alice();
    let row = vec![3; 40];
    let one = AuditHead::EMPTY.append(
        NOW,
        AuditKind::Approved,
        Some(TASK),
        "t".into(),
        Some(record_hash(&row)),
    );
    let two = one
        .head()
        .append(NOW, AuditKind::Pruned, None, "t".into(), None);
    let head = two.head();
    let time = (UnixMillis(0), NOW);
    let extent = Extent {
        from: time.0,
        to: time.1,
        first: 0,
        end: head,
        log: head.entries,
    };
    let beside = Vouched {
        order: Some([2; 64].into()),
        votes: Some(Vec::new()),
    };
    NodeLog {
        node,
        time,
        entries: vec![one, two],
        records: vec![Record::sign(&node, TASK, row, beside, &key)],
        deleted: vec![Deleted::sign(
            &node,
            TASK,
            (Hash([4; 32]), Hash([5; 32])),
            &key,
        )],
        policies: vec![Policy {
            digest: Hash([6; 32]),
            document: Some("{}".into()),
        }],
        checkpoints: vec![Checkpoint::sign(node, head, (1, NOW), NOW, &key)],
        head: SignedHead::sign(node, extent, NOW, &key),
    }
}

fn bundle_of(log: NodeLog) -> Bundle {
    Bundle {
        time: log.time,
        coordinator: None,
        wallets: Vec::new(),
        nodes: vec![log],
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![given().write(), bundle_of(given()).write()]
}
