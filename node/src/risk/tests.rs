//! The guard with small components: scopes, refusals and changed files.

use std::path::Path;

use countersign_host::{
    Custody, Key, KeyShareCheck, KeyShareSigning, Operation, OperationKind, Resharing, Signing,
    Task,
};
use countersign_protocol::{KeyId, Scheme, TaskId};
use countersign_store::Silent;

use super::watch::Reloaded;
use super::*;
use crate::config::{self, Component, PluginConfig, PluginEntry, RawGrants};
use crate::specimen::{self, CODE, REASON, Specimen, entry, keygen, question};

const NOW: UnixMillis = UnixMillis(1_000_000);
const LATER: UnixMillis = UnixMillis(NOW.0 + 60_000);

/// A node with these plugins, and everything that it stands on.
pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) journal: Journal,
    pub(super) world: World,
    pub(super) policy: Policy,
}

impl Fixture {
    /// `change` is given the folder and the policy in it.
    fn new(change: impl FnOnce(&Path, &mut Policy)) -> Self {
        let (dir, journal) = specimen::journal();
        let mut policy = specimen::policy(dir.path(), Vec::new());
        change(dir.path(), &mut policy);
        let world = World::system().at(NOW);
        Self {
            dir,
            journal,
            world,
            policy,
        }
    }

    /// One with an entry for each of these components, named by their labels.
    pub(super) fn with(plugins: &[(&str, Specimen)]) -> Self {
        Self::new(|dir, policy| {
            for (label, component) in plugins {
                let file = dir.join(format!("{label}.wasm"));
                component.write(&file);
                policy.plugins.push(entry(label, &file));
            }
        })
    }

    pub(super) fn changed(mut self, change: impl FnOnce(&mut Vec<PluginEntry>)) -> Self {
        change(&mut self.policy.plugins);
        self
    }

    pub(super) fn file(&self, label: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("{label}.wasm"))
    }

    pub(super) fn services(&self) -> Arc<NodeServices> {
        specimen::services(&self.policy, &self.journal, &self.world)
    }

    pub(super) async fn guard(&self) -> Result<Guard, GuardError> {
        Guard::load(self.policy.clone(), None, self.services()).await
    }

    async fn decide(&self, operation: Operation) -> Answer {
        decide(&self.guard().await.unwrap(), &self.world, operation).await
    }
}

/// The outcome of a question: `Err` with code, reason and plugin if it was refused; and the plugins
/// that were asked.
struct Answer {
    result: Result<(), (String, String, Option<String>)>,
    verdicts: Vec<PluginVerdict>,
    writes: Vec<StateWrite>,
}

impl Answer {
    fn asked(&self) -> Vec<&str> {
        let label = |verdict: &PluginVerdict| verdict.plugin.find(':').map_or(0, |at| at + 1);
        let verdicts = self.verdicts.iter();
        verdicts
            .map(|verdict| &verdict.plugin[label(verdict)..])
            .collect()
    }

    fn code(&self) -> &str {
        self.result.as_ref().unwrap_err().0.as_str()
    }
}

async fn decide(guard: &Guard, world: &World, operation: Operation) -> Answer {
    decide_until(guard, world, LATER, operation).await
}

async fn decide_until(
    guard: &Guard,
    world: &World,
    until: UnixMillis,
    operation: Operation,
) -> Answer {
    let question = Arc::new(question(operation));
    match guard.decide(world, until, question, "the plan").await {
        Decision::Approved {
            approved, writes, ..
        } => Answer {
            result: Ok(()),
            verdicts: approved.verdicts().to_vec(),
            writes,
        },
        Decision::Refused {
            refusal, verdicts, ..
        } => Answer {
            result: Err((refusal.code.to_string(), refusal.reason, refusal.plugin)),
            verdicts,
            writes: Vec::new(),
        },
    }
}

fn key_id(byte: u8) -> KeyId {
    KeyId::from_bytes([byte; 16]).unwrap()
}

fn key(byte: u8, scheme: Scheme) -> Key {
    specimen::key(&key_id(byte).to_string(), &scheme.to_string())
}

fn sign(key: Key) -> Operation {
    Operation::Sign(Signing {
        key,
        signers: Vec::new(),
        inputs: Vec::new(),
        payload: "message".into(),
        blind: false,
        intent: countersign_host::Intent::Opaque,
    })
}

