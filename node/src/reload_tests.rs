//! SIGHUP at a node that talks to nobody: what follows the file, and what does not.

use std::path::PathBuf;

use countersign_link::Mesh;
use countersign_link::mesh::MeshConfig;
use countersign_protocol::{CoordinatorId, KeyId, NodeId, RequesterId};
use tempfile::TempDir;

use super::{complete as complete_file, *};
use crate::node_key::NodeKey;
use crate::task::fixtures::{NOW, empty_journal, identity, node};

fn requester(seed: u8) -> RequesterId {
    RequesterId::from_bytes(identity(seed).public().0).unwrap()
}

fn key() -> KeyId {
    KeyId::from_bytes([1; 16]).unwrap()
}

/// A configuration that a node could start with.
fn complete(rest: &str) -> String {
    let id = CoordinatorId::from_bytes(*node(5).as_bytes()).unwrap();
    format!(
        "coordinator: {{address: 'localhost:7443', id: {id}}}\npolicy: {{allow_unguarded: true}}\n{rest}\n"
    )
}

fn parsed(text: &str) -> Config {
    Config::parse(text, Path::new("/")).unwrap()
}

fn listed(requesters: &[u8], roster: &[u8]) -> String {
    let requesters = requesters
        .iter()
        .map(|seed| format!("{{name: r{seed}, id: {}}}", requester(*seed)));
    let roster = roster
        .iter()
        .map(|seed| format!("{{name: n{seed}, id: {}}}", node(*seed)));
    format!(
        "requesters: [{}]\nroster: [{}]",
        requesters.collect::<Vec<_>>().join(", "),
        roster.collect::<Vec<_>>().join(", ")
    )
}

/// A running node's part that follows its file.
struct Place {
    dir: TempDir,
    journal: Journal,
    file: PathBuf,
    reload: Reload,
    told: Arc<std::sync::Mutex<Vec<Config>>>,
}

