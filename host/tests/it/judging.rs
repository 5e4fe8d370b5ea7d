//! The say of each entry in a decision: broken entries, scopes, shadows, turns, probes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_host::{
    Anchor, Code, Condition, Decision, Difference, EntrySpec, Grants, HttpRequest, Key, KeyError,
    LocalServices, Memory, Operation, OperationKind, Pipeline, PluginSpec, Role, Scope, Sending,
    Services, Shadow, Signing, StateError, Task,
};
use serde_json::json;

use crate::callback;
use crate::guests::{
    closed_rules, component, host, keygen, open_rules, rogue, services, soon, task as any_task,
};
use crate::server::{Server, http, sound};

const MISSING: &str = "no-such-file.wasm";

fn broken() -> PluginSpec {
    PluginSpec {
        file: MISSING.into(),
        ..open_rules()
    }
}

fn named(name: &str, spec: PluginSpec) -> PluginSpec {
    PluginSpec {
        name: name.into(),
        ..spec
    }
}

fn scoped(scope: Scope, spec: PluginSpec) -> PluginSpec {
    PluginSpec {
        role: Role {
            scope,
            ..Role::default()
        },
        ..spec
    }
}

fn on(operation: OperationKind) -> Scope {
    Scope {
        operations: vec![operation],
        ..Scope::default()
    }
}

/// Approves this many tasks; keeps state, and needs no network.
fn ledger(limit: usize) -> PluginSpec {
    PluginSpec {
        name: "ledger".into(),
        file: component("countersign-guest-ledger"),
        config: json!({ "limit": limit }),
        grants: Grants {
            state_bytes: 100_000,
            ..Grants::default()
        },
        ..open_rules()
    }
}

fn keysign(key: &str) -> Task {
    let key = Key {
        id: key.into(),
        scheme: "ed25519".into(),
        curve: "ed25519".into(),
        root_public_key: "cpub".into(),
        threshold: 2,
        members: vec!["a".into(), "b".into()],
    };
    any_task(Operation::Sign(Signing {
        key,
        signers: vec!["a".into(), "b".into()],
        inputs: Vec::new(),
        payload: "digest".into(),
        blind: true,
        intent: countersign_host::Intent::Opaque,
    }))
}

async fn pipeline(specs: Vec<PluginSpec>) -> Pipeline {
    Pipeline::load(host(), specs, services()).await.unwrap()
}

async fn decide(pipeline: &Pipeline, task: &Task) -> Decision {
    pipeline.decide(task, soon()).await.0
}

fn refused(decision: &Decision) -> (Option<String>, String) {
    let refusal = decision.refusal().expect("approved");
    (refusal.plugin, refusal.code)
}

#[tokio::test]
async fn only_what_a_broken_plugin_guards_is_refused() {
    let keygens = scoped(on(OperationKind::KeyGen), named("rules:keygen", broken()));
    let keysigns = scoped(on(OperationKind::KeySign), rogue(json!({})));
    let pipeline = pipeline(vec![keygens, keysigns]).await;
    let decision = decide(&pipeline, &keygen()).await;
    assert_eq!(
        refused(&decision),
        (Some("rules:keygen".into()), "plugin-missing".into())
    );
    assert!(decide(&pipeline, &keysign("k")).await.approved());
    let status = &pipeline.status()[0];
    let Condition::Broken { code, reason } = &status.condition else {
        panic!("{status:?}")
    };
    assert_eq!(
        (*code, reason.contains(MISSING), status.counts.failed),
        (Code::Missing, true, 1),
        "{reason}"
    );
    assert_eq!(status.last_error.as_ref().unwrap().code, Code::Missing);
    assert_eq!(pipeline.status()[1].condition, Condition::InForce);
    assert_eq!(pipeline.status()[1].counts.approved, 1);
}

#[tokio::test]
async fn an_entry_that_cannot_be_configured_refuses_with_its_reason() {
    let reason = "cannot read its config_file";
    let unusable = EntrySpec::Unusable {
        name: "rules".into(),
        role: Role::default(),
        reason: reason.into(),
    };
    let pipeline = Pipeline::load(host(), vec![unusable], services())
        .await
        .unwrap();
    let refusal = decide(&pipeline, &keygen()).await.refusal().unwrap();
    assert_eq!(
        (refusal.code.as_str(), refusal.reason.as_str()),
        ("plugin-config", reason)
    );
}

