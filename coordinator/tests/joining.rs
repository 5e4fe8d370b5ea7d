//! Guests at a coordinator over real QUIC: they show an invitation, or are sent away.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_coordinator::invitation::Invitations;
use countersign_coordinator::{Config, Coordinator, identity};
use countersign_link::dial::{self, DialError};
use countersign_link::{Closed, Identity, Link, MAX_GUEST_FRAME, PeerKey};
use countersign_protocol::contact::{Contact, Role};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::invitation::Token;
use countersign_protocol::{NodeId, PROTOCOL_VERSION, UnixMillis, decode, encode};

const HOUR: Duration = Duration::from_secs(3600);

fn key(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]).unwrap())
}

fn contact(seed: u8, name: &str) -> Contact {
    Contact::Node {
        name: name.into(),
        id: NodeId::from_bytes(key(seed).public().0).unwrap(),
    }
}

/// A coordinator that knows node 1, and its operator.
struct Office {
    coordinator: Coordinator,
    operator: Invitations,
    dir: tempfile::TempDir,
}

impl Office {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("identity.key");
        identity::create(&file).unwrap();
        let (identity, id) = identity::load(&file).unwrap();
        let operator = Invitations::of(dir.path(), &identity, id).unwrap();
        let coordinator = Coordinator::start(config(dir.path(), "")).await.unwrap();
        Self {
            coordinator,
            operator,
            dir,
        }
    }

    fn invite(&self, name: &str) -> Token {
        self.invite_as(Role::Node, name)
    }

    fn invite_as(&self, role: Role, name: &str) -> Token {
        let address = self.coordinator.quic.to_string();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let now = UnixMillis(now.as_millis() as u64);
        let made = self.operator.make(role, name, &address, HOUR, now);
        made.unwrap()
    }

    async fn dial(&self, seed: u8, frame: &[u8]) -> Result<Link, DialError> {
        let coordinator = PeerKey(*self.coordinator.id.as_bytes());
        dial::connect(self.coordinator.quic, &key(seed), coordinator, frame).await
    }

    async fn say(&self, seed: u8, frame: &FromNode) -> Result<Link, DialError> {
        self.dial(seed, &encode(frame)).await
    }

    /// Shows a token. Guests are let in a moment after the first invitation was made.
    async fn show(&self, seed: u8, token: &Token) -> ToNode {
        let join = FromNode::Join {
            token: Box::new(token.clone()),
        };
        loop {
            match self.say(seed, &join).await {
                Ok(link) => return decode(&link.welcome).unwrap(),
                Err(DialError::Closed(Closed::NotAdmitted)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    async fn hello(&self, seed: u8) -> Result<Link, DialError> {
        let hello = FromNode::Hello {
            protocol: PROTOCOL_VERSION,
            software: "test".into(),
            pending: vec![],
        };
        self.say(seed, &hello).await
    }
}

fn config(dir: &Path, rest: &str) -> Config {
    let known = NodeId::from_bytes(key(1).public().0).unwrap();
    let nodes = format!("nodes: [{{name: alice, id: {known}}}]");
    let text =
        format!("listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\n{nodes}\n{rest}");
    Config::parse(&text, dir).unwrap()
}

fn is_not_admitted(tried: &Result<Link, DialError>) -> bool {
    matches!(tried, Err(DialError::Closed(Closed::NotAdmitted)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_joins_and_is_a_node_without_a_restart_until_its_line_is_deleted() {
    let mut office = Office::open().await;
    assert!(is_not_admitted(&office.hello(2).await), "nobody is invited");
    let token = office.invite("bob");
    let told = office.show(2, &token).await;
    let contacts = vec![contact(1, "alice")];
    assert_eq!(told, ToNode::Contacts { contacts });
    let link = office.hello(2).await.unwrap();
    let welcome = decode(&link.welcome).unwrap();
    assert!(matches!(welcome, ToNode::Welcome { .. }));
    // The only invitation is spent, so strangers are refused at the handshake again.
    assert!(is_not_admitted(&office.hello(3).await));
    let join = FromNode::Join {
        token: Box::new(token.clone()),
    };
    assert!(is_not_admitted(&office.say(3, &join).await));

    let base = config(office.dir.path(), "");
    office.coordinator.reload(base.clone());
    assert!(office.hello(2).await.is_ok(), "a reload keeps it");
    std::fs::remove_file(office.dir.path().join("nodes.yaml")).unwrap();
    office.coordinator.reload(base);
    assert!(is_not_admitted(&office.hello(2).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_shows_its_token_again_is_told_its_contacts_again() {
    let office = Office::open().await;
    let token = office.invite("bob");
    let first = office.show(2, &token).await;
    assert_eq!(office.show(2, &token).await, first);
    let asked = office.say(1, &FromNode::AskContacts).await.unwrap();
    let contacts = vec![contact(2, "bob")];
    assert_eq!(
        decode::<ToNode>(&asked.welcome).unwrap(),
        ToNode::Contacts { contacts }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_has_one_answer_and_leaves_the_invitation() {
    let office = Office::open().await;
    let good = office.invite("bob");
    let mut forged = good.clone();
    forged.mac[31] ^= 1;
    let mut renamed = good.clone();
    renamed.invitation.name = "alice".into();
    let mut answers = Vec::new();
    for wrong in [forged, renamed] {
        match office.show(2, &wrong).await {
            ToNode::NotJoined { reason } => answers.push(reason),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers[0], answers[1]);
    let told = office.show(2, &good).await;
    assert!(matches!(told, ToNode::Contacts { .. }), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_can_do_nothing_but_show_an_invitation() {
    let office = Office::open().await;
    let token = office.invite("bob");
    let mut wrong = token.clone();
    wrong.mac[0] ^= 1;
    let refused = office.show(3, &wrong).await;
    assert!(matches!(refused, ToNode::NotJoined { .. }), "guests are in");
    let hello = office.hello(2).await.unwrap_err().to_string();
    assert!(hello.contains("not its invitation"), "{hello}");
    let status = office.say(2, &FromNode::AskContacts).await.unwrap_err();
    assert!(
        status.to_string().contains("not its invitation"),
        "{status}"
    );
    let nonsense = office.dial(2, &[0xff; 40]).await.unwrap_err().to_string();
    assert!(nonsense.contains("cannot be read"), "{nonsense}");
    let long = office.dial(2, &[0; MAX_GUEST_FRAME + 1]).await;
    assert!(long.unwrap_err().to_string().contains("over the bound"));
    let told = office.show(2, &token).await;
    assert!(matches!(told, ToNode::Contacts { .. }), "{told:?}");
}

fn join(token: &Token) -> FromNode {
    let token = Box::new(token.clone());
    FromNode::Join { token }
}

/// Strangers that have had their answer and do not leave.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_in_all_seats_keep_no_guest_out_and_one_that_joined_may_stay() {
    let office = Office::open().await;
    let bob = office.invite("bob");
    let mut wrong = office.invite("carol");
    wrong.mac[0] ^= 1;
    let refused = office.show(99, &wrong).await;
    assert!(matches!(refused, ToNode::NotJoined { .. }), "guests are in");
    let mut strangers = Vec::new();
    for seed in 10..18 {
        strangers.push(office.say(seed, &join(&wrong)).await.unwrap());
    }
    let guest = office.say(2, &join(&bob)).await.unwrap();
    let told = decode(&guest.welcome).unwrap();
    assert!(matches!(told, ToNode::Contacts { .. }), "{told:?}");
    for seed in 20..28 {
        strangers.push(office.say(seed, &join(&wrong)).await.unwrap());
    }
    let end = tokio::time::timeout(Duration::ZERO, guest.handle.closed());
    assert!(end.await.is_err(), "it leaves by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_whose_invitations_were_good_give_way_to_nobody() {
    let office = Office::open().await;
    let tokens: Vec<Token> = (0..9).map(|n| office.invite(&format!("n{n}"))).collect();
    let mut wrong = tokens[8].clone();
    wrong.mac[0] ^= 1;
    let refused = office.show(99, &wrong).await;
    assert!(matches!(refused, ToNode::NotJoined { .. }), "guests are in");
    let mut guests = Vec::new();
    for (seed, token) in (10..18).zip(&tokens) {
        guests.push(office.say(seed, &join(token)).await.unwrap());
    }
    let late = office.say(18, &join(&tokens[8])).await.unwrap_err();
    assert!(late.to_string().contains("too many guests"), "{late}");
    for guest in &guests {
        let end = tokio::time::timeout(Duration::ZERO, guest.handle.closed());
        assert!(end.await.is_err(), "it leaves by itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asked_hears_of_everybody_who_joins_later_and_others_are_told_nothing() {
    let office = Office::open().await;
    let bob = office.invite("bob");
    office.show(2, &bob).await;
    let mut asks = office.hello(1).await.unwrap();
    let mut silent = office.hello(2).await.unwrap();
    let ask = encode(&FromNode::AskContacts);
    asks.control.sender.send(&ask).await.unwrap();
    let mut hear = async || {
        let frame = asks.control.receiver.recv().await.unwrap().unwrap();
        decode::<ToNode>(&frame).unwrap()
    };
    let contacts = vec![contact(2, "bob")];
    assert_eq!(hear().await, ToNode::Contacts { contacts });
    let carol = office.invite("carol");
    office.show(3, &carol).await;
    let ToNode::Contacts { contacts } = hear().await else {
        panic!("no contacts")
    };
    assert!(contacts.contains(&contact(3, "carol")) && contacts.len() == 2);
    // Whatever it was told before would come before the answer.
    let ask = encode(&FromNode::Draining { draining: true });
    silent.control.sender.send(&ask).await.unwrap();
    let first = silent.control.receiver.recv().await.unwrap().unwrap();
    let answer = ToNode::Draining { draining: true };
    assert_eq!(decode::<ToNode>(&first).unwrap(), answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_its_own_name_and_leaves_the_invitations_of_others() {
    let office = Office::open().await;
    let bob = office.invite("bob");
    let ToNode::NotJoined { reason } = office.show(1, &bob).await else {
        panic!("the node `alice` is not `bob`")
    };
    assert!(reason.contains("the node `alice`"), "{reason}");
    let mut forged = office.invite("alice");
    forged.mac[0] ^= 1;
    let told = office.show(1, &forged).await;
    assert!(matches!(told, ToNode::Contacts { .. }), "{told:?}");
    let told = office.show(2, &bob).await;
    assert!(matches!(told, ToNode::Contacts { .. }), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_whose_answer_was_lost_is_told_again_and_strangers_are_not() {
    let office = Office::open().await;
    let token = office.invite_as(Role::Requester, "desk");
    let first = office.show(2, &token).await;
    assert!(matches!(first, ToNode::Contacts { .. }), "{first:?}");
    assert_eq!(office.show(2, &token).await, first);
    let join = FromNode::Join {
        token: Box::new(token),
    };
    assert!(is_not_admitted(&office.say(3, &join).await));
}