impl Place {
    fn started_with(text: &str) -> Self {
        let (dir, journal) = empty_journal();
        let file = dir.path().join("node.yaml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let roster = config.roster.clone();
        let world = World::system().at(NOW);
        let own = NodeKey::new(identity(1).into()).unwrap();
        let (mesh, _) = Mesh::new(identity(1).into(), MeshConfig::default());
        mesh.set_roster(roster.keys().map(|node| PeerKey(*node.as_bytes())));
        let twins = Twins::new(own, journal.clone(), world.clone(), roster.clone()).unwrap();
        let told = Arc::<std::sync::Mutex<Vec<Config>>>::default();
        let heard = told.clone();
        let reload = Reload {
            live: Arc::new(config.into()),
            router: Router::new(mesh, roster),
            twins: twins.into(),
            journal: journal.clone(),
            world,
            told: Arc::new(move |config| heard.lock().unwrap().push(config.clone())),
        };
        Self {
            dir,
            journal,
            file,
            reload,
            told,
        }
    }

    /// With paths that start at the folder of the file.
    fn parsed(&self, text: &str) -> Config {
        Config::parse(text, self.dir.path()).unwrap()
    }

    async fn hang_up(&self, text: &str) -> Arc<Config> {
        self.hang_up_with(text, true).await
    }

    async fn hang_up_with(&self, text: &str, as_on_disk: bool) -> Arc<Config> {
        std::fs::write(&self.file, text).unwrap();
        let read = self.reload.read().await;
        self.reload.run(read, &self.guards(as_on_disk)).await;
        self.reload.live.now()
    }

    /// Those of a node that has taken up no other policy.
    fn guards(&self, as_on_disk: bool) -> Guards {
        Guards {
            policy: self.reload.live.now().policy.clone().into(),
            as_on_disk,
        }
    }

    async fn add_contacts(&self, text: &str, guards: &Guards) -> Result<TakenUp, TakeUpError> {
        std::fs::write(&self.file, text).unwrap();
        self.reload.take_contacts(guards).await
    }

    fn noted(&self) -> Vec<String> {
        let entries = self.journal.audit(0, 100).unwrap();
        let texts = entries.into_iter().map(|entry| entry.text);
        texts.filter(|text| text.contains("read again")).collect()
    }

    fn change(&self, text: &str) -> Result<Change, ConfigError> {
        std::fs::write(&self.file, text).unwrap();
        let new = complete_file(&self.file)?;
        compare(
            new,
            &self.reload.live.now(),
            &self.guards(true),
            Extent::All,
        )
    }

    /// Sections in force, held back, and for later.
    fn sections(&self, text: &str) -> [String; 3] {
        let change = self.change(text).unwrap();
        [
            change.live.join(", "),
            change.held.join(", "),
            change.later.join(", "),
        ]
    }

    fn refusal(&self, text: &str) -> String {
        self.change(text).unwrap_err().to_string()
    }
}

#[test]
fn sections_that_differ_are_named() {
    let before = "db: {path: a}\nroster: []\n";
    assert_eq!(
        changed(before, "# new comment\nroster: []\ndb:\n  path: a\n").unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(
        changed(before, "db: {path: b}\nrequesters: []\n").unwrap(),
        ["db", "requesters", "roster"]
    );
    assert!(changed(before, "db: {}\ndb: {}\n").is_err());
}

#[test]
fn a_file_that_no_node_could_start_with_is_told() {
    let place = Place::started_with(&complete(""));
    let unknown = place.refusal("policy: {alow: 1}\n");
    assert!(unknown.contains("line 1"), "{unknown}");
    let incomplete = place.refusal("policy: {allow_unguarded: true}\n");
    assert!(incomplete.contains("coordinator"), "{incomplete}");
}

#[test]
fn a_file_that_is_gone_is_told_and_not_taken_for_an_empty_one() {
    let place = Place::started_with(&complete(""));
    std::fs::remove_file(&place.file).unwrap();
    let gone = complete_file(&place.file).unwrap_err().to_string();
    assert!(gone.contains("node.yaml"), "{gone}");
}

#[test]
fn a_file_that_says_the_same_in_other_words_is_unchanged() {
    let text = complete("");
    let place = Place::started_with(&text);
    for now in [text.clone(), format!("# a comment\n{text}roster: []\n")] {
        let change = place.change(&now).unwrap();
        assert!(
            change.live.is_empty() && change.held.is_empty(),
            "{change:?}"
        );
    }
}

#[test]
fn sections_that_wait_for_a_restart_are_named_in_the_order_of_their_names() {
    let place = Place::started_with(&complete("check_up: {hours: 5}"));
    let sections = place.sections(&complete("limits: {tasks: 3, prime_sets: 2}"));
    let later = "check_up, limits.prime_sets, limits.tasks";
    assert_eq!(sections, ["", "", later]);
}

/// What was put in force is no news at the next request; what waits for a restart is.
#[tokio::test]
async fn what_is_in_force_is_no_news_and_what_waits_for_a_restart_is() {
    let place = Place::started_with(&complete(""));
    let now = complete("check_up: {hours: 5}\nlog: {std: {level: debug}}");
    place.hang_up(&now).await;
    assert_eq!(place.sections(&now), ["", "", "check_up"]);
    assert_eq!(place.sections(&complete("")), ["log", "", ""]);
}

/// Both ways: what an operator adds is permitted, and what is removed is not.
#[tokio::test]
async fn every_live_section_follows_the_file_in_both_directions() {
    let base = format!("{}\n", listed(&[1], &[2]));
    for (section, change) in [
        (
            "chains",
            "chains: {bitcoin: testnet4, solana: devnet}".to_owned(),
        ),
        ("keys", format!("keys: {{allow_blind: [{}]}}", key())),
        ("keys", format!("keys: {{allow_binary: [{}]}}", key())),
        ("limits", "limits: {ecdsa_seconds: 7}".to_owned()),
        ("log", "log: {std: {level: debug}}".to_owned()),
        ("preflight", "preflight: {allow: false}".to_owned()),
        ("preflight", "preflight: {per_minute: 7}".to_owned()),
    ] {
        let before = complete(&base);
        let after = complete(&format!("{base}{change}"));
        let place = Place::started_with(&before);
        for text in [&after, &before] {
            let now = place.hang_up(text).await;
            assert!(
                place.parsed(text).live_sections_unlike(&now).is_empty(),
                "{change}"
            );
        }
        let noted = place.noted();
        assert_eq!(noted.len(), 2, "{noted:?}");
        let named = format!("in force: {section}");
        assert!(noted.iter().all(|text| text.ends_with(&named)), "{noted:?}");
        let told = place.told.lock().unwrap();
        assert!(
            place
                .parsed(&after)
                .live_sections_unlike(&told[0])
                .is_empty()
        );
    }
}

#[tokio::test]
async fn requesters_and_peers_come_and_go_with_the_file() {
    let place = Place::started_with(&complete(&listed(&[1], &[2])));
    let now = place.hang_up(&complete(&listed(&[1, 3], &[2, 4]))).await;
    assert_eq!(now.requesters.len(), 2);
    assert_eq!(now.roster.len(), 2);
    let now = place.hang_up(&complete(&listed(&[3], &[4]))).await;
    assert!(!now.requesters.contains_key(&requester(1)) && now.requesters.len() == 1);
    assert!(!now.roster.contains_key(&node(2)) && now.roster.len() == 1);
}

#[tokio::test]
async fn the_names_of_peers_follow_the_roster_wherever_they_are_kept() {
    let place = Place::started_with(&complete(&listed(&[], &[2])));
    place.hang_up(&complete(&listed(&[], &[4]))).await;
    let follow = |peer: NodeId| {
        let key = PeerKey(*peer.as_bytes());
        [
            place.reload.router.name(key) != "?",
            place.reload.twins.knows(&peer),
        ]
    };
    assert_eq!(follow(node(4)), [true; 2]);
    assert_eq!(follow(node(2)), [false; 2]);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_put_in_force() {
    let place = Place::started_with(&complete(&listed(&[1], &[2])));
    let journal = place
        .dir
        .path()
        .join(countersign_store::journal::JOURNAL_FILE);
    std::fs::remove_file(journal).unwrap();
    assert!(place.journal.check().is_err());
    let now = place.hang_up(&complete(&listed(&[1, 3], &[2, 4]))).await;
    assert_eq!((now.requesters.len(), now.roster.len()), (1, 1));
    let told = place.told.lock().unwrap();
    assert_eq!((told.len(), told[0].requesters.len()), (1, 1));
}

/// A log file that was renamed is opened again, whatever the configuration says.
#[tokio::test]
async fn what_lies_outside_the_node_is_told_at_every_request() {
    let file = complete(&listed(&[1], &[2]));
    let place = Place::started_with(&file);
    place.hang_up(&file).await;
    place.hang_up("policy: {").await;
    let told = place.told.lock().unwrap();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|config| config.requesters.len() == 1));
}

/// Each guard, with the section that follows from a shorthand too.
fn guards() -> Vec<(&'static str, String)> {
    let other = CoordinatorId::from_bytes(*node(6).as_bytes()).unwrap();
    vec![
        ("db", "db: {path: elsewhere/secrets.redb.age}".to_owned()),
        (
            "policy",
            "policy: {allow_unguarded: true, deadline_seconds: 7}".to_owned(),
        ),
        (
            "coordinator",
            format!("coordinator: {{address: 'localhost:7443', id: {other}}}"),
        ),
        (
            "embedded_risk_control_rules",
            "embedded_risk_control_rules: {enable: true}".to_owned(),
        ),
    ]
}

/// The new section takes the place of the old one.
fn guarded_by(guard: &str, rest: &str) -> String {
    let section = guard.split(':').next().unwrap();
    let text = complete(rest);
    let others = text
        .lines()
        .filter(|line| !line.starts_with(&format!("{section}:")));
    let others: Vec<&str> = others.collect();
    format!("{}\n{guard}\n", others.join("\n"))
}

#[tokio::test]
async fn nothing_permits_more_while_what_guards_it_needs_a_restart() {
    let few = listed(&[1, 2], &[2, 3]);
    let more = format!(
        "{}\nkeys: {{allow_blind: [{}]}}\nchains: {{bitcoin: testnet4}}",
        listed(&[2, 7], &[3, 4]),
        key()
    );
    for (section, guard) in guards() {
        let place = Place::started_with(&complete(&few));
        let now = place.hang_up(&guarded_by(&guard, &more)).await;
        assert!(now.allow_blind.is_empty(), "{section}");
        assert_eq!(now.networks, parsed("").networks, "{section}");
        // What was removed is gone at once.
        let expected = [(requester(2), "r2".to_owned())].into();
        assert_eq!(now.requesters, expected, "{section}");
        assert_eq!(now.roster, [(node(3), "n3".to_owned())].into(), "{section}");
        let noted = place.noted();
        assert!(
            noted.len() == 1
                && noted[0].ends_with("not what permits more in: chains, keys, requesters, roster"),
            "{noted:?}"
        );
        // The same file again changes nothing, and without the new guard all of it counts.
        place.hang_up(&guarded_by(&guard, &more)).await;
        assert_eq!(place.noted().len(), 1);
        let now = place.hang_up(&complete(&more)).await;
        assert!(
            place
                .parsed(&complete(&more))
                .live_sections_unlike(&now)
                .is_empty()
        );
    }
}

/// The guard has loaded its plugins before the rest of the file counts.
#[tokio::test]
async fn a_policy_that_is_in_force_is_recorded_and_holds_nothing_up() {
    let place = Place::started_with(&complete(&listed(&[1], &[2])));
    let guard = "policy: {allow_unguarded: true, deadline_seconds: 7}";
    let text = guarded_by(guard, &listed(&[1, 3], &[2]));
    std::fs::write(&place.file, &text).unwrap();
    let guards = Guards {
        policy: place.parsed(&text).policy.into(),
        as_on_disk: true,
    };
    let read = place.reload.read().await;
    place.reload.run(read, &guards).await;
    let now = place.reload.live.now();
    assert_eq!(now.requesters.len(), 2);
    assert_eq!(now.policy, *guards.policy);
    let noted = place.noted();
    assert!(
        noted[0].ends_with("in force: policy, requesters"),
        "{noted:?}"
    );
}

#[tokio::test]
async fn contacts_are_put_in_force_without_any_other_edit() {
    let place = Place::started_with(&complete(&listed(&[1], &[2])));
    let more = format!(
        "{}\nkeys: {{allow_blind: [{}]}}\nlog: {{std: {{level: debug}}}}",
        listed(&[1, 3], &[2, 4]),
        key()
    );
    let guards = place.guards(true);
    let text = complete(&more);
    let taken = place.add_contacts(&text, &guards);
    let taken = taken.await.unwrap();
    assert_eq!(taken.live, ["requesters", "roster"]);
    assert!(taken.held.is_empty());
    let now = place.reload.live.now();
    assert_eq!((now.requesters.len(), now.roster.len()), (2, 2));
    assert!(now.allow_blind.is_empty());
    assert_eq!(place.noted().len(), 1);
}

#[tokio::test]
async fn contacts_wait_for_the_guards_of_the_same_file() {
    let more = listed(&[1, 3], &[2]);
    let guard = "policy: {allow_unguarded: true, deadline_seconds: 7}";
    for (text, as_on_disk) in [(guarded_by(guard, &more), true), (complete(&more), false)] {
        let place = Place::started_with(&complete(&listed(&[1], &[2])));
        let guards = place.guards(as_on_disk);
        let taken = place.add_contacts(&text, &guards).await.unwrap();
        let held = vec!["requesters".to_owned()];
        assert_eq!(taken, TakenUp { live: vec![], held });
        assert_eq!(place.reload.live.now().requesters.len(), 1);
    }
}

#[tokio::test]
async fn who_adds_contacts_to_a_file_with_an_error_is_told_and_nothing_changes() {
    let place = Place::started_with(&complete(&listed(&[1], &[2])));
    let guards = place.guards(true);
    let bad = complete(&format!("{}\ntypo: 1", listed(&[1, 3], &[2])));
    let refused = place.add_contacts(&bad, &guards).await.unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("typo"), "{refused}");
    assert_eq!(place.reload.live.now().requesters.len(), 1);
}

#[tokio::test]
async fn nothing_permits_more_while_the_plugins_files_are_refused() {
    let place = Place::started_with(&complete(&listed(&[1], &[2])));
    let more = complete(&listed(&[1, 3], &[2]));
    let now = place.hang_up_with(&more, false).await;
    assert_eq!(now.requesters.len(), 1);
    assert!(place.noted().is_empty());
    let now = place.hang_up_with(&more, true).await;
    assert_eq!(now.requesters.len(), 2);
}

#[tokio::test]
async fn a_section_that_guards_nothing_holds_nothing_up() {
    let place = Place::started_with(&complete(&listed(&[1], &[2])));
    let more = format!("{}\ncheck_up: {{hours: 5}}", listed(&[1, 3], &[2]));
    let now = place.hang_up(&complete(&more)).await;
    assert_eq!(now.requesters.len(), 2);
}
