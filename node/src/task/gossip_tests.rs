//! A node believes and passes on proven reshares of others; the parts of a node that only hears.

use std::sync::OnceLock;

use countersign_host::rs256;
use countersign_link::Identity;
use countersign_link::Mesh;
use countersign_link::mesh::MeshConfig;
use countersign_protocol::control::FromNode;
use countersign_protocol::outcome::abort_vote_digest;
use countersign_protocol::{
    Committee, Hash, KeyDescriptor, Outcome, Scheme, SessionId, SignedAck, TaskId, Threshold,
    UnixMillis,
};
use countersign_store::{
    Decided, Evidence, KeyRecord, OperationKind, Passphrase, PreparedReshare, ReshareStage,
    Secrets, Silent,
};
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use zeroize::Zeroizing;

use super::*;
use crate::activation::Activation;
use crate::aux_cache::AuxCache;
use crate::config::Policy;
use crate::events::Events;
use crate::key_switch::KeySwitch;
use crate::public::PublicFile;
use crate::report::Reporter;
use crate::risk::{Guard, NodeServices};
use crate::session::worker::CpuPool;
use crate::task::Register;
use crate::vault::Vault;
use crate::world::World;

pub(crate) const NOW: UnixMillis = UnixMillis(1_000);
const TASK: TaskId = TaskId([2; 16]);
const TASK_HASH: Hash = Hash([7; 32]);

/// Node 1, which has no tunnel to anybody.
pub(crate) struct Parts {
    pub(crate) exchange: Exchange,
    pub(crate) vault: Arc<Vault>,
    /// Its reports to the coordinator.
    reports: mpsc::Receiver<FromNode>,
    _dir: TempDir,
}

pub(crate) fn own(seed: u8) -> NodeKey {
    NodeKey::new(Arc::new(Identity::from_seed(&[seed; 32]).unwrap())).unwrap()
}

pub(crate) fn node(seed: u8) -> NodeId {
    own(seed).id()
}

pub(crate) fn key() -> KeyId {
    KeyId::from_bytes([2; 16]).unwrap()
}

pub(crate) fn empty_journal() -> (TempDir, Journal) {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let dir = tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .unwrap();
    let journal = Journal::create(dir.path()).unwrap();
    (dir, journal)
}

/// An empty store with the least work for its passphrase.
pub(crate) fn empty_vault(dir: &TempDir) -> Vault {
    let passphrase = Passphrase::new("a passphrase for tests".to_owned().into());
    drop(Secrets::create(dir.path(), &passphrase, &[], 1).unwrap());
    Vault::open(dir.path(), &passphrase, &[]).unwrap()
}

/// One for all tests: making one is slow.
fn callback_key() -> &'static [u8] {
    static KEY: OnceLock<Zeroizing<Vec<u8>>> = OnceLock::new();
    KEY.get_or_init(|| rs256::SigningKey::generate().unwrap().to_pkcs8().unwrap())
}

/// The texts of all alarms, in order.
pub(crate) fn alarms(journal: &Journal) -> Vec<String> {
    let entries = journal.audit(0, 100).unwrap().into_iter();
    entries
        .filter(|entry| entry.kind.name() == "alarm")
        .map(|entry| entry.text)
        .collect()
}

impl Parts {
    pub(crate) async fn new() -> Self {
        let (dir, journal) = empty_journal();
        let vault = Arc::new(empty_vault(&dir));
        let own = own(1);
        let world = World::system().at(NOW);
        let policy = Policy {
            allow_unguarded: true,
            ..Policy::default()
        };
        let services = NodeServices::new(
            &policy,
            callback_key(),
            None,
            journal.clone(),
            world.clone(),
        )
        .unwrap();
        let guard = Guard::load(policy, None, services.into()).await.unwrap();
        let public = PublicFile::new(
            dir.path().into(),
            vault.clone(),
            guard.into(),
            Arc::default(),
            world.clone(),
        );
        let (reporter, reports) = Reporter::new();
        let participant = Participant {
            own: own.clone(),
            world: world.clone(),
            register: Register {
                journal: journal.clone(),
                events: Events::new(own.id(), world, &[]).into(),
                counters: Arc::default(),
            },
            switch: KeySwitch::new(journal, vault.clone()),
            activation: Activation {
                auxes: AuxCache::default(),
                vault: vault.clone(),
                pool: CpuPool::of(1),
                public: public.into(),
            },
            reporter,
            changed: Notify::new(),
        };
        let (mesh, _) = Mesh::new(own.identity().clone(), MeshConfig::default());
        let exchange = Exchange {
            participant: participant.into(),
            router: Router::new(mesh, BTreeMap::new()),
        };
        Self {
            exchange,
            vault,
            reports,
            _dir: dir,
        }
    }

