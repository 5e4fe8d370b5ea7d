//! Two nodes, a coordinator, a requester, and a person who votes; a wallet and a payment.

use std::collections::BTreeMap;

use countersign_audit::{
    Act, ActsHead, AuditEntry, AuditHead, AuditKind, Bundle, CoordinatorLog, Extent, NodeLog,
    Policy, Record, Row, SignedHead, State, TaskTold, Vouched, Wallet, WalletOrder, record_hash,
    stored,
};
use countersign_protocol::task::Collect;
use countersign_protocol::{
    Choice, Committee, CoordinatorId, Hash, IdentitySigner, InputSignature, KeyDescriptor, KeyGen,
    KeyId, KeySign, NodeId, Operation, OperationKind, Outcome, Payload, PayloadKind, PluginVerdict,
    RequesterId, Scheme, SessionId, Signed, SignedAck, SignedTask, Task, TaskId, Threshold,
    UnixMillis, Vote,
};
use countersign_vote::RelyingParty;
use countersign_vote::testing::{Key, ORIGIN, Passkey, RP_ID};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use super::super::{Report, Time, Trust, verify, wallet};
use crate::count::People;
use crate::known::Known;

/// The time of the first entry of every log.
pub const BEGIN: UnixMillis = UnixMillis(1_764_500_000_000);
/// The end of the time that is exported.
pub const END: UnixMillis = UnixMillis(BEGIN.0 + 3_600_000);
/// The time at which the logs are signed.
pub const SIGNED: UnixMillis = UnixMillis(END.0 + 1);
/// The task that makes the wallet.
pub const CREATION: TaskId = TaskId([1; 16]);
/// The task that signs with it.
pub const PAYMENT: TaskId = TaskId([2; 16]);
/// What every plugin is configured with.
pub const RULES: &str = "approvers: [ann]";

/// A key that signs as whoever has its seed.
pub struct Identity(SigningKey);

impl Identity {
    pub fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub fn node(&self) -> NodeId {
        NodeId::from_bytes(self.public()).unwrap()
    }
}

impl IdentitySigner for Identity {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Everybody's keys, and whom the auditor knows.
pub struct World {
    pub alice: Identity,
    pub bob: Identity,
    pub coordinator: Identity,
    pub desk: Identity,
    pub ann: Key,
    known_nodes: BTreeMap<String, NodeId>,
    known_requesters: BTreeMap<String, RequesterId>,
    pub known_coordinator: Option<CoordinatorId>,
    pub people: Option<People>,
    /// Orders instead of the desk.
    passkey: Option<Passkey>,
    pub pages: Option<RelyingParty>,

    /// Generations in the auditor's wallet book.
    pub book: Vec<KeyDescriptor>,
}

impl World {
    pub fn new() -> Self {
        let alice = Identity::new(1);
        let bob = Identity::new(2);
        let coordinator = Identity::new(100);
        let desk = Identity::new(9);
        let ann = Key::new(20);
        Self {
            known_nodes: [("alice", &alice), ("bob", &bob)]
                .map(|(name, key)| (name.to_owned(), key.node()))
                .into(),
            known_requesters: [("desk".to_owned(), requester_of(&desk))].into(),
            known_coordinator: Some(coordinator_of(&coordinator)),
            people: Some([("ann".to_owned(), vec![ann.id()])].into()),
            book: Vec::new(),
            alice,
            bob,
            coordinator,
            desk,
            ann,
            passkey: None,
            pages: None,
        }
    }

    /// A passkey orders, from a page that the auditor knows.
    pub fn with_passkey() -> Self {
        let passkey = Passkey::new(3);
        Self {
            known_requesters: [("console".to_owned(), passkey.requester())].into(),
            passkey: Some(passkey),
            pages: Some(RelyingParty::new(RP_ID, [ORIGIN]).unwrap()),
            ..Self::new()
        }
    }

    pub fn forget_nodes(&mut self) {
        self.known_nodes.clear();
    }

    pub fn forget_everybody(&mut self) {
        self.forget_nodes();
        self.known_requesters.clear();
        self.known_coordinator = None;
        self.people = None;
    }

    pub fn requester(&self) -> RequesterId {
        let passkey = self.passkey.as_ref().map(Passkey::requester);
        passkey.unwrap_or_else(|| requester_of(&self.desk))
    }

    pub fn nodes(&self) -> Vec<NodeId> {
        let mut nodes = vec![self.alice.node(), self.bob.node()];
        nodes.sort_unstable();
        nodes
    }