#[tokio::test]
async fn what_is_broken_is_tried_again_and_does_not_hold_others_up() {
    let pipeline = pipeline(vec![named("rules:a", broken()), open_rules()]).await;
    // Still broken: the other entry's new configuration takes effect all the same.
    pipeline
        .reload(vec![named("rules:a", broken()), closed_rules()])
        .await
        .unwrap();
    assert_eq!(
        refused(&decide(&pipeline, &keygen()).await).0.as_deref(),
        Some("rules:a")
    );
    pipeline
        .reload(vec![named("rules:a", open_rules()), open_rules()])
        .await
        .unwrap();
    assert!(decide(&pipeline, &keygen()).await.approved());
    // A failed reload does not break the pipeline in force.
    let error = pipeline
        .reload(vec![named("rules:a", broken()), open_rules()])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::Missing));
    assert!(decide(&pipeline, &keygen()).await.approved());
    assert_eq!(
        pipeline.status()[0].counts.approved,
        2,
        "counters outlive a version"
    );
}

#[tokio::test]
async fn a_task_that_no_entry_guards_is_refused() {
    let pipeline = pipeline(vec![scoped(on(OperationKind::KeyGen), open_rules())]).await;
    assert!(decide(&pipeline, &keygen()).await.approved());
    assert_eq!(
        refused(&decide(&pipeline, &keysign("k")).await),
        (None, "policy-missing".into())
    );
    let other = any_task(Operation::Other("melt".into()));
    assert_eq!(
        refused(&decide(&pipeline, &other).await),
        (None, "policy-missing".into())
    );
}

#[tokio::test]
async fn scopes_go_by_operation_key_and_scheme() {
    let scope = |operations: &[OperationKind], keys: &[&str], schemes: &[&str]| Scope {
        operations: operations.to_vec(),
        keys: keys.iter().map(ToString::to_string).collect(),
        schemes: schemes.iter().map(ToString::to_string).collect(),
    };
    for (scope, guarded) in [
        (scope(&[], &[], &[]), true),
        (scope(&[OperationKind::KeySign], &["k"], &["ed25519"]), true),
        (scope(&[], &["other", "k"], &[]), true),
        (scope(&[OperationKind::KeyReshare], &[], &[]), false),
        (scope(&[], &["other"], &[]), false),
        (scope(&[], &[], &["taproot"]), false),
        (
            scope(&[OperationKind::KeySign], &["k"], &["taproot"]),
            false,
        ),
    ] {
        let pipeline = pipeline(vec![scoped(scope.clone(), rogue(json!({})))]).await;
        assert_eq!(
            decide(&pipeline, &keysign("k")).await.approved(),
            guarded,
            "{scope:?}"
        );
    }
}

#[tokio::test]
async fn every_key_of_a_check_up_needs_a_guard() {
    let check = |key: &str| {
        let Operation::Sign(signing) = keysign(key).operation else {
            unreachable!()
        };
        countersign_host::KeyShareCheck {
            key: signing.key,
            message: "m".into(),
        }
    };
    let of = |keys: &[&str]| {
        let checks = keys.iter().map(|key| check(key)).collect();
        any_task(Operation::KeyShareSign(countersign_host::KeyShareSigning {
            checks,
        }))
    };
    let scope = Scope {
        keys: vec!["a".into()],
        ..Scope::default()
    };
    let pipeline = pipeline(vec![scoped(scope, rogue(json!({})))]).await;
    assert!(decide(&pipeline, &of(&["a"])).await.approved());
    assert_eq!(
        refused(&decide(&pipeline, &of(&["a", "b"])).await),
        (None, "policy-missing".into())
    );
}

/// Services that keep what shadows would have decided.
struct Listening {
    local: Arc<LocalServices>,
    heard: Mutex<Vec<Difference>>,
}

