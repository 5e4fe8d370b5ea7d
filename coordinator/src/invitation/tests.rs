//! Tokens against the files, and what is left after a kill.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_protocol::NodeId;
use countersign_protocol::contact::Contact;

use super::*;
use crate::api_key::ApiKeys;
use crate::config::Config;
use crate::registry::TaskRegistry;
use crate::store::Store;

const NOW: UnixMillis = UnixMillis(1_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

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
        let book = Book::new(config.clone(), registry.clone(), keys);
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
            dir,
        })
    }

    /// The same data directory after the process has died.
    fn reopen(self) -> Self {
        let Self {
            desk,
            registry,
            dir,
            ..
        } = self;
        drop((desk, registry));
        Self::open_in(dir, "").unwrap()
    }

    fn invite(&self, name: &str) -> Token {
        let made = self.operator.make(Role::Node, name, "c:1", HOUR, NOW);
        made.unwrap()
    }

    fn show(&self, seed: u8, token: &Token) -> Result<Vec<Contact>, NotJoined> {
        self.desk.receive(key(seed), FROM, token, NOW)
    }

    fn nodes(&self) -> Vec<String> {
        self.registry.rules().nodes.values().cloned().collect()
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
        .zip(1..)
        .map(|((field, forged), host)| {
            let from = IpAddr::from([10, 0, 0, host]);
            let refused = office.desk.receive(key(1), from, &forged, NOW).unwrap_err();
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
    for seed in [1, 2] {
        assert!(matches!(office.show(seed, &bob), Err(NotJoined::Token)));
    }
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
                        let from = IpAddr::from([10, 0, round, guest]);
                        let key = key(10 + 4 * round + guest);
                        desk.receive(key, from, token, NOW).is_ok()
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
    let late = office.desk.receive(key(1), FROM, &bob, end);
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
    assert!(matches!(office.show(1, &renamed), Err(NotJoined::Taken(_))));
    assert_eq!(office.nodes(), ["bob"]);
    office.show(2, &renamed).unwrap();
    // The answer may have been lost: whoever is registered is told again.
    office.show(1, &again).unwrap();
    assert_eq!(office.nodes().len(), 2);
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
    let invite = |name| {
        office
            .operator
            .make(Role::Requester, name, "c:1", HOUR, NOW)
    };
    office.show(1, &invite("desk").unwrap()).unwrap();
    let rules = office.registry.rules();
    assert!(rules.nodes.is_empty());
    assert_eq!(rules.requesters.as_ref().unwrap().len(), 1);
    let node = office.show(2, &office.invite("bob")).unwrap();
    assert!(matches!(&node[..], [Contact::Requester { name, .. }] if name == "desk"));
    let config = Config::parse("data: .\n", office.dir.path()).unwrap();
    let (_, keys) = joined::merged(&config).unwrap();
    assert_eq!(keys[0].name, "desk");
    let again = invite("desk").unwrap();
    assert!(matches!(office.show(3, &again), Err(NotJoined::Taken(_))));
}

#[test]
fn an_address_that_sends_many_wrong_tokens_is_not_heard_even_with_a_good_one() {
    let office = Office::open();
    let good = office.invite("bob");
    let mut wrong = good.clone();
    wrong.mac[0] ^= 1;
    for _ in 0..20 {
        assert!(office.show(1, &wrong).is_err());
    }
    assert!(matches!(office.show(1, &good), Err(NotJoined::Token)));
    let elsewhere = IpAddr::from([10, 0, 0, 1]);
    office.desk.receive(key(1), elsewhere, &good, NOW).unwrap();
    let counted = office.registry.counters().joins.read();
    assert_eq!(counted, [("joined", 1), ("refused", 21)]);
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
        Err(InvitationError::TooMany)
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