    pub fn known(&self) -> Known<'_> {
        Known {
            nodes: &self.known_nodes,
            trusted_requesters: &self.known_requesters,
            own: None,
        }
    }

    pub fn verify(&self, bundle: &Bundle) -> Report {
        self.verify_of(bundle, bundle.time)
    }

    pub fn verify_of(&self, bundle: &Bundle, time: Time) -> Report {
        verify(bundle, time, &self.trust())
    }

    fn trust(&self) -> Trust<'_> {
        Trust {
            known: self.known(),
            coordinator: self.known_coordinator,
            people: self.people.as_ref(),
            pages: self.pages.as_ref(),
            wallets: &self.book,
        }
    }

    /// The number of generations of the wallet that are believed.
    pub fn believed(&self, bundle: &Bundle) -> usize {
        let mut report = Report::default();
        let trust = self.trust();
        let believed = wallet::believed(bundle, &trust, &mut report);
        believed.get(&self.wallet().key).map_or(0, Vec::len)
    }

    /// The order that makes the wallet.
    pub fn creation(&self) -> SignedTask {
        let keygen = KeyGen {
            name: "hot".into(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(self.nodes()).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
        };
        self.order(CREATION, Operation::KeyGen(keygen), None)
    }

    /// The order that pays.
    pub fn payment(&self) -> SignedTask {
        self.payment_of(b"pay")
    }

    pub fn payment_of(&self, message: &[u8]) -> SignedTask {
        self.payment_as(PAYMENT, message)
    }

    pub fn payment_as(&self, id: TaskId, message: &[u8]) -> SignedTask {
        let keysign = KeySign {
            key: self.wallet().key,
            path: "m".parse().unwrap(),
            payload: Payload::new(PayloadKind::Message, message.to_vec()),
            signers: Some(self.nodes()),
        };
        let collect = Collect {
            votes: 1,
            until: UnixMillis(BEGIN.0 + 60_000),
        };
        self.order(id, Operation::KeySign(keysign), Some(collect))
    }

    fn order(&self, id: TaskId, operation: Operation, collect: Option<Collect>) -> SignedTask {
        let task = Task {
            version: 1,
            id,
            created: BEGIN,
            not_after: UnixMillis(BEGIN.0 + 600_000),
            requester: self.requester(),
            note: None,
            claims: BTreeMap::default(),
            collect,
            operation,
        };
        if let Some(passkey) = &self.passkey {
            return passkey.order(&task);
        }
        let bytes = task.to_bytes();
        let signature = self.desk.sign(&SignedTask::signed_message(&bytes));
        SignedTask {
            bytes,
            signature: signature.into(),
        }
    }

    pub fn wallet(&self) -> KeyDescriptor {
        let order = self.creation();
        let mut made = KeyDescriptor {
            key: KeyId::of_task(&order.hash()),
            task: CREATION,
            session: SessionId([5; 32]),
            name: "hot".into(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(self.nodes()).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: 0,
            root_public_key: root().public().to_vec(),
            chain_code: Hash([6; 32]),
            public_shares: Hash([7; 32]),
            aux: None,
            parties: Vec::new(),
            acks: Vec::new(),
        };
        self.acknowledge(&mut made);
        made
    }

    /// Signs all acknowledgements anew.
    pub fn acknowledge(&self, made: &mut KeyDescriptor) {
        let digest = made.digest();
        let ack = |who: &Identity| SignedAck {
            node: who.node(),
            signature: who.sign(digest.as_bytes()).to_vec(),
        };
        made.acks = vec![ack(&self.alice), ack(&self.bob)];
        made.acks.sort_by_key(|ack| ack.node);
    }

    /// Ann's vote for the payment.
    pub fn vote(&self) -> Vote {
        let hash = self.payment().hash();
        self.ann.vote(hash, Choice::Approve, BEGIN.0 + 100)
    }

    pub fn signed(&self) -> Outcome {
        Outcome::Signed(Signed {
            session: SessionId([8; 32]),
            signatures: vec![InputSignature {
                path: "m".parse().unwrap(),
                public_key: root().public().to_vec(),
                signed_bytes: b"pay".to_vec(),
                signature: root().sign(b"pay").to_vec(),
                recovery_id: None,
            }],
        })
    }

    /// What every node has on record of a task, before and after its end.
    pub fn rows(&self, order: &SignedTask, outcome: Outcome) -> [Row; 2] {
        let task = order.parse().unwrap();
        let row = Row {
            task: task.id,
            hash: order.hash(),
            kind: OperationKind::from(&task.operation),
            received_at: UnixMillis(BEGIN.0 + 200_000),
            state: State::Approved,
            verdicts: vec![verdict()],
            parties: self.nodes(),
            bytes: order.bytes.clone(),
            recording: None,
            chain: Some(sha256(RULES)),
        };
        let ended = Row {
            state: State::Ended {
                outcome: outcome.into(),
                at: UnixMillis(BEGIN.0 + 300_000),
            },
            ..row.clone()
        };
        [row, ended]
    }

    /// The log of a node as it honestly is.
    pub fn ledger(&self) -> Ledger {
        let creation = self.creation();
        let payment = self.payment();
        let mut ledger = Ledger::default();
        ledger.log(AuditKind::Policy, None, None);
        let made = Outcome::Created(self.wallet());
        ledger.runs(self.rows(&creation, made), &creation, Vec::new());
        ledger.runs(
            self.rows(&payment, self.signed()),
            &payment,
            vec![self.vote()],
        );
        ledger
    }

    /// What the coordinator tells of a task that it completed.
    pub fn told(&self, order: &SignedTask, votes: Vec<Vote>, result: Option<Outcome>) -> TaskTold {
        TaskTold {
            task: String::from_utf8(order.bytes.clone()).unwrap(),
            signature: order.signature.clone(),
            submitted: BEGIN,
            state: "completed".into(),
            parties: self.nodes(),
            votes,
            result,
        }
    }

    /// The log of a node with this row of the payment at its beginning and at its end.
    pub fn ledger_of(&self, rows: [Row; 2]) -> Ledger {
        let mut ledger = self.ledger();
        ledger.entries.truncate(3);
        ledger.records.remove(&PAYMENT);
        ledger.runs(rows, &self.payment(), vec![self.vote()]);
        ledger
    }

    /// The log of a node at which the payment ends like this.
    pub fn ledger_that_ends(&self, outcome: Outcome) -> Ledger {
        self.ledger_of(self.rows(&self.payment(), outcome))
    }

    pub fn coordinator_log(&self) -> CoordinatorLog {
        let acts = acts(&["put-task", "put-webhook", "put-key"]);
        let made = Some(Outcome::Created(self.wallet()));
        let mut tasks = vec![
            self.told(&self.creation(), Vec::new(), made),
            self.told(&self.payment(), vec![self.vote()], Some(self.signed())),
        ];
        sort(&mut tasks);
        CoordinatorLog {
            coordinator: coordinator_of(&self.coordinator),
            head: Some(acts_head(&self.coordinator, &acts)),
            acts,
            tasks,
        }
    }

    pub fn bundle(&self) -> Bundle {
        let mut nodes = vec![
            self.ledger().export(&self.alice),
            self.ledger().export(&self.bob),
        ];
        nodes.sort_by_key(|log| log.node);
        let creation = self.creation();
        Bundle {
            time: (BEGIN, END),
            coordinator: Some(self.coordinator_log()),
            wallets: vec![Wallet {
                wallet: self.wallet().key,
                order: Some(WalletOrder {
                    task: String::from_utf8(creation.bytes).unwrap(),
                    signature: creation.signature.clone(),
                }),
                generations: vec![self.wallet()],
            }],
            nodes,
        }
    }

    /// A bundle in which a node's log is another one, which that node signs.
    pub fn bundle_with(&self, ledger: &Ledger, who: &Identity) -> Bundle {
        let mut bundle = self.bundle();
        *log_of(&mut bundle, who.node()) = ledger.export(who);
        bundle
    }
}

/// A log under construction.
#[derive(Clone, Default)]
pub struct Ledger {
    pub entries: Vec<AuditEntry>,
    /// Newest record, order and votes of each task.
    pub records: BTreeMap<TaskId, (Vec<u8>, Vouched)>,
}

impl Ledger {
    /// Adds an entry a minute after the one before.
    pub fn log(&mut self, kind: AuditKind, task: Option<TaskId>, record: Option<Hash>) {
        let head = self.head();
        let time = UnixMillis(BEGIN.0 + 60_000 * head.entries);
        let text = format!("entry {}", head.entries);
        self.entries
            .push(head.append(time, kind, task, text, record));
    }

    pub fn head(&self) -> AuditHead {
        self.entries
            .last()
            .map_or(AuditHead::EMPTY, AuditEntry::head)
    }

    /// Writes all entries anew, this much later.
    pub fn shift(&mut self, later: u64) {
        let entries = std::mem::take(&mut self.entries);
        for entry in entries {
            let time = UnixMillis(entry.time.0 + later);
            let head = self.head();
            self.entries
                .push(head.append(time, entry.kind, entry.task, entry.text, entry.record));
        }
    }

    /// A task that is approved and ends.
    pub fn runs(&mut self, rows: [Row; 2], order: &SignedTask, votes: Vec<Vote>) {
        for (row, kind) in rows.iter().zip([AuditKind::Approved, AuditKind::Ended]) {
            let bytes = stored::encode(row);
            self.log(kind, Some(row.task), Some(record_hash(&bytes)));
            let beside = Vouched {
                order: Some(order.signature.clone()),
                votes: Some(votes.clone()),
            };
            self.records.insert(row.task, (bytes, beside));
        }
    }

    pub fn export(&self, who: &Identity) -> NodeLog {
        let node = who.node();
        let record = |(task, (row, beside)): (&TaskId, &(Vec<u8>, Vouched))| {
            Record::sign(&node, *task, row.clone(), beside.clone(), who)
        };
        NodeLog {
            node,
            time: (BEGIN, END),
            entries: self.entries.clone(),
            records: self.records.iter().map(record).collect(),
            deleted: Vec::new(),
            policies: vec![Policy {
                digest: sha256(RULES),
                document: Some(RULES.into()),
            }],
            checkpoints: Vec::new(),
            head: SignedHead::sign(node, extent_of(&self.entries), SIGNED, who),
        }
    }
}

/// What a node signs of a log that has these entries and no others.
pub fn extent_of(entries: &[AuditEntry]) -> Extent {
    let end = entries.last().map_or(AuditHead::EMPTY, AuditEntry::head);
    Extent {
        from: BEGIN,
        to: END,
        first: entries.first().map_or(0, |entry| entry.seq),
        end,
        log: end.entries,
    }
}

/// The key whose public half is the root of the wallet.
pub fn root() -> Identity {
    Identity::new(77)
}

pub fn verdict() -> PluginVerdict {
    PluginVerdict {
        plugin: "quorum".into(),
        version: "1.0.0".into(),
        digest: Hash([3; 32]),
        config: sha256(RULES),
        approved: true,
        code: String::new(),
        reason: String::new(),
        micros: 300,
    }
}

pub fn sha256(text: &str) -> Hash {
    Hash(Sha256::digest(text.as_bytes()).into())
}

pub fn requester_of(key: &Identity) -> RequesterId {
    RequesterId::from_bytes(key.public()).unwrap()
}

pub fn coordinator_of(key: &Identity) -> CoordinatorId {
    CoordinatorId::from_bytes(key.public()).unwrap()
}

/// A chain of acts on these targets.
pub fn acts(targets: &[&str]) -> Vec<Act> {
    let acts: Vec<_> = targets.iter().map(|target| ("put", *target)).collect();
    chained(&acts)
}

/// A chain of acts, each with its target.
pub fn chained(what: &[(&str, &str)]) -> Vec<Act> {
    let mut previous = Hash([0; 32]);
    let mut acts = Vec::new();
    for (number, (action, target)) in (1..).zip(what) {
        let act = Act {
            at: UnixMillis(BEGIN.0 + number),
            by: "desk".into(),
            sha256: Some(Hash([4; 32])),
            requester: None,
            action: (*action).into(),
            target: (*target).into(),
            link: None,
        };
        let act = act.linked(number, previous);
        previous = act.link.unwrap().hash;
        acts.push(act);
    }
    acts
}

pub fn acts_head(key: &Identity, acts: &[Act]) -> ActsHead {
    let last = acts.last().and_then(|act| act.link).unwrap();
    ActsHead::sign(
        coordinator_of(key),
        last.number,
        last.hash,
        SIGNED,
        |bytes| key.sign(bytes),
    )
}

/// Brings tasks into the order in which a bundle has them.
pub fn sort(tasks: &mut [TaskTold]) {
    tasks.sort_by_key(|one| SignedTask::hash_of(one.task.as_bytes()));
}

pub fn log_of(bundle: &mut Bundle, node: NodeId) -> &mut NodeLog {
    let mut logs = bundle.nodes.iter_mut();
    logs.find(|log| log.node == node).unwrap()
}

/// What the coordinator tells of the payment.
pub fn told(bundle: &mut Bundle) -> &mut TaskTold {
    let coordinator = bundle.coordinator.as_mut().unwrap();
    let mut tasks = coordinator.tasks.iter_mut();
    tasks.find(|told| !told.votes.is_empty()).unwrap()
}