fn reshare(key: Key) -> Operation {
    Operation::Reshare(Resharing {
        key,
        signers: Vec::new(),
        new_threshold: 2,
        new_members: Vec::new(),
    })
}

fn check_ups(keys: Vec<Key>) -> Operation {
    let check = |key| KeyShareCheck {
        key,
        message: String::new(),
    };
    Operation::KeyShareSign(KeyShareSigning {
        checks: keys.into_iter().map(check).collect(),
    })
}

#[tokio::test]
async fn a_node_without_plugins_does_not_start_unless_its_operator_wrote_that_down() {
    let mut fixture = Fixture::with(&[]);
    let refused = fixture.guard().await.err().expect("nothing guards it");
    assert!(matches!(refused, GuardError::Unguarded(_)), "{refused}");
    fixture.policy.allow_unguarded = true;
    let answer = fixture.decide(keygen()).await;
    assert_eq!(answer.result, Ok(()));
    assert!(answer.verdicts.is_empty());
}

#[tokio::test]
async fn shadows_alone_guard_nothing() {
    let fixture = Fixture::with(&[("next", Specimen::approving())])
        .changed(|plugins| plugins[0].shadow = Some(config::Shadow::Chain));
    let refused = fixture.guard().await.err().expect("nothing guards it");
    assert!(matches!(refused, GuardError::Unguarded(_)), "{refused}");
}

#[tokio::test]
async fn an_approval_names_every_plugin_with_version_digest_and_configuration() {
    let fixture = Fixture::with(&[
        ("one", Specimen::approving()),
        ("two", Specimen::approving().version("2.0.0")),
    ]);
    let answer = fixture.decide(keygen()).await;
    assert_eq!(answer.result, Ok(()));
    assert_eq!(answer.asked(), ["one", "two"]);
    let [one, two] = &answer.verdicts[..] else {
        panic!("{:?}", answer.verdicts)
    };
    assert_eq!(
        (one.version.as_str(), two.version.as_str()),
        ("1.0.0", "2.0.0")
    );
    let digest = |label: &str| {
        use sha2::{Digest, Sha256};
        let bytes = std::fs::read(fixture.file(label)).unwrap();
        Hash(Sha256::digest(bytes).into())
    };
    assert_eq!((one.digest, two.digest), (digest("one"), digest("two")));
    assert!(one.config == two.config && one.approved && one.code.is_empty());
}

#[tokio::test]
async fn one_refusal_is_enough_and_carries_the_plugins_own_code_and_reason() {
    let fixture = Fixture::with(&[
        ("one", Specimen::approving()),
        ("two", Specimen::rejecting()),
    ]);
    let answer = fixture.decide(keygen()).await;
    let refusal = (
        CODE.to_owned(),
        REASON.to_owned(),
        Some("specimen:two".to_owned()),
    );
    assert_eq!(answer.result, Err(refusal));
    assert_eq!(answer.asked(), ["one", "two"]);
    let refused = answer.verdicts.last().unwrap();
    assert_eq!(
        (
            refused.approved,
            refused.code.as_str(),
            refused.reason.as_str()
        ),
        (false, CODE, REASON)
    );
}

#[tokio::test]
async fn a_plugin_that_traps_refuses() {
    let answer = Fixture::with(&[("one", Specimen::trapping())])
        .decide(keygen())
        .await;
    assert_eq!(answer.code(), "plugin-trap");
}

#[tokio::test]
async fn a_plugin_that_is_not_there_lets_the_node_start_and_refuses_what_it_guards() {
    let fixture = Fixture::with(&[
        ("one", Specimen::approving()),
        ("two", Specimen::approving()),
    ]);
    std::fs::remove_file(fixture.file("two")).unwrap();
    let answer = fixture.decide(keygen()).await;
    assert_eq!(answer.code(), "plugin-missing");
    assert_eq!(answer.asked(), ["two"], "the broken one comes first");
}

#[tokio::test]
async fn an_entry_with_a_mistake_refuses_with_the_advice() {
    let fixture = Fixture::with(&[("one", Specimen::approving())])
        .changed(|plugins| plugins[0].grants.keys = vec!["nobody".into()]);
    let (code, reason, plugin) = fixture.decide(keygen()).await.result.unwrap_err();
    assert_eq!(
        (code.as_str(), plugin.as_deref()),
        ("plugin-config", Some("specimen:one"))
    );
    assert!(reason.ends_with("add it there"), "{reason}");
}

