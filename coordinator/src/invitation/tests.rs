//! Tokens against the files, and what is left after a kill.

use std::sync::Arc;

use countersign_api::{ApiKeySpec, Submitter};
use countersign_protocol::contact::Contact;
use countersign_protocol::{NodeId, RequesterId};

use super::*;
use crate::api_key::{ApiKeys, KeyError, Scope};
use crate::config::Config;
use crate::registry::TaskRegistry;
use crate::store::{Act, Store};

const NOW: UnixMillis = UnixMillis(1_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn identity(seed: u8) -> (Identity, CoordinatorId) {
    let identity = Identity::from_seed(&[seed; 32]).unwrap();
    let id = CoordinatorId::from_bytes(identity.public().0).unwrap();
    (identity, id)
}

fn key(seed: u8) -> [u8; 32] {
    Identity::from_seed(&[seed; 32]).unwrap().public().0
}

/// Alters one field.
type Forge = fn(&mut Invitation);

/// A desk, and an operator who makes invitations beside it.
struct Office {
    desk: Arc<Desk>,
    operator: Invitations,
    registry: Arc<TaskRegistry>,
    keys: Arc<ApiKeys>,
    dir: Arc<tempfile::TempDir>,
}

impl Office {
    fn open() -> Self {
        Self::open_in(Arc::new(tempfile::tempdir().unwrap()), "").unwrap()
    }

    fn open_in(dir: Arc<tempfile::TempDir>, rest: &str) -> Result<Self, JoinedError> {
        let config = Config::parse(&format!("data: .\n{rest}"), dir.path()).unwrap();
        let store = Store::open(&config.database_file()).unwrap();
        let registry = Arc::new(TaskRegistry::open(config.rules.clone(), store).unwrap());
        let keys = Arc::new(ApiKeys::new(config.api_keys.clone()));
        keys.load(registry.store()).unwrap();
        let book = Book::new(config.clone(), registry.clone(), keys.clone());
        book.replace(config)?;
        let invitations = || {
            let (identity, id) = identity(9);
            Invitations::of(dir.path(), &identity, id).unwrap()
        };
        let desk = Desk::new(invitations(), Arc::new(book), registry.clone());
        Ok(Self {
            desk: Arc::new(desk),
            operator: invitations(),
            registry,
            keys,
            dir,
        })
    }

    /// The same data directory after the process has died.
    fn reopen(self) -> Self {
        self.reopen_with("")
    }

    fn reopen_with(self, rest: &str) -> Self {
        let Self {
            desk,
            registry,
            keys,
            dir,
            ..
        } = self;
        drop((desk, registry, keys));
        Self::open_in(dir, rest).unwrap()
    }

    fn invite(&self, name: &str) -> Token {
        let made = self.operator.make(Role::Node, name, "c:1", HOUR, NOW);
        made.unwrap()
    }

    fn invite_requester(&self, name: &str, rights: Option<Rights>) -> Token {
        let made = match rights {
            None => self.operator.make(Role::Requester, name, "c:1", HOUR, NOW),
            Some(rights) => self.operator.make_limited(rights, name, "c:1", HOUR, NOW),
        };
        made.unwrap()
    }

    fn put_key(&self, name: &str, spec: ApiKeySpec) -> Result<(), KeyError> {
        let put = self
            .keys
            .put(self.registry.store(), name, spec, act(&boss()));
        put.map(drop)
    }

    fn revoke_key(&self, name: &str) {
        let by = boss();
        let removed = self.keys.remove(self.registry.store(), name, act(&by));
        assert!(removed.unwrap());
    }

    fn show(&self, seed: u8, token: &Token) -> Result<Vec<Contact>, NotJoined> {
        self.desk.receive(key(seed), token, NOW)
    }

    fn nodes(&self) -> Vec<String> {
        self.registry.rules().nodes.values().cloned().collect()
    }
}

fn boss() -> Submitter {
    Submitter {
        name: "boss".into(),
        sha256: None,
        requester: None,
    }
}

fn act(by: &Submitter) -> Act<'_> {
    Act {
        at: NOW,
        by,
        action: "test",
        target: "desk",
    }
}

/// A key of this requester, or of a secret.
fn spec(requester: Option<u8>) -> ApiKeySpec {
    let is_secret = requester.is_none();
    ApiKeySpec {
        sha256: is_secret.then_some(countersign_protocol::Hash([1; 32])),
        requester: requester.map(|seed| RequesterId::from_bytes(key(seed)).unwrap()),
        scopes: vec![Scope::Read],
        wallets: None,
        expires: None,
    }
}