impl Services for Listening {
    fn now(&self) -> u64 {
        self.local.now()
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.local.sign(key, algorithm, data)
    }

    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        tag: &[u8],
    ) -> Result<bool, KeyError> {
        self.local.verify(key, algorithm, data, tag)
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.local.public_key(key)
    }

    fn anchor(&self, key: &str) -> Option<Anchor> {
        self.local.anchor(key)
    }

    fn authorities(&self) -> Option<Anchor> {
        self.local.authorities()
    }

    fn send(&self, request: HttpRequest) -> Sending {
        self.local.send(request)
    }

    fn memory(&self, plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        self.local.memory(plugin)
    }

    fn differs(&self, difference: Difference) {
        self.heard.lock().unwrap().push(difference);
    }
}

fn listening() -> Arc<Listening> {
    Arc::new(Listening {
        local: services(),
        heard: Mutex::default(),
    })
}

fn shadow(of: Shadow, spec: PluginSpec) -> PluginSpec {
    PluginSpec {
        role: Role {
            shadow: Some(of),
            ..Role::default()
        },
        ..named(&format!("{}:next", spec.name), spec)
    }
}

/// Waits until the shadow was asked this many times.
async fn asked(pipeline: &Pipeline, entry: usize, times: u64) {
    let asked = || {
        let counts = pipeline.status()[entry].counts.clone();
        counts.approved + counts.rejected + counts.failed
    };
    let until = Instant::now() + Duration::from_secs(20);
    while asked() < times {
        assert!(Instant::now() < until, "{:?}", pipeline.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_shadow_decides_nothing_and_its_difference_is_told() {
    let services = listening();
    let specs = vec![
        open_rules(),
        shadow(Shadow::Entry("rules".into()), closed_rules()),
    ];
    let pipeline = Pipeline::load(host(), specs, services.clone())
        .await
        .unwrap();
    let decision = decide(&pipeline, &keygen()).await;
    assert!(decision.approved());
    assert_eq!(decision.evaluations().len(), 1);
    asked(&pipeline, 1, 1).await;
    let heard = services.heard.lock().unwrap();
    assert_eq!(
        (heard.len(), heard[0].against.as_deref(), &heard[0].decided),
        (1, Some("rules"), &None)
    );
    assert_eq!(
        heard[0].evaluation.verdict.code(),
        Some("keygen-reject-all")
    );
    assert_eq!(pipeline.status()[1].counts.differed, 1);
    assert_eq!(pipeline.status()[1].condition, Condition::Shadow);
}

#[tokio::test]
async fn a_shadow_that_agrees_is_not_told_of() {
    let services = listening();
    let specs = vec![closed_rules(), shadow(Shadow::Chain, closed_rules())];
    let pipeline = Pipeline::load(host(), specs, services.clone())
        .await
        .unwrap();
    assert!(!decide(&pipeline, &keygen()).await.approved());
    asked(&pipeline, 1, 1).await;
    assert!(services.heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_shadow_that_fails_hangs_or_is_broken_refuses_nothing() {
    for bad in [
        shadow(Shadow::Chain, rogue(json!({"evaluate": "panic"}))),
        shadow(
            Shadow::Chain,
            rogue(json!({"evaluate": {"sleep": 3_600_000}})),
        ),
        shadow(Shadow::Chain, broken()),
    ] {
        let pipeline = pipeline(vec![open_rules(), bad]).await;
        let started = Instant::now();
        assert!(decide(&pipeline, &keygen()).await.approved());
        assert!(
            started.elapsed() < Duration::from_millis(1000),
            "{:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn shadows_alone_guard_nothing() {
    let pipeline = pipeline(vec![shadow(Shadow::Chain, open_rules())]).await;
    assert_eq!(
        refused(&decide(&pipeline, &keygen()).await),
        (None, "policy-missing".into())
    );
}

/// It sees the memory of the entry that it is compared with as that one saw it, and leaves no trace
/// in it.
#[tokio::test]
async fn a_shadow_remembers_what_its_entry_remembers_and_nothing_of_its_own() {
    let services = listening();
    let specs = vec![ledger(2), shadow(Shadow::Entry("ledger".into()), ledger(1))];
    let pipeline = Pipeline::load(host(), specs, services.clone())
        .await
        .unwrap();
    for (number, expected) in [(1, 0), (2, 1)] {
        let (decision, turn) = pipeline
            .decide(
                &Task {
                    id: format!("t{number}"),
                    ..keygen()
                },
                soon(),
            )
            .await;
        assert!(decision.approved());
        decision
            .evaluations()
            .iter()
            .for_each(|evaluation| services.local.commit(evaluation));
        turn.release();
        asked(&pipeline, 1, number).await;
        assert_eq!(
            services.heard.lock().unwrap().len(),
            expected,
            "task {number}"
        );
    }
    assert!(
        services
            .local
            .memory("ledger:next")
            .unwrap()
            .entries("", 9)
            .unwrap()
            .is_empty()
    );
}

/// The limit admits either of two tasks alone, but not both.
async fn race(specs: Vec<PluginSpec>, rounds: usize) {
    let services = services();
    // Kept, so that it is compiled once.
    let _compiled = host().load(&ledger(0), services.clone()).await.unwrap();
    for round in 0..rounds {
        let limit = round + 1;
        let specs = specs.iter().cloned().map(|spec| match spec.name.as_str() {
            "ledger" => ledger(limit),
            _ => spec,
        });
        let pipeline = Arc::new(
            Pipeline::load(host(), specs.collect(), services.clone())
                .await
                .unwrap(),
        );
        let one = |name: &'static str| {
            let pipeline = pipeline.clone();
            let services = services.clone();
            tokio::spawn(async move {
                let task = Task {
                    id: format!("{round}{name}"),
                    ..keygen()
                };
                let (decision, turn) = pipeline.decide(&task, soon()).await;
                if decision.approved() {
                    // As slow as a disk.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    decision
                        .evaluations()
                        .iter()
                        .for_each(|evaluation| services.commit(evaluation));
                }
                turn.release();
                decision
            })
        };
        let decisions = [one("a"), one("b")];
        let mut approved = 0;
        for decision in decisions {
            let decision = decision.await.unwrap();
            approved += usize::from(decision.approved());
            assert!(
                decision.approved() || refused(&decision).1 == "limit",
                "{:?}",
                decision.refusal()
            );
        }
        assert_eq!(approved, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_tasks_that_do_not_fit_together_one_is_approved() {
    race(vec![ledger(0), open_rules()], 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_tasks_that_wait_for_an_approver_meanwhile_one_is_approved_too() {
    let server = Server::start(|_, received| http("200 OK", &sound(received, "APPROVE"))).await;
    let url = format!("http://{}/v2/check", server.address);
    race(vec![ledger(0), callback::spec(&url, 0)], 20).await;
    assert!(
        server.received().len() > 20,
        "the second task waited for the approver of the first"
    );
}

#[tokio::test]
async fn a_turn_that_does_not_come_is_a_refusal() {
    let pipeline = pipeline(vec![ledger(9)]).await;
    let (first, turn) = pipeline.decide(&keygen(), soon()).await;
    assert!(first.approved());
    let (second, _) = pipeline
        .decide(&keygen(), Instant::now() + Duration::from_millis(50))
        .await;
    assert_eq!(refused(&second), (None, "plugin-busy".into()));
    turn.release();
    assert!(decide(&pipeline, &keygen()).await.approved());
}

#[tokio::test]
async fn probes_are_shown_and_decide_nothing() {
    let spec = rogue(json!({"probe": {"fail": "unavailable"}}));
    let role = Role {
        monitor: Some(Duration::from_secs(3600)),
        ..Role::default()
    };
    let pipeline = Arc::new(pipeline(vec![PluginSpec { role, ..spec }]).await);
    let monitor = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { pipeline.monitor().await }
    });
    let until = Instant::now() + Duration::from_secs(10);
    let health = loop {
        match pipeline.status()[0].health.clone() {
            Some(health) => break health,
            None => assert!(Instant::now() < until, "nobody probed"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    monitor.abort();
    assert_eq!(health.result.unwrap_err().0, Code::Unavailable);
    assert!(decide(&pipeline, &keygen()).await.approved());
}