    /// The same as a holder of generation 0, with node 2.
    async fn holding() -> Self {
        let parts = Self::new().await;
        let record = KeyRecord {
            descriptor: acked(generation(0, &[1, 2]), &[1, 2]),
            status: KeyStatus::Active,
            created: NOW,
        };
        parts.journal().put_key(record).unwrap();
        parts
    }

    /// The same once it has stored for a reshare to nodes 1 and 3 and waits for its end.
    async fn in_doubt() -> Self {
        let parts = Self::holding().await;
        let row = Decided {
            task: TASK,
            hash: TASK_HASH,
            kind: OperationKind::KeyReshare,
            received_at: NOW,
            verdicts: Vec::new(),
            parties: sorted(&[1, 2, 3]),
            bytes: b"{}".to_vec(),
            evidence: Evidence::default(),
        };
        parts.journal().approve(NOW, row, Vec::new()).unwrap();
        let prepared = PreparedReshare {
            task: TASK,
            descriptor: reshared(&[1, 3], &[1, 2, 3]),
            joins: true,
            opened: NOW,
            stage: ReshareStage::InDoubt,
            created: NOW,
        };
        parts.journal().prepare_reshare(prepared).unwrap();
        parts
    }

    pub(crate) fn journal(&self) -> &Journal {
        self.exchange.journal()
    }

    async fn say(&self, gossip: &mut Gossip, from: u8, body: Body) {
        let said = Said::Told(node(from), Box::new(body));
        gossip.hear(&self.exchange, said).await;
    }

    /// Peer `from` shows this generation.
    async fn show(&self, gossip: &mut Gossip, from: u8, descriptor: KeyDescriptor) {
        let proofs = vec![unvouched(descriptor)];
        self.say(gossip, from, Body::Generations(proofs)).await;
    }

    /// The generation of the key that the journal says is in force.
    fn in_force(&self) -> u32 {
        let record = self.journal().key(&key()).unwrap().unwrap();
        record.descriptor.generation
    }

    fn reported(&mut self) -> Vec<FromNode> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }
}

fn sorted(seeds: &[u8]) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = seeds.iter().copied().map(node).collect();
    nodes.sort_unstable();
    nodes
}