#[test]
fn a_guest_with_a_good_token_is_known_at_once_and_after_a_restart() {
    let office = Office::open();
    let bob = office.invite("bob");
    assert_eq!(office.show(1, &bob).unwrap(), []);
    assert_eq!(office.nodes(), ["bob"]);
    let carol = office.invite("carol");
    let told = office.show(2, &carol).unwrap();
    let bob = Contact::Node {
        name: "bob".into(),
        id: NodeId::from_bytes(key(1)).unwrap(),
    };
    assert_eq!(told, [bob]);
    let mut after = office.reopen().nodes();
    after.sort();
    assert_eq!(after, ["bob", "carol"]);
}

#[test]
fn no_field_of_a_token_can_be_forged() {
    let office = Office::open();
    let good = office.invite("bob");
    office.invite("carol");
    let other_file = office.operator.list().unwrap();
    let (other, _) = other_file
        .into_iter()
        .find(|(_, open)| open.name == "carol")
        .unwrap();
    let forgeries: [(&str, Forge); 6] = [
        ("coordinator", |it| it.coordinator = identity(8).1),
        ("address", |it| it.address = "other:1".into()),
        ("id", |it| it.id.0[0] ^= 1),
        ("role", |it| it.role = Role::Requester),
        ("name", |it| it.name = "carol".into()),
        ("expires", |it| it.expires.0 += 1),
    ];
    let fields = format!("{:?}", good.invitation);
    assert_eq!(fields.matches(": ").count(), forgeries.len(), "{fields}");
    let mut wrong = Vec::new();
    for (field, forge) in forgeries {
        let mut forged = good.clone();
        forge(&mut forged.invitation);
        assert_ne!(forged.invitation, good.invitation, "{field}");
        wrong.push((field, forged));
    }
    let mut of_another = good.clone();
    of_another.invitation.id = other;
    of_another.invitation.name = "carol".into();
    wrong.push(("an open invitation with the MAC of another", of_another));
    for bit in [0, 100, 255] {
        let mut forged = good.clone();
        forged.mac[bit / 8] ^= 1 << (bit % 8);
        wrong.push(("mac", forged));
    }
    let texts: Vec<String> = wrong
        .into_iter()
        .map(|(field, forged)| {
            let refused = office.show(1, &forged).unwrap_err();
            assert!(matches!(refused, NotJoined::Token), "{field}: {refused}");
            refused.to_string()
        })
        .collect();
    assert!(texts.windows(2).all(|two| two[0] == two[1]), "{texts:?}");
    assert!(office.nodes().is_empty());
    office.show(1, &good).unwrap();
}

#[test]
fn a_token_of_another_coordinator_is_worth_nothing_though_the_file_is_there() {
    let office = Office::open();
    let (identity, id) = identity(8);
    let thief = Invitations::of(office.dir.path(), &identity, id).unwrap();
    let mut forged = thief.make(Role::Node, "bob", "c:1", HOUR, NOW).unwrap();
    assert!(office.show(1, &forged).is_err());
    forged.invitation.coordinator = self::identity(9).1;
    assert!(office.show(1, &forged).is_err());
    assert!(office.nodes().is_empty());
}

#[test]
fn a_token_is_used_once() {
    let office = Office::open();
    let bob = office.invite("bob");
    office.show(1, &bob).unwrap();
    assert!(matches!(office.show(2, &bob), Err(NotJoined::Token)));
    let office = office.reopen();
    assert!(matches!(office.show(2, &bob), Err(NotJoined::Token)));
    assert_eq!(office.nodes(), ["bob"]);
}

#[test]
fn of_many_who_come_at_once_with_one_token_one_gets_in() {
    let office = Office::open();
    for round in 0..20 {
        let token = office.invite(&format!("node-{round}"));
        let admitted: usize = std::thread::scope(|scope| {
            let guests: Vec<_> = (0..4)
                .map(|guest| {
                    let desk = office.desk.clone();
                    let token = &token;
                    scope.spawn(move || {
                        let key = key(10 + 4 * round + guest);
                        desk.receive(key, token, NOW).is_ok()
                    })
                })
                .collect();
            guests
                .into_iter()
                .map(|guest| usize::from(guest.join().unwrap()))
                .sum()
        });
        assert_eq!(admitted, 1);
    }
    assert_eq!(office.nodes().len(), 20);
}