#[tokio::test]
async fn a_component_that_is_not_the_pinned_one_refuses() {
    let fixture = Fixture::with(&[("one", Specimen::approving())])
        .changed(|plugins| plugins[0].digest = Some([7; 32]));
    assert_eq!(fixture.decide(keygen()).await.code(), "plugin-digest");
}

#[tokio::test]
async fn a_component_that_calls_itself_otherwise_than_its_entry_refuses() {
    let fixture = Fixture::with(&[("one", Specimen::approving())])
        .changed(|plugins| plugins[0].name = "rules".into());
    assert_eq!(fixture.decide(keygen()).await.code(), "plugin-name");
}

#[tokio::test]
async fn an_operation_is_put_to_the_plugins_that_list_it_and_to_those_that_list_none() {
    let every = Specimen::approving;
    let fixture = Fixture::with(&[("all", every()), ("keysign", every()), ("reshare", every())])
        .changed(|plugins| {
            plugins[1].scope.operations = vec![OperationKind::KeySign];
            plugins[2].scope.operations = vec![OperationKind::KeyReshare];
        });
    let guard = fixture.guard().await.unwrap();
    let ed25519 = || key(1, Scheme::Ed25519);
    for (operation, asked) in [
        (keygen(), &["all"][..]),
        (sign(ed25519()), &["all", "keysign"]),
        (reshare(ed25519()), &["all", "reshare"]),
        (check_ups(vec![ed25519()]), &["all"]),
        (Operation::Other("of-tomorrow".into()), &["all"]),
    ] {
        let answer = decide(&guard, &fixture.world, operation).await;
        assert_eq!((answer.asked(), &answer.result), (asked.to_vec(), &Ok(())));
    }
}

#[tokio::test]
async fn a_wallet_is_guarded_by_the_plugins_that_list_its_key() {
    let fixture = Fixture::with(&[
        ("first", Specimen::approving()),
        ("second", Specimen::rejecting()),
    ])
    .changed(|plugins| {
        plugins[0].scope.keys = vec![key_id(1)];
        plugins[1].scope.keys = vec![key_id(2)];
    });
    let guard = fixture.guard().await.unwrap();
    let first = decide(&guard, &fixture.world, sign(key(1, Scheme::Ed25519))).await;
    assert_eq!((first.asked(), &first.result), (vec!["first"], &Ok(())));
    let second = decide(&guard, &fixture.world, sign(key(2, Scheme::Ed25519))).await;
    assert_eq!((second.asked(), second.code()), (vec!["second"], CODE));
}

#[tokio::test]
async fn a_scheme_is_guarded_by_the_plugins_that_list_it() {
    let fixture = Fixture::with(&[("one", Specimen::approving())])
        .changed(|plugins| plugins[0].scope.schemes = vec![Scheme::Taproot]);
    let guard = fixture.guard().await.unwrap();
    let taproot = decide(&guard, &fixture.world, sign(key(1, Scheme::Taproot))).await;
    assert_eq!(taproot.result, Ok(()));
    let other = decide(&guard, &fixture.world, sign(key(1, Scheme::Ed25519))).await;
    assert_eq!(other.code(), "policy-missing");
}

#[tokio::test]
async fn what_no_plugin_guards_is_refused_though_plugins_are_configured() {
    let fixture = Fixture::with(&[("one", Specimen::approving())])
        .changed(|plugins| plugins[0].scope.keys = vec![key_id(1)]);
    let guard = fixture.guard().await.unwrap();
    for operation in [keygen(), sign(key(2, Scheme::Ed25519))] {
        let answer = decide(&guard, &fixture.world, operation).await;
        let (code, reason, plugin) = answer.result.clone().unwrap_err();
        assert_eq!((code.as_str(), plugin), ("policy-missing", None));
        assert!(reason.ends_with("widen the scope of an entry"), "{reason}");
        assert!(answer.verdicts.is_empty());
    }
}

#[tokio::test]
async fn a_check_up_of_two_wallets_needs_a_guard_for_each() {
    let fixture = Fixture::with(&[("one", Specimen::approving())])
        .changed(|plugins| plugins[0].scope.keys = vec![key_id(1)]);
    let guard = fixture.guard().await.unwrap();
    let [first, second] = [1, 2].map(|byte| key(byte, Scheme::Ed25519));
    let alone = decide(&guard, &fixture.world, check_ups(vec![first.clone()])).await;
    assert_eq!(alone.result, Ok(()));
    let both = decide(&guard, &fixture.world, check_ups(vec![first, second])).await;
    assert_eq!(both.code(), "policy-missing");
}