pub(crate) fn generation(number: u32, members: &[u8]) -> KeyDescriptor {
    let members: Vec<NodeId> = members.iter().map(|seed| node(*seed)).collect();
    KeyDescriptor {
        key: key(),
        task: TaskId([number as u8 + 1; 16]),
        session: SessionId([3; 32]),
        name: "treasury".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(members.clone()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: number,
        root_public_key: vec![4; 32],
        chain_code: Hash([5; 32]),
        public_shares: Hash([6; 32]),
        aux: None,
        parties: members,
        acks: Vec::new(),
    }
}

/// Generation 1, by a reshare of these parties.
fn reshared(members: &[u8], parties: &[u8]) -> KeyDescriptor {
    KeyDescriptor {
        parties: sorted(parties),
        ..generation(1, members)
    }
}

fn acked(descriptor: KeyDescriptor, seeds: &[u8]) -> KeyDescriptor {
    let digest = descriptor.digest();
    let mut acks: Vec<SignedAck> = seeds.iter().map(|seed| ack(*seed, digest)).collect();
    acks.sort_by_key(|ack| ack.node);
    KeyDescriptor { acks, ..descriptor }
}

fn ack(seed: u8, digest: Hash) -> SignedAck {
    let own = own(seed);
    SignedAck {
        node: own.id(),
        signature: own.identity().sign(digest.as_bytes()).to_vec(),
    }
}

/// A proof in which no member says yet that the generation is in force there.
fn unvouched(descriptor: KeyDescriptor) -> GenerationProof {
    GenerationProof {
        descriptor,
        in_force: Vec::new(),
    }
}

/// A reshare that nodes 3 and 4 took the key over with, without node 1 as a member.
fn handed_over() -> KeyDescriptor {
    acked(reshared(&[3, 4], &[1, 2, 3, 4]), &[1, 2, 3, 4])
}

fn held(generation: u32) -> Held {
    Held {
        key: key(),
        generation,
    }
}

/// Its journal is older than what it once acknowledged, and the coordinator may be silent about
/// it.
#[test]
fn a_peer_that_was_restored_is_told_again_what_it_once_acknowledged() {
    let (_dir, journal) = empty_journal();
    for (number, members) in [(1, &[1, 2][..]), (2, &[1, 2]), (3, &[1, 3])] {
        journal
            .keep_generation(generation(number, members))
            .unwrap();
        journal
            .heard(key(), number, vec![node(2), node(3)])
            .unwrap();
    }
    let told = |peer: u8, from: u32| -> Vec<u32> {
        let proofs = later(&journal, &node(peer), &[held(from)]).unwrap();
        proofs
            .iter()
            .map(|proof| proof.descriptor.generation)
            .collect()
    };
    assert_eq!(told(2, 0), [1, 2], "all that concerns it, in order");
    assert_eq!(told(2, 1), [2]);
    assert!(told(2, 2).is_empty() && told(2, u32::MAX).is_empty());
    assert_eq!(told(3, 2), [3]);
    assert!(told(9, 0).is_empty(), "of no concern to a stranger");
    let many = vec![held(0); 100];
    assert_eq!(later(&journal, &node(2), &many).unwrap().len(), MAX_PROOFS);
}

#[test]
fn who_waits_for_acknowledgements_is_shown_them_if_it_is_a_party_and_all_are_there() {
    let (_dir, journal) = empty_journal();
    let shown = |peer: u8, asked: &[Held]| known(&journal, &node(peer), asked).unwrap().len();
    let missing_one = acked(reshared(&[1, 3], &[1, 2, 3]), &[1, 3]);
    journal.keep_generation(missing_one).unwrap();
    assert_eq!(shown(3, &[held(1)]), 0, "one is missing");
    let complete = acked(generation(2, &[1, 3]), &[1, 3]);
    journal.keep_generation(complete).unwrap();
    assert_eq!([shown(1, &[held(2)]), shown(3, &[held(2)])], [1, 1]);
    assert_eq!(shown(2, &[held(2)]), 0, "no party of that reshare");
    assert_eq!(shown(3, &[held(9)]), 0, "nothing is known of it");
    assert_eq!(shown(3, &[held(2); 100]), MAX_PROOFS);
}

#[test]
fn a_round_has_what_somebody_may_not_know_and_goes_on_where_the_last_one_ended() {
    let (_dir, journal) = empty_journal();
    for number in 1..=3 {
        journal
            .keep_generation(generation(number, &[1, 2]))
            .unwrap();
    }
    journal.heard(key(), 2, vec![node(1), node(2)]).unwrap();
    journal.heard(key(), 3, vec![node(1)]).unwrap();
    let round = |after: Option<Place>| Round::of(&journal, node(1), after).unwrap();
    let numbers = |round: &Round| -> Vec<u32> {
        round
            .generations
            .keys()
            .map(|(_, number)| *number)
            .collect()
    };
    let first = round(None);
    assert_eq!(numbers(&first), [1, 3], "all know the second");
    assert_eq!(first.mine, [(key(), 1)], "this node owes its own part");
    assert_eq!(numbers(&round(Some((key(), 1)))), [3]);
    assert!(numbers(&round(Some((key(), 3)))).is_empty());
}

#[tokio::test]
async fn a_generation_that_proves_itself_is_taken_from_anybody() {
    for from in [2, 9] {
        let mut parts = Parts::holding().await;
        let mut gossip = Gossip::default();
        parts.show(&mut gossip, from, handed_over()).await;
        assert_eq!(parts.in_force(), 1, "from node {from}");
        let expected = FromNode::Holds {
            keys: vec![held(1)],
        };
        assert_eq!(parts.reported(), [expected]);
    }
}

#[tokio::test]
async fn a_peer_that_shows_a_generation_without_proof_is_not_heard_until_the_next_repetition() {
    let parts = Parts::holding().await;
    let mut gossip = Gossip::default();
    let unproven = acked(reshared(&[3, 4], &[1, 2, 3, 4]), &[1, 2, 3]);
    parts.show(&mut gossip, 2, unproven).await;
    parts.show(&mut gossip, 2, handed_over()).await;
    assert_eq!(parts.in_force(), 0);
    gossip.forget();
    parts.show(&mut gossip, 2, handed_over()).await;
    assert_eq!(parts.in_force(), 1);
}

#[tokio::test]
async fn one_peer_s_forgery_silences_no_other_peer() {
    let parts = Parts::holding().await;
    let mut gossip = Gossip::default();
    parts.show(&mut gossip, 2, reshared(&[3, 4], &[3, 4])).await;
    parts.show(&mut gossip, 3, handed_over()).await;
    assert_eq!(parts.in_force(), 1);
}

/// It may have joined the committee before this node heard of the key.
#[tokio::test]
async fn a_generation_of_an_unknown_key_is_not_a_forgery() {
    let parts = Parts::new().await;
    let mut gossip = Gossip::default();
    parts.show(&mut gossip, 2, handed_over()).await;
    assert!(gossip.muted.is_empty());
    assert_eq!(parts.journal().key(&key()).unwrap(), None);
}

/// Its proof is the acknowledgements of the members, which a KeyGen in doubt here waits for.
#[tokio::test]
async fn a_first_generation_without_a_task_that_waits_for_it_changes_nothing_and_mutes_nobody() {
    let mut parts = Parts::new().await;
    let mut gossip = Gossip::default();
    parts.show(&mut gossip, 2, generation(0, &[1, 2])).await;
    assert!(gossip.muted.is_empty() && parts.reported().is_empty());
    assert_eq!(parts.journal().key(&key()).unwrap(), None);
}

#[tokio::test]
async fn of_an_overlong_frame_only_as_much_is_read_as_a_frame_may_have() {
    let parts = Parts::holding().await;
    let stranger = KeyDescriptor {
        key: KeyId::from_bytes([9; 16]).unwrap(),
        ..handed_over()
    };
    for (before, generation) in [(MAX_PROOFS, 0), (MAX_PROOFS - 1, 1)] {
        let mut proofs = vec![unvouched(stranger.clone()); before];
        proofs.push(unvouched(handed_over()));
        let mut gossip = Gossip::default();
        parts.say(&mut gossip, 2, Body::Generations(proofs)).await;
        assert_eq!(parts.in_force(), generation);
    }
}

#[tokio::test]
async fn an_acknowledgement_counts_for_the_peer_that_sent_it() {
    let parts = Parts::new().await;
    let mut gossip = Gossip::default();
    let journal = parts.journal();
    journal.keep_generation(generation(1, &[2, 3])).unwrap();
    let heard = || journal.generation(&key(), 1).unwrap().unwrap().heard;
    parts.say(&mut gossip, 9, Body::Heard(vec![held(1)])).await;
    parts.say(&mut gossip, 2, Body::Heard(vec![held(7)])).await;
    assert!(
        heard().is_empty(),
        "a stranger, and a generation nobody has"
    );
    parts.say(&mut gossip, 2, Body::Heard(vec![held(1)])).await;
    assert_eq!(heard(), [node(2)]);
}

#[tokio::test]
async fn a_peer_that_is_muted_cannot_stop_being_told() {
    let parts = Parts::new().await;
    let mut gossip = Gossip::default();
    let journal = parts.journal();
    journal.keep_generation(generation(1, &[2, 3])).unwrap();
    gossip.muted.insert(node(2));
    parts.say(&mut gossip, 2, Body::Heard(vec![held(1)])).await;
    let kept = journal.generation(&key(), 1).unwrap().unwrap();
    assert!(kept.unheard().any(|peer| *peer == node(2)));
}

/// It may have lost what was sent through the last one.
#[tokio::test]
async fn a_peer_with_a_new_tunnel_is_told_everything_again_and_no_other_is() {
    let parts = Parts::new().await;
    let mut gossip = Gossip::default();
    for peer in [2, 3] {
        gossip.told.insert((node(peer), (key(), 1)), 0);
    }
    gossip.hear(&parts.exchange, Said::Up(node(2))).await;
    let told: Vec<NodeId> = gossip.told.keys().map(|(peer, _)| *peer).collect();
    assert_eq!(told, [node(3)]);
}

#[tokio::test]
async fn a_peer_is_not_told_what_it_has_shown_itself() {
    let parts = Parts::holding().await;
    let mut gossip = Gossip::default();
    parts.show(&mut gossip, 2, handed_over()).await;
    let told: Vec<_> = gossip.told.iter().collect();
    assert_eq!(told, [(&(node(2), (key(), 1)), &0)]);
}

#[tokio::test]
async fn nobody_counts_as_told_while_it_has_no_tunnel() {
    let parts = Parts::new().await;
    let mut gossip = Gossip::default();
    let journal = parts.journal();
    journal.keep_generation(generation(1, &[2, 3])).unwrap();
    gossip.round(&parts.exchange).await;
    assert!(gossip.told.is_empty());
    assert_eq!(journal.unheard().unwrap(), [(key(), 1)]);
}

#[tokio::test]
async fn a_peer_that_shows_all_acknowledgements_ends_a_reshare_in_doubt() {
    let mut parts = Parts::in_doubt().await;
    let mut gossip = Gossip::default();
    let all = acked(reshared(&[1, 3], &[1, 2, 3]), &[1, 2, 3]);
    parts.show(&mut gossip, 9, all.clone()).await;
    assert_eq!(parts.in_force(), 1);
    let outcome = Outcome::Reshared(all);
    let task = TASK;
    assert_eq!(parts.reported(), [FromNode::Outcome { task, outcome }]);
}

#[tokio::test]
async fn a_reshare_in_doubt_stays_so_while_one_acknowledgement_is_missing_or_forged() {
    let mut parts = Parts::in_doubt().await;
    let next = reshared(&[1, 3], &[1, 2, 3]);
    let mut forged = acked(next.clone(), &[1, 2, 3]);
    for ack in &mut forged.acks {
        if ack.node == node(2) {
            ack.signature[0] ^= 1;
        }
    }
    for wrong in [acked(next.clone(), &[1, 3]), acked(next, &[1, 2]), forged] {
        parts.show(&mut Gossip::default(), 2, wrong).await;
        assert_eq!(parts.in_force(), 0);
    }
    assert!(parts.reported().is_empty());
    assert_eq!(settle::waiting(parts.journal()).unwrap(), [TASK]);
}

#[tokio::test]
async fn the_abort_vote_of_a_party_ends_a_reshare_in_doubt_and_is_reported() {
    let mut parts = Parts::in_doubt().await;
    let vote = ack(2, abort_vote_digest(TASK_HASH));
    parts.exchange.participant.abort_vote(TASK, vote).await;
    assert_eq!(parts.in_force(), 0);
    let [FromNode::Outcome { outcome, .. }] = &parts.reported()[..] else {
        panic!("an outcome")
    };
    assert!(matches!(outcome, Outcome::Failed(failure) if failure.code.as_str() == "reshare-void"));
}

#[tokio::test]
async fn an_abort_vote_that_no_party_signed_leaves_a_reshare_in_doubt() {
    let mut parts = Parts::in_doubt().await;
    let digest = abort_vote_digest(TASK_HASH);
    let another = abort_vote_digest(Hash([8; 32]));
    let participant = parts.exchange.participant.clone();
    for (task, vote) in [
        (TASK, ack(9, digest)),
        (TASK, ack(2, another)),
        (TaskId([9; 16]), ack(2, digest)),
    ] {
        participant.abort_vote(task, vote).await;
    }
    assert_eq!(settle::waiting(parts.journal()).unwrap(), [TASK]);
    assert!(parts.reported().is_empty());
}

/// A party that votes to abort and shows others its acknowledgement must not split them.
#[tokio::test]
async fn a_commit_that_a_peer_shows_after_an_abort_vote_is_still_made() {
    let parts = Parts::in_doubt().await;
    let vote = ack(2, abort_vote_digest(TASK_HASH));
    parts.exchange.participant.abort_vote(TASK, vote).await;
    let all = acked(reshared(&[1, 3], &[1, 2, 3]), &[1, 2, 3]);
    parts.show(&mut Gossip::default(), 3, all).await;
    assert_eq!(parts.in_force(), 1);
}