/// The file leaves by rename, so not even a lock decides.
#[test]
fn an_invitation_is_spent_by_one_of_several_processes() {
    let office = Office::open();
    let id = office.invite("bob").invitation.id;
    let spent: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| office.operator.spend(id).unwrap()))
            .collect();
        tries
            .into_iter()
            .map(|one| usize::from(one.join().unwrap()))
            .sum()
    });
    assert_eq!(spent, 1);
}

#[test]
fn an_expired_or_revoked_token_is_refused_and_its_file_is_gone() {
    let office = Office::open();
    let bob = office.invite("bob");
    let at = |ms| UnixMillis(NOW.0 + ms);
    let end = bob.invitation.expires;
    assert_eq!(end, at(3_600_000));
    let late = office.desk.receive(key(1), &bob, end);
    assert!(matches!(late, Err(NotJoined::Token)));
    assert_eq!(office.operator.list().unwrap(), []);
    assert!(matches!(office.show(1, &bob), Err(NotJoined::Token)));
    let carol = office.invite("carol");
    office.operator.revoke(carol.invitation.id).unwrap();
    assert!(matches!(office.show(1, &carol), Err(NotJoined::Token)));
    let again = office.operator.revoke(carol.invitation.id);
    assert!(matches!(again, Err(InvitationError::Unknown(_))));
    assert!(office.nodes().is_empty());
}

#[test]
fn after_a_kill_between_spending_and_recording_nobody_is_admitted_and_the_token_is_spent() {
    let office = Office::open();
    let bob = office.invite("bob");
    assert!(office.operator.spend(bob.invitation.id).unwrap());
    let office = office.reopen();
    assert!(office.nodes().is_empty());
    assert!(matches!(office.show(1, &bob), Err(NotJoined::Token)));
    let left = office.operator.forget_spent().unwrap();
    assert_eq!(left.len(), 1, "it is told of at the start");
    assert_eq!(office.operator.forget_spent().unwrap(), []);
    assert!(matches!(office.show(1, &bob), Err(NotJoined::Token)));
    let again = office.invite("bob");
    office.show(1, &again).unwrap();
    assert_eq!(office.nodes(), ["bob"]);
}

#[test]
fn a_guest_that_cannot_be_recorded_is_not_admitted() {
    let office = Office::open();
    let bob = office.invite("bob");
    // A folder in the place of the file.
    std::fs::create_dir(office.dir.path().join("nodes.yaml")).unwrap();
    assert!(matches!(office.show(1, &bob), Err(NotJoined::Store)));
    assert!(office.nodes().is_empty());
}

#[test]
fn a_name_or_an_id_that_is_taken_is_refused_and_the_invitation_stays_open() {
    let office = Office::open();
    office.show(1, &office.invite("bob")).unwrap();
    let again = office.invite("bob");
    assert!(matches!(office.show(2, &again), Err(NotJoined::Taken(_))));
    let renamed = office.invite("robert");
    let own = office.show(1, &renamed).unwrap_err();
    assert!(matches!(&own, NotJoined::Renamed(Role::Node, name) if name == "bob"));
    assert_eq!(office.nodes(), ["bob"]);
    office.show(2, &renamed).unwrap();
    assert_eq!(office.nodes().len(), 2);
}

/// The answer may have been lost, and the handshake has proven the key.
#[test]
fn whoever_is_on_record_is_told_again_under_its_name_whatever_the_token_is_worth() {
    let office = Office::open();
    let bob = office.invite("bob");
    let desk = office.invite_requester("desk", None);
    office.show(1, &bob).unwrap();
    office.show(2, &desk).unwrap();
    for (seed, token) in [(1, &bob), (2, &desk)] {
        let told = office.show(seed, token).unwrap();
        assert_eq!(told.len(), 1, "the other one");
        let mut forged = token.clone();
        forged.mac[0] ^= 1;
        office.show(seed, &forged).unwrap();
        assert!(office.show(seed + 2, token).is_err());
    }
    let counted = office.registry.counters().joins.read();
    assert_eq!(counted, [("joined", 2), ("refused", 2), ("told-again", 4)]);
    // Known keys come in although no invitation is open, and no others do.
    let lets_in = |seed| office.desk.lets_in(&key(seed));
    assert_eq!([1, 2, 3].map(lets_in), [false, true, false]);
}