/// Neither waits: the time is over when the plugin begins to.
#[tokio::test]
async fn a_plugin_is_waited_for_until_the_end_of_the_task_or_the_policys_deadline() {
    let fixture = Fixture::with(&[("one", Specimen::slow())]);
    let guard = fixture.guard().await.unwrap();
    let over = decide_until(&guard, &fixture.world, NOW, keygen()).await;
    assert_eq!(over.code(), "plugin-timeout", "the task is over");
    let mut fixture = fixture;
    fixture.policy.deadline = Duration::ZERO;
    fixture.policy.plugins[0].grants.wall_ms = Some(1_000);
    let guard = fixture.guard().await.unwrap();
    let late = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!(late.code(), "plugin-timeout", "the policy's time is over");
}

#[tokio::test]
async fn a_shadow_that_would_refuse_decides_nothing_and_its_dissent_is_on_record() {
    let fixture = Fixture::with(&[
        ("one", Specimen::approving()),
        ("next", Specimen::rejecting()),
    ])
    .changed(|plugins| plugins[1].shadow = Some(config::Shadow::Chain));
    let guard = fixture.guard().await.unwrap();
    let answer = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!((answer.asked(), &answer.result), (vec!["one"], &Ok(())));
    let recorded = async {
        while fixture.journal.differences(10).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    specimen::soon(recorded).await;
    let dissent = fixture.journal.differences(10).unwrap().remove(0);
    assert_eq!(
        (dissent.at, dissent.task, dissent.shadow.as_str()),
        (NOW, TaskId([1; 16]), "specimen:next")
    );
    assert_eq!((dissent.against, dissent.decided), (None, None));
    assert_eq!(
        (dissent.would_have.as_deref(), dissent.reason.as_str()),
        (Some(CODE), REASON)
    );
}

#[tokio::test]
async fn a_shadow_that_would_approve_does_not_heal_a_refusal() {
    let fixture = Fixture::with(&[
        ("one", Specimen::rejecting()),
        ("next", Specimen::approving()),
    ])
    .changed(|plugins| plugins[1].shadow = Some(config::Shadow::Entry("specimen:one".into())));
    assert_eq!(fixture.decide(keygen()).await.code(), CODE);
}

#[tokio::test]
async fn a_shadow_that_is_broken_refuses_nothing() {
    let fixture = Fixture::with(&[
        ("one", Specimen::approving()),
        ("next", Specimen::approving()),
    ])
    .changed(|plugins| plugins[1].shadow = Some(config::Shadow::Chain));
    std::fs::remove_file(fixture.file("next")).unwrap();
    assert_eq!(fixture.decide(keygen()).await.result, Ok(()));
}

#[tokio::test]
async fn what_a_plugin_remembers_within_its_quota_is_written_with_the_approval() {
    let room = CODE.len() as u64 + 100;
    for (quota, remembers) in [(room, true), (room - 1, false)] {
        let fixture = Fixture::with(&[("one", Specimen::remembering(100))])
            .changed(|plugins| plugins[0].grants.state_bytes = quota);
        let answer = fixture.decide(keygen()).await;
        assert_eq!(answer.result.is_ok(), remembers, "{quota}");
        let written: Vec<_> = answer
            .writes
            .iter()
            .map(|write| (write.plugin.as_str(), write.key.as_str(), write.expires))
            .collect();
        let expected: &[_] = if remembers {
            &[("specimen:one", CODE, None)]
        } else {
            &[]
        };
        assert_eq!(written, expected, "{quota}");
    }
}

#[tokio::test]
async fn the_quota_counts_what_the_journal_keeps_already() {
    let room = CODE.len() as u64 + 100;
    let fixture = Fixture::with(&[("one", Specimen::remembering(100))])
        .changed(|plugins| plugins[0].grants.state_bytes = room);
    remember(&fixture.journal, "specimen:one", "k");
    assert_eq!(fixture.decide(keygen()).await.code(), CODE);
    let other = Fixture::with(&[("one", Specimen::remembering(100))])
        .changed(|plugins| plugins[0].grants.state_bytes = room);
    remember(&other.journal, "specimen:two", "k");
    assert_eq!(other.decide(keygen()).await.result, Ok(()));
}

/// Writes an entry of a plugin, with an approval.
fn remember(journal: &Journal, plugin: &str, key: &str) {
    let decided = countersign_store::Decided {
        task: TaskId([9; 16]),
        hash: Hash([9; 32]),
        kind: OperationKind::KeySign,
        received_at: NOW,
        verdicts: Vec::new(),
        parties: Vec::new(),
        bytes: Vec::new(),
        evidence: Evidence::default(),
    };
    let write = StateWrite {
        plugin: plugin.into(),
        key: key.into(),
        value: Some(b"v".to_vec()),
        expires: None,
    };
    journal.approve(NOW, decided, vec![write]).unwrap();
}

#[tokio::test]
async fn a_plugin_that_may_not_remember_is_not_loaded_if_it_wants_to() {
    let fixture = Fixture::with(&[("one", Specimen::remembering(1))]);
    assert_eq!(fixture.decide(keygen()).await.code(), "plugin-not-granted");
}

#[test]
fn an_entry_expires_its_time_after_the_decision_or_never() {
    let write = |ttl_seconds| countersign_host::StateWrite {
        key: "k".into(),
        value: Some(Vec::new()),
        ttl_seconds,
    };
    let expires = |ttl| state_write(NOW, "p", &write(ttl)).expires;
    assert_eq!(expires(None), None);
    assert_eq!(expires(Some(0)), Some(NOW));
    assert_eq!(expires(Some(60)), Some(LATER));
    for beyond in [u64::MAX / 1_000 + 1, u64::MAX] {
        assert_eq!(expires(Some(beyond)), Some(UnixMillis(u64::MAX)));
    }
}

#[tokio::test]
async fn the_evidence_of_a_decision_holds_the_chain_and_each_configuration_that_judged() {
    let fixture = Fixture::with(&[("one", Specimen::approving())]).changed(|plugins| {
        plugins[0].source = PluginConfig::Inline(serde_json::json!({"limit": 7}));
    });
    let guard = fixture.guard().await.unwrap();
    let asked = Arc::new(question(keygen()));
    let decision = guard.decide(&fixture.world, LATER, asked, ()).await;
    let Decision::Approved {
        approved, evidence, ..
    } = decision
    else {
        panic!("it approves")
    };
    let documents: Vec<_> = evidence.configurations.iter().collect();
    assert!(
        documents
            .iter()
            .any(|document| *document.document == *r#"{"limit":7}"#
                && document.digest == approved.verdicts()[0].config)
    );
    let chain = guard.pipeline.as_ref().unwrap().chain();
    assert_eq!(evidence.chain, Some(Hash(chain.revision())));
    assert!(
        documents
            .iter()
            .any(|document| Some(document.digest) == evidence.chain)
    );
    assert!(!evidence.recording.is_empty());
}

async fn reload(guard: &Guard, asked: bool) -> Result<Reloaded, String> {
    let reloaded = guard.reload(asked, guard.policy()).await;
    reloaded.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_changed_component_decides_after_a_reload_and_not_before() {
    let fixture = Fixture::with(&[("one", Specimen::approving())]);
    let guard = fixture.guard().await.unwrap();
    Specimen::rejecting().write(&fixture.file("one"));
    let before = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!(before.result, Ok(()));
    let reloaded = reload(&guard, false).await.unwrap();
    let (news, chain) = reloaded.record.expect("it decides");
    assert!(news.long().contains("now in force: specimen:one 1.0.0"));
    let in_force = guard.pipeline.as_ref().unwrap().chain().revision();
    assert_eq!(chain.digest, Hash(in_force));
    let after = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!(after.code(), CODE);
}

#[tokio::test]
async fn a_component_that_was_not_written_whole_is_refused_and_the_old_one_decides() {
    let fixture = Fixture::with(&[("one", Specimen::rejecting())]);
    let guard = fixture.guard().await.unwrap();
    let whole = Specimen::approving().component();
    for half in [&whole[..whole.len() / 2], &[]] {
        std::fs::write(fixture.file("one"), half).unwrap();
        let refused = reload(&guard, false).await.unwrap_err();
        assert!(refused.contains("`specimen:one`"), "{refused}");
        let answer = decide(&guard, &fixture.world, keygen()).await;
        assert_eq!(answer.code(), CODE);
    }
    std::fs::write(fixture.file("one"), whole).unwrap();
    reload(&guard, false).await.unwrap();
    let answer = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!(answer.result, Ok(()));
}

#[tokio::test]
async fn of_two_changes_one_bad_one_keeps_both_out() {
    let fixture = Fixture::with(&[
        ("one", Specimen::approving()),
        ("two", Specimen::approving()),
    ]);
    let guard = fixture.guard().await.unwrap();
    Specimen::rejecting().write(&fixture.file("one"));
    std::fs::remove_file(fixture.file("two")).unwrap();
    let refused = reload(&guard, false).await.unwrap_err();
    assert!(refused.contains("`specimen:two`"), "{refused}");
    let answer = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!(answer.result, Ok(()), "the chain is swapped whole");
}

#[tokio::test]
async fn an_entry_that_was_broken_at_the_start_heals_with_its_file() {
    let fixture = Fixture::with(&[("one", Specimen::approving())]);
    let file = fixture.file("one");
    let whole = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let guard = fixture.guard().await.unwrap();
    assert!(matches!(
        guard.status()[0].condition,
        Condition::Broken { .. }
    ));
    std::fs::write(&file, whole).unwrap();
    reload(&guard, false).await.unwrap();
    assert_eq!(guard.status()[0].condition, Condition::InForce);
}

#[tokio::test]
async fn a_reload_that_changes_nothing_is_not_recorded() {
    let fixture = Fixture::with(&[("one", Specimen::approving())]);
    let guard = fixture.guard().await.unwrap();
    let reloaded = reload(&guard, true).await.unwrap();
    assert!(reloaded.record.is_none());
    assert_eq!(reloaded.text, "what is on disk is in force already");
}

async fn follow(guard: &Guard, policy: &Policy) -> Result<Reloaded, String> {
    assert!(policy.can_follow(&guard.policy()));
    let reloaded = guard.reload(true, Arc::new(policy.clone())).await;
    reloaded.map_err(|error| error.to_string())
}

#[tokio::test]
async fn entries_of_a_new_policy_decide_and_those_that_are_gone_do_not() {
    let mut fixture = Fixture::with(&[("one", Specimen::approving())]);
    let guard = fixture.guard().await.unwrap();
    let first = fixture.policy.clone();
    let file = fixture.file("two");
    Specimen::rejecting().write(&file);
    fixture.policy.plugins.push(entry("two", &file));
    let reloaded = follow(&guard, &fixture.policy).await.unwrap();
    let (news, _) = reloaded.record.expect("it decides");
    assert!(news.long().contains("now in force: specimen:two"));
    assert_eq!(*guard.policy(), fixture.policy);
    let answer = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!(answer.code(), CODE);
    follow(&guard, &first).await.unwrap();
    let answer = decide(&guard, &fixture.world, keygen()).await;
    assert_eq!(answer.result, Ok(()));
}

#[tokio::test]
async fn a_new_policy_of_which_an_entry_cannot_be_used_changes_nothing() {
    let fixture = Fixture::with(&[("one", Specimen::rejecting())]);
    let guard = fixture.guard().await.unwrap();
    let before = guard.policy();
    let approving = fixture.file("two");
    Specimen::approving().write(&approving);
    let missing = fixture.file("three");
    for plugins in [
        vec![entry("two", &approving), entry("three", &missing)],
        vec![PluginEntry {
            grants: RawGrants {
                keys: vec!["nobody".into()],
                ..RawGrants::default()
            },
            ..entry("two", &approving)
        }],
    ] {
        let policy = Policy {
            plugins,
            ..fixture.policy.clone()
        };
        assert!(follow(&guard, &policy).await.is_err());
        assert_eq!(guard.policy(), before);
        let answer = decide(&guard, &fixture.world, keygen()).await;
        assert_eq!(answer.code(), CODE);
    }
}

#[test]
fn the_sandbox_itself_and_its_last_guard_are_not_replaced_at_run_time() {
    let fixture = Fixture::with(&[("one", Specimen::approving())]);
    let present = &fixture.policy;
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = present.clone();
        change(&mut policy);
        policy.can_follow(present)
    };
    assert!(with(&|_| ()));
    assert!(with(&|policy| policy.deadline *= 2));
    assert!(with(&|policy| policy.plugins[0].name.push('2')));
    assert!(!with(&|policy| policy.plugins.clear()));
    assert!(!with(&|policy| policy.allow_unguarded = true));
    assert!(!with(&|policy| policy.plugin_dir.push("elsewhere")));
    assert!(!with(&|policy| policy.ca_file = Some("ca.pem".into())));
    assert!(!with(&|policy| policy.compile.cpu_seconds += 1));
    assert!(!with(&|policy| {
        policy.trusted_publishers.insert("mint".into(), [1; 32]);
    }));
    assert!(!with(&|policy| policy.custody = Custody::Operator));
    let unguarded = Policy {
        plugins: Vec::new(),
        ..present.clone()
    };
    assert!(!present.can_follow(&unguarded), "it has no sandbox");
}

#[tokio::test]
async fn keys_on_disk_are_put_in_force_only_when_an_operator_asks() {
    let mut fixture = Fixture::with(&[("one", Specimen::approving())]);
    let file = fixture.dir.path().join("secret");
    write_secret(&file, "a");
    fixture.policy.secrets = [("hook".to_owned(), file.clone())].into();
    let guard = fixture.guard().await.unwrap();
    let in_force = |guard: &Guard| guard.services().anchor("hook").unwrap().sha256;
    let first = in_force(&guard);
    write_secret(&file, "b");
    reload(&guard, false).await.unwrap();
    assert_eq!(in_force(&guard), first);
    reload(&guard, true).await.unwrap();
    assert_ne!(in_force(&guard), first);
    let second = in_force(&guard);
    std::fs::write(&file, "short").unwrap();
    let refused = reload(&guard, true).await.unwrap_err();
    assert!(refused.contains("policy.secrets.hook"), "{refused}");
    assert_eq!(in_force(&guard), second);
}

#[tokio::test]
async fn bad_components_keep_new_keys_out_of_force_too() {
    let mut fixture = Fixture::with(&[("one", Specimen::approving())]);
    let file = fixture.dir.path().join("secret");
    write_secret(&file, "a");
    fixture.policy.secrets = [("hook".to_owned(), file.clone())].into();
    let guard = fixture.guard().await.unwrap();
    let first = guard.services().anchor("hook");
    write_secret(&file, "b");
    std::fs::remove_file(fixture.file("one")).unwrap();
    assert!(reload(&guard, true).await.is_err());
    assert_eq!(guard.services().anchor("hook"), first);
}

fn write_secret(file: &Path, letter: &str) {
    std::fs::write(file, letter.repeat(64)).unwrap();
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// The revision of the chain stands for everything that decides.
#[tokio::test]
async fn every_grant_scope_and_setting_of_an_entry_changes_the_revision_of_the_chain() {
    type Change = fn(&mut PluginEntry);
    let changes: [(&str, Change); 6] = [
        ("a secret", |entry| entry.grants.keys = vec!["hook".into()]),
        ("another http", |entry| {
            entry.grants.http = vec!["https://a.example/v2/".into()]
        }),
        ("operations", |entry| {
            entry.scope.operations = vec![OperationKind::KeySign]
        }),
        ("keys", |entry| entry.scope.keys = vec![key_id(1)]),
        ("schemes", |entry| {
            entry.scope.schemes = vec![Scheme::Taproot]
        }),
        ("configuration", |entry| {
            entry.source = PluginConfig::Inline(serde_json::json!({"a": 1}))
        }),
    ];
    let mut fixture = Fixture::with(&[("one", Specimen::approving())]);
    let file = fixture.dir.path().join("secret");
    write_secret(&file, "a");
    fixture.policy.secrets = [("hook".to_owned(), file)].into();
    let host = sandbox(&fixture.policy, None).unwrap();
    let mut seen = BTreeSet::new();
    let mut revision = async |policy: &Policy| {
        let chain = check(policy, &host, fixture.services()).await.unwrap();
        seen.insert(chain.revision())
    };
    assert!(revision(&fixture.policy).await);
    assert!(!revision(&fixture.policy).await, "the same twice");
    let granted = RawGrants {
        keys: vec!["callback".into()],
        http: vec!["https://a.example/v1/".into()],
        cpu_ms: 1_233,
        wall_ms: Some(1_234),
        memory_bytes: 33 << 20,
        ..RawGrants::trial()
    };
    let every_grant = serde_json::to_value(granted).unwrap();
    for (name, value) in every_grant.as_object().unwrap() {
        let mut policy = fixture.policy.clone();
        let alone = serde_json::json!({ name: value });
        policy.plugins[0].grants = serde_json::from_value(alone).unwrap();
        assert!(revision(&policy).await, "{name}");
    }
    for (what, change) in changes {
        let mut policy = fixture.policy.clone();
        change(&mut policy.plugins[0]);
        assert!(revision(&policy).await, "{what}");
    }
}

#[tokio::test]
async fn a_check_before_the_start_names_the_entry_that_is_at_fault() {
    let fixture = Fixture::with(&[
        ("one", Specimen::approving()),
        ("two", Specimen::approving()),
    ]);
    std::fs::write(fixture.file("two"), "no component").unwrap();
    let host = sandbox(&fixture.policy, None).unwrap();
    let error = check(&fixture.policy, &host, fixture.services())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`specimen:two`"), "{error}");
}

#[tokio::test]
async fn a_start_is_noted_with_every_plugin_and_the_digest_of_the_configuration() {
    let fixture = Fixture::with(&[("one", Specimen::approving())]);
    let guard = fixture.guard().await.unwrap();
    let config = Config::parse("policy: {allow_unguarded: true}\n", fixture.dir.path()).unwrap();
    note_start(&guard, &config, &fixture.journal, NOW).unwrap();
    let noted = audited(&fixture.journal);
    let chain = guard.pipeline.as_ref().unwrap().chain();
    assert!(noted.contains(&hex::encode(chain.revision())), "{noted}");
    assert!(noted.contains("specimen:one 1.0.0 sha256:"), "{noted}");
    assert!(
        noted.contains(&format!(
            "configuration sha256:{}",
            hex::encode(config.digest())
        )),
        "{noted}"
    );
    let described = fixture.journal.configuration(&Hash(chain.revision()));
    assert_eq!(described.unwrap().unwrap().document, *chain.document());
}

#[tokio::test]
async fn a_start_without_plugins_is_noted() {
    let mut fixture = Fixture::with(&[]);
    fixture.policy.allow_unguarded = true;
    let guard = fixture.guard().await.unwrap();
    let config = Config::parse("policy: {allow_unguarded: true}\n", fixture.dir.path()).unwrap();
    note_start(&guard, &config, &fixture.journal, NOW).unwrap();
    assert!(audited(&fixture.journal).contains("the node starts without plugins"));
}

/// The newest entry of the audit log.
fn audited(journal: &Journal) -> String {
    let last = journal.audit_entries().unwrap();
    let entries = journal.audit(last.saturating_sub(1), 10).unwrap();
    format!("{:?}", entries.last().unwrap())
}

#[tokio::test]
async fn a_node_without_plugins_counts_nothing_of_what_others_sign() {
    let mut fixture = Fixture::with(&[]);
    fixture.policy.allow_unguarded = true;
    let guard = fixture.guard().await.unwrap();
    let asked: Task = question(keygen());
    let observed = guard
        .observe(&fixture.world, asked, |_| true, Instant::now())
        .await
        .unwrap();
    assert!(observed.writes.is_empty() && observed.owed.is_empty() && observed.warnings.is_empty());
}

#[tokio::test]
async fn what_was_in_force_since_the_start_stays_noted_after_a_swap() {
    let fixture = Fixture::with(&[("one", Specimen::approving())]);
    let guard = fixture.guard().await.unwrap();
    let first = guard.note();
    Specimen::rejecting().write(&fixture.file("one"));
    reload(&guard, false).await.unwrap();
    let both = guard.note();
    assert!(first.len() == 1 && both.len() == 2 && both.is_superset(&first));
}

#[test]
fn a_plugin_is_found_by_what_is_installed_under_whatever_label() {
    let installed = |label: &str, name: &str| PluginEntry {
        component: Component::Installed(name.into()),
        ..entry(label, Path::new(""))
    };
    let policy = specimen::policy(
        Path::new("/none"),
        vec![
            installed("one", "rules"),
            installed("two", "webhook"),
            entry("three", Path::new("rules")),
            installed("four", "rules"),
        ],
    );
    let names: Vec<_> = users(&policy, "rules").map(|entry| &entry.name).collect();
    assert_eq!(names, ["specimen:one", "specimen:four"]);
}