#[test]
fn a_requester_whose_entry_has_expired_is_told_nothing() {
    let id = RequesterId::from_bytes(key(2)).unwrap();
    let rest = format!(
        "api_keys: [{{name: desk, requester: {id}, scopes: [read], expires: {}}}]\n",
        NOW.0
    );
    let office = Office::open_in(Arc::new(tempfile::tempdir().unwrap()), &rest).unwrap();
    let mut token = office.invite_requester("desk", None);
    assert!(matches!(office.show(2, &token), Err(NotJoined::Taken(_))));
    token.mac[0] ^= 1;
    assert!(matches!(office.show(2, &token), Err(NotJoined::Token)));
    assert!(!office.desk.lets_in(&key(2)));
}

#[test]
fn a_good_token_in_the_hands_of_its_owner_is_spent_although_the_owner_is_on_record() {
    let office = Office::open();
    office.show(1, &office.invite("bob")).unwrap();
    let second = office.invite("bob");
    office.show(1, &second).unwrap();
    assert_eq!(office.operator.list().unwrap(), []);
    assert!(matches!(office.show(2, &second), Err(NotJoined::Token)));
}

#[test]
fn a_requester_cannot_take_the_name_or_the_id_of_a_key_that_was_made_through_the_api() {
    let office = Office::open();
    office.put_key("desk", spec(None)).unwrap();
    office.put_key("signer", spec(Some(2))).unwrap();
    let desk = office.invite_requester("desk", None);
    assert!(matches!(office.show(1, &desk), Err(NotJoined::Taken(_))));
    let renamed = office.invite_requester("other", None);
    let refused = office.show(2, &renamed).unwrap_err();
    assert!(matches!(refused, NotJoined::Renamed(_, name) if name == "signer"));
    assert_eq!(office.operator.list().unwrap().len(), 2, "both stay open");
    assert_eq!(office.keys.list().len(), 2);
    office.revoke_key("desk");
    office.show(1, &desk).unwrap();
    let taken = office.put_key("desk", spec(None)).unwrap_err();
    assert!(taken.to_string().contains("requesters.yaml"), "{taken}");
}

#[test]
fn an_entry_that_is_left_out_keeps_nobody_else_from_joining() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let office = Office::open_in(dir, "").unwrap();
    office.put_key("desk", spec(None)).unwrap();
    let id = RequesterId::from_bytes(key(2)).unwrap();
    let entry = format!("api_keys: [{{name: desk, requester: {id}, scopes: [read, create]}}]\n");
    let office = office.reopen_with(&entry);
    assert_eq!(office.keys.list().len(), 1, "the one that was made");
    let bob = office.invite("bob");
    let told = office.show(1, &bob).unwrap();
    assert_eq!(told, [], "a requester that is left out is not proposed");
    let desk = office.invite_requester("desk", None);
    assert!(matches!(office.show(2, &desk), Err(NotJoined::Taken(_))));
    assert!(!office.keys.lists(&id, NOW));
}

#[test]
fn a_requester_whose_key_was_revoked_joins_with_another_key() {
    let office = Office::open();
    office.put_key("signer", spec(Some(2))).unwrap();
    office.revoke_key("signer");
    let desk = office.invite_requester("desk", None);
    assert!(matches!(office.show(2, &desk), Err(NotJoined::Revoked(_))));
    office.show(3, &desk).unwrap();
    // Nor does a line of the file bring it back.
    let id = RequesterId::from_bytes(key(2)).unwrap();
    let file = office.dir.path().join("requesters.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.contains("desk")).unwrap();
    let theirs = RequesterId::from_bytes(key(3)).unwrap().to_string();
    let line = line.replace(&theirs, &id.to_string());
    let line = line.replace("\"desk\"", "\"signer\"");
    countersign_files::replace(&file, format!("{text}{line}\n").as_bytes()).unwrap();
    let office = office.reopen();
    let names: Vec<String> = office.keys.list().into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["desk"]);
}

#[test]
fn of_several_guests_all_are_invited_or_none() {
    let office = Office::open();
    let make = |names: &[&str]| {
        let guests = names.iter().map(|name| Guest {
            role: Role::Node,
            name: (*name).into(),
            rights: None,
        });
        let guests: Vec<Guest> = guests.collect();
        office.operator.make_all(&guests, "c:1", HOUR, NOW)
    };
    let open = || office.operator.list().unwrap().len();
    let bad = make(&["a", "b", "csn1c"]);
    assert!(matches!(bad, Err(InvitationError::Name(_))));
    let twice = make(&["a", "b", "a"]);
    assert!(matches!(twice, Err(InvitationError::Twice(name)) if name == "a"));
    assert_eq!(open(), 0);
    let names: Vec<String> = (0..MOST).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    make(&names[2..]).unwrap();
    let many = make(&["a", "b", "c"]);
    let there = MOST - 2;
    assert!(matches!(many, Err(InvitationError::TooMany(open)) if open == there));
    assert_eq!(open(), there);
    make(&["a", "b"]).unwrap();
    assert_eq!(open(), MOST);
}

/// Whoever is proposed is confirmed with right words, and may then order at the node.
#[test]
fn only_requesters_that_may_order_are_proposed_to_nodes() {
    let id = |seed| RequesterId::from_bytes(key(seed)).unwrap();
    let entry = |name: &str, seed, rest: &str| {
        format!("  - {{name: {name}, requester: {}, {rest}}}\n", id(seed))
    };
    let until = format!("scopes: [create], expires: {}", NOW.0 + 5);
    let keys = [
        entry("good", 2, "scopes: [read, create]"),
        entry("auditor", 3, "scopes: [read]"),
        entry("admin", 4, "scopes: [read, admin]"),
        entry("ending", 5, &until),
        entry("unlisted", 6, "scopes: [read, create]"),
    ];
    let listed = [2, 3, 4, 5].map(|seed| id(seed).to_string()).join(", ");
    let rest = format!("requesters: [{listed}]\napi_keys:\n{}", keys.concat());
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let office = Office::open_in(dir, &rest).unwrap();
    let read = Rights::new(vec![Scope::Read], None).unwrap();
    let reader = office.invite_requester("reader", Some(read));
    assert_eq!(office.show(7, &reader).unwrap(), [], "nor to each other");
    let told = |now: u64| {
        let told = office.registry.contacts_for(&key(1), UnixMillis(now));
        let mut names: Vec<String> = told.iter().map(|it| it.name().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(told(NOW.0), ["ending", "good"]);
    assert_eq!(told(NOW.0 + 5), ["good"]);
}

#[test]
fn a_requester_has_the_rights_of_its_invitation_and_no_others() {
    let office = Office::open_in(Arc::new(tempfile::tempdir().unwrap()), "requesters: []\n");
    let office = office.unwrap();
    let wallet = countersign_protocol::KeyId::of_task(&countersign_protocol::Hash([1; 32]));
    let rights = Rights::new(vec![Scope::Read], Some(vec![wallet])).unwrap();
    let desk = office.invite_requester("desk", Some(rights.clone()));
    // Not even with its file can somebody else widen them.
    let file = office
        .dir
        .path()
        .join(FOLDER)
        .join(desk.invitation.id.to_string());
    let text = std::fs::read_to_string(&file).unwrap();
    let widened = [
        text.replace("[\"read\"]", "[\"read\",\"create\"]"),
        text.replace(",\"wallets\"", ",\"wallet\""),
        text.replace(&format!(",\"wallets\":[\"{wallet}\"]"), ""),
        text.replace("\"version\":2", "\"version\":1"),
    ];
    for other in widened {
        assert_ne!(other, text);
        std::fs::write(&file, other).unwrap();
        assert!(matches!(office.show(1, &desk), Err(NotJoined::Token)));
    }
    std::fs::write(&file, &text).unwrap();
    office.show(1, &desk).unwrap();
    let config = Config::parse("data: .\n", office.dir.path()).unwrap();
    let (_, keys) = joined::merged(&config).unwrap();
    assert_eq!(
        (&keys[0].scopes[..], &keys[0].wallets),
        (&[Scope::Read][..], &Some(vec![wallet]))
    );
    assert_eq!(
        office.registry.rules().requesters,
        Some(vec![]),
        "it orders nothing"
    );
    let usual = office.invite_requester("usual", None);
    office.show(2, &usual).unwrap();
    let (_, keys) = joined::merged(&config).unwrap();
    assert_eq!(keys[1].scopes, [Scope::Read, Scope::Create]);
    assert_eq!(keys[1].wallets, None);
}

#[test]
fn an_invitation_that_the_coordinator_could_not_read_is_not_made() {
    let office = Office::open();
    let foreign = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(office.dir.path(), Some(4711), None).unwrap();
        office.dir.path()
    } else {
        Path::new("/")
    };
    let (identity, id) = identity(9);
    let operator = Invitations::of(foreign, &identity, id).unwrap();
    let refused = operator
        .make(Role::Node, "bob", "c:1", HOUR, NOW)
        .unwrap_err();
    assert!(
        matches!(refused, InvitationError::Foreign { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("sudo -u"), "{refused}");
    assert_eq!(operator.list().unwrap(), []);
}

#[test]
fn a_file_that_cannot_be_read_is_no_invitation_and_hides_no_other() {
    let office = Office::open();
    let good = office.invite("bob");
    let bad = office.invite("carol");
    let folder = office.dir.path().join(FOLDER);
    let file = folder.join(bad.invitation.id.to_string());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let swept = office.operator.sweep(NOW).unwrap();
    assert_eq!(swept.until, Some(good.invitation.expires));
    let unreadable: Vec<InvitationId> = swept.unreadable.iter().map(|(id, _)| *id).collect();
    assert_eq!(unreadable, [bad.invitation.id]);
}

#[test]
fn a_node_stands_in_one_of_the_two_lists() {
    let office = Office::open();
    office.show(1, &office.invite("bob")).unwrap();
    let id = |seed| NodeId::from_bytes(key(seed)).unwrap();
    let dir = office.dir.clone();
    drop(office);
    for listed in [
        format!("nodes: [{{name: other, id: {}}}]\n", id(1)),
        format!("nodes: [{{name: bob, id: {}}}]\n", id(2)),
    ] {
        let config = Config::parse(&format!("data: .\n{listed}"), dir.path()).unwrap();
        let refused = config.check_joined().unwrap_err().to_string();
        assert!(refused.contains("nodes.yaml"), "{refused}");
        assert!(refused.ends_with("remove one entry"), "{refused}");
    }
}

#[test]
fn a_requester_that_joins_may_order_by_signed_requests() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let office = Office::open_in(dir, "requesters: []\n").unwrap();
    office
        .show(1, &office.invite_requester("desk", None))
        .unwrap();
    let rules = office.registry.rules();
    assert!(rules.nodes.is_empty());
    assert_eq!(rules.requesters.as_ref().unwrap().len(), 1);
    let node = office.show(2, &office.invite("bob")).unwrap();
    assert!(matches!(&node[..], [Contact::Requester { name, .. }] if name == "desk"));
    let config = Config::parse("data: .\n", office.dir.path()).unwrap();
    let (_, keys) = joined::merged(&config).unwrap();
    assert_eq!(keys[0].name, "desk");
    let again = office.invite_requester("desk", None);
    assert!(matches!(office.show(3, &again), Err(NotJoined::Taken(_))));
}

/// The MAC has 256 bits, so nobody needs to be kept from guessing.
#[test]
fn no_number_of_wrong_tokens_keeps_a_good_one_out() {
    let office = Office::open();
    let good = office.invite("bob");
    let mut wrong = good.clone();
    for number in 0..2000_u32 {
        wrong.mac[..4].copy_from_slice(&number.to_be_bytes());
        assert!(office.show(1, &wrong).is_err());
    }
    office.show(1, &good).unwrap();
    let counted = office.registry.counters().joins.read();
    assert_eq!(counted, [("joined", 1), ("refused", 2000)]);
}

#[test]
fn what_cannot_be_an_invitation_is_not_made() {
    let office = Office::open();
    let make = |name: &str, address: &str, seconds| {
        let valid = Duration::from_secs(seconds);
        office.operator.make(Role::Node, name, address, valid, NOW)
    };
    for name in ["", "csn1bob", "b\u{202e}ob", " bob"] {
        assert!(matches!(
            make(name, "c:1", 60),
            Err(InvitationError::Name(_))
        ));
    }
    for address in [
        "",
        "c",
        ":1",
        "c:0",
        "c:70000",
        "0.0.0.0:7443",
        "[::]:7443",
        "c d:1",
    ] {
        let refused = make("bob", address, 60);
        assert!(
            matches!(refused, Err(InvitationError::Address(_))),
            "{address}"
        );
    }
    for seconds in [0, 59, 7 * 24 * 3600 + 1] {
        let refused = make("bob", "c:1", seconds);
        assert!(matches!(refused, Err(InvitationError::Validity)));
    }
    for number in 0..MOST {
        make(&format!("n{number}"), "c:1", 60).unwrap();
    }
    assert!(matches!(
        make("bob", "c:1", 60),
        Err(InvitationError::TooMany(MOST))
    ));
    assert_eq!(office.operator.list().unwrap().len(), MOST);
}

#[test]
fn the_files_of_invitations_are_their_operators() {
    use std::os::unix::fs::PermissionsExt;
    let office = Office::open();
    let token = office.invite("bob");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = office.dir.path().join(FOLDER);
    let file = folder.join(token.invitation.id.to_string());
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&hex::encode(token.mac)), "no token is kept");
}
