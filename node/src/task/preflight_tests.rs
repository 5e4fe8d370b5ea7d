//! Preflights at one node that has the wallet's share, with plugins that do one thing each.

use countersign_protocol::{KeyShareSign, Operation, Task, TaskId};
use countersign_store::KeyStatus;
use countersign_store::journal::JOURNAL_FILE;
use tempfile::TempDir;

use super::*;
use crate::config::RawGrants;
use crate::risk::Guard;
use crate::specimen::{self, CODE, Specimen, entry, soon};
use crate::task::fixtures::{
    Parts, TASK, config_listing, guard, identity, key, node, services, sign, task,
};
use crate::task::{Offered, TaskService};

/// A node at work, with what it reports.
struct Node {
    service: Arc<TaskService>,
    guard: Arc<Guard>,
    parts: Parts,
    _plugins: TempDir,
}

/// A plugin by its label, and the addresses that it may call.
type Entry<'a> = (&'a str, Specimen, &'a [&'a str]);

fn local(label: &str, component: Specimen) -> Entry<'_> {
    (label, component, &[])
}

fn remote<'a>(label: &'a str, component: Specimen, http: &'a [&'a str]) -> Entry<'a> {
    (label, component, http)
}

impl Node {
    async fn with(more: &str, plugins: Vec<Entry<'_>>) -> Self {
        let parts = Parts::holding(KeyStatus::Active);
        let folder = tempfile::tempdir().unwrap();
        let guard = if plugins.is_empty() {
            guard()
        } else {
            loaded(&parts, &folder, plugins).await
        };
        let services = Services {
            guard: guard.clone(),
            ..services(&parts, more)
        };
        Self {
            service: TaskService::new(services),
            guard,
            parts,
            _plugins: folder,
        }
    }

    /// Without plugins, and with one more requester.
    fn with_requester(id: &countersign_protocol::RequesterId, more: &str) -> Self {
        let parts = Parts::holding(KeyStatus::Active);
        let services = services(&parts, "");
        services.admission.config.take(config_listing(id, more));
        Self {
            service: TaskService::new(services),
            guard: guard(),
            parts,
            _plugins: tempfile::tempdir().unwrap(),
        }
    }

    /// Without plugins, so that everything is approved.
    async fn open(more: &str) -> Self {
        Self::with(more, Vec::new()).await
    }

    fn ask(&self, ask: u64, signed: SignedTask) {
        let parties = vec![node(1)];
        self.service.preflight(Asked {
            ask,
            signed,
            parties,
        });
    }

    /// The next report, which answers a preflight.
    async fn answer(&mut self) -> (u64, Forecast) {
        match soon(self.parts.reports.recv()).await.unwrap() {
            FromNode::Preflight { ask, forecast } => (ask, *forecast),
            other => panic!("{other:?}"),
        }
    }

    async fn forecast(&mut self, signed: SignedTask) -> Forecast {
        self.ask(7, signed);
        let (ask, forecast) = self.answer().await;
        assert_eq!(ask, 7);
        forecast
    }

    /// The code of the forecast refusal; empty if there is none.
    async fn code(&mut self, task: &Task) -> String {
        let refusal = self.forecast(sign(task)).await.refusal;
        refusal.map_or(String::new(), |refusal| refusal.code.to_string())
    }

    /// Orders the task for real. Returns the code of the refusal; empty for an approval.
    async fn decision(&mut self, task: &Task) -> String {
        self.order(sign(task)).await
    }

    async fn order(&mut self, signed: SignedTask) -> String {
        self.service.offer(Offered {
            signed,
            parties: vec![node(1)],
            votes: Vec::new(),
        });
        loop {
            match soon(self.parts.reports.recv()).await.unwrap() {
                FromNode::Decision { refusal, .. } => {
                    return refusal.map_or(String::new(), |refusal| refusal.code.to_string());
                }
                FromNode::Preflight { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything that a preflight could leave behind.
    fn traces(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let journal = self.parts.journal();
        let asked = self
            .guard
            .status()
            .into_iter()
            .map(|entry| entry.counts.asked());
        (
            std::fs::read(self.parts.dir.path().join(JOURNAL_FILE)).unwrap(),
            journal.commits(),
            journal.audit(0, 100).unwrap().len(),
            journal.row(&TASK).unwrap().is_some(),
            self.parts.jobs.participant.register.counters.tasks(),
            asked.collect::<Vec<u64>>(),
        )
    }
}

async fn loaded(parts: &Parts, folder: &TempDir, plugins: Vec<Entry<'_>>) -> Arc<Guard> {
    let mut policy = specimen::policy(folder.path(), Vec::new());
    for (label, component, http) in plugins {
        let file = folder.path().join(format!("{label}.wasm"));
        component.write(&file);
        let mut entry = entry(label, &file);
        entry.grants = RawGrants {
            http: http.iter().map(|url| url.to_string()).collect(),
            state_bytes: 10_000,
            ..RawGrants::default()
        };
        policy.plugins.push(entry);
    }
    let services = specimen::services(&policy, parts.journal(), &parts.jobs.world);
    Arc::new(Guard::load(policy, None, services).await.unwrap())
}

fn check_up() -> Task {
    let nodes = vec![node(1)];
    task(Operation::KeyShareSign(KeyShareSign { key: key(), nodes }))
}

fn numbered(number: u8) -> Task {
    Task {
        id: TaskId([number; 16]),
        ..check_up()
    }
}

fn other_bytes() -> Task {
    Task {
        note: Some("another".into()),
        ..check_up()
    }
}

#[tokio::test]
async fn a_preflight_says_what_the_plugins_would_say_and_leaves_no_trace() {
    let plugins = vec![
        local("one", Specimen::approving()),
        local("memory", Specimen::remembering(100)),
    ];
    let mut node = Node::with("", plugins).await;
    let before = node.traces();
    for _ in 0..3 {
        let forecast = node.forecast(sign(&check_up())).await;
        assert_eq!(forecast.refusal, None);
        let approved = forecast.verdicts.iter().filter(|verdict| verdict.approved);
        assert_eq!((approved.count(), forecast.not_asked.len()), (2, 0));
    }
    assert_eq!(node.traces(), before);
    assert_eq!(
        node.decision(&check_up()).await,
        "",
        "the id is not used up"
    );
    assert_ne!(node.traces(), before);
}

/// The address leads nowhere, and a plugin that ran would trap.
#[tokio::test]
async fn a_plugin_that_would_call_its_server_is_not_asked() {
    let plugins = vec![
        local("one", Specimen::approving()),
        remote("desk", Specimen::trapping(), &["https://desk.example/"]),
    ];
    let mut node = Node::with("", plugins).await;
    let forecast = node.forecast(sign(&check_up())).await;
    assert_eq!(forecast.refusal, None);
    let asked: Vec<_> = forecast
        .verdicts
        .iter()
        .map(|verdict| &verdict.plugin)
        .collect();
    assert_eq!(asked, ["specimen:one"]);
    let [desk] = &forecast.not_asked[..] else {
        panic!("{forecast:?}")
    };
    assert_eq!(desk.plugin, "specimen:desk");
    assert!(desk.why.contains("server"), "{}", desk.why);
}

#[tokio::test]
async fn every_plugin_that_objects_is_named_with_code_and_reason() {
    let plugins = vec![
        local("one", Specimen::rejecting()),
        local("two", Specimen::approving()),
        local("three", Specimen::rejecting()),
    ];
    let mut node = Node::with("", plugins).await;
    let forecast = node.forecast(sign(&check_up())).await;
    let said: Vec<_> = forecast
        .verdicts
        .iter()
        .map(|verdict| (&verdict.plugin[9..], verdict.code.as_str()))
        .collect();
    assert_eq!(said, [("one", CODE), ("two", ""), ("three", CODE)]);
    let refusal = forecast.refusal.unwrap();
    assert_eq!(refusal.plugin.as_deref(), Some("specimen:one"));
    assert_eq!(node.decision(&check_up()).await, CODE);
}

#[tokio::test]
async fn the_nodes_own_checks_are_those_of_an_offer() {
    let mut node = Node::open("").await;
    let stranger = countersign_protocol::KeyId::from_bytes([9; 16]).unwrap();
    let nodes = vec![crate::task::fixtures::node(1)];
    let unknown = task(Operation::KeyShareSign(KeyShareSign {
        key: stranger,
        nodes,
    }));
    let told = node.code(&unknown).await;
    assert_eq!(told, RefusalCode::KeyUnknown.as_str());
    assert_eq!(node.decision(&unknown).await, told);
    let expired = Task {
        not_after: countersign_protocol::UnixMillis(check_up().created.0 - 1),
        created: countersign_protocol::UnixMillis(check_up().created.0 - 1000),
        ..numbered(9)
    };
    assert_eq!(node.code(&expired).await, RefusalCode::TaskExpired.as_str());
}

#[tokio::test]
async fn strangers_and_forgers_learn_nothing_and_raise_no_alarm() {
    let mut node = Node::open("preflight: { allow: false }").await;
    let before = node.traces();
    let mut forged = sign(&check_up());
    forged.signature = [1; 64].into();
    let mut stranger = check_up();
    let id = identity(9);
    stranger.requester = countersign_protocol::RequesterId::from_bytes(id.public().0).unwrap();
    let bytes = stranger.to_bytes();
    let signature = id.sign(&SignedTask::signed_message(&bytes));
    let nonsense = SignedTask {
        bytes: b"{}".to_vec(),
        signature: signature.into(),
    };
    for (signed, code) in [
        (forged, RefusalCode::RequesterSignature),
        (
            SignedTask {
                bytes,
                signature: signature.into(),
            },
            RefusalCode::RequesterUnknown,
        ),
        (nonsense, RefusalCode::TaskMalformed),
    ] {
        let forecast = node.forecast(signed).await;
        assert_eq!(forecast.refusal.map(|refusal| refusal.code), Some(code));
        assert!(forecast.verdicts.is_empty());
    }
    assert_eq!(node.traces(), before);
}

/// Preflights and orders are authenticated by the same rules, those of the configuration in force.
#[tokio::test]
async fn a_listed_passkey_asks_and_orders_from_the_pinned_page_alone() {
    use countersign_vote::testing::{ORIGIN, Passkey, RP_ID};
    let passkey = Passkey::new(3);
    let more = format!("passkeys: {{ rp_id: {RP_ID}, origins: ['{ORIGIN}'] }}");
    let mut node = Node::with_requester(&passkey.requester(), &more);
    let order = |passkey: &Passkey, number| {
        passkey.order(&Task {
            requester: passkey.requester(),
            ..numbered(number)
        })
    };
    let mut elsewhere = Passkey::new(3);
    elsewhere.rp_id = "evil.example".into();
    for (signed, code) in [
        (order(&passkey, 1), None),
        (order(&elsewhere, 2), Some(RefusalCode::RequesterPasskey)),
        (
            order(&Passkey::new(4), 3),
            Some(RefusalCode::RequesterUnknown),
        ),
    ] {
        let forecast = node.forecast(signed.clone()).await;
        let foretold = forecast.refusal.map(|refusal| refusal.code);
        assert_eq!(foretold, code);
        let decided = node.order(signed).await;
        assert_eq!(decided, code.map_or(String::new(), |code| code.to_string()));
    }
}

#[tokio::test]
async fn a_requester_whose_preflights_are_off_can_order_all_the_same() {
    let mut node = Node::open("preflight: { allow: false }").await;
    assert_eq!(node.code(&check_up()).await, "preflight-off");
    assert_eq!(node.decision(&check_up()).await, "");
}

#[tokio::test]
async fn a_task_on_record_is_answered_by_the_record_and_other_bytes_raise_no_alarm() {
    let mut node = Node::with("", vec![local("one", Specimen::rejecting())]).await;
    assert_eq!(node.decision(&check_up()).await, CODE);
    let before = node.traces();
    assert_eq!(node.code(&check_up()).await, CODE);
    assert_eq!(node.code(&other_bytes()).await, "task-id-reused");
    assert_eq!(node.traces(), before);
}

#[tokio::test]
async fn a_requester_that_asks_too_often_is_told_so_and_can_order_all_the_same() {
    let mut node = Node::open("preflight: { per_minute: 2 }").await;
    assert_eq!(node.code(&check_up()).await, "");
    assert_eq!(node.code(&check_up()).await, "");
    assert_eq!(node.code(&check_up()).await, "preflight-rate");
    assert_eq!(node.decision(&check_up()).await, "");
}

/// The node has room for two tasks.
#[tokio::test]
async fn a_node_that_is_busy_with_tasks_answers_no_preflight() {
    let mut node = Node::open("").await;
    assert_eq!(node.decision(&numbered(11)).await, "");
    assert_eq!(node.code(&check_up()).await, "");
    assert_eq!(node.decision(&numbered(12)).await, "");
    assert_eq!(node.code(&check_up()).await, "preflight-rate");
}

#[tokio::test]
async fn a_flood_is_dropped_and_a_real_task_is_decided_in_the_midst_of_it() {
    let plugins = vec![local("slow", Specimen::slow())];
    let mut node = Node::with("preflight: { per_minute: 60000 }", plugins).await;
    for ask in 0..1000 {
        node.ask(ask, sign(&check_up()));
    }
    assert_eq!(node.decision(&check_up()).await, "");
    let mut answered = 0;
    while let Ok(Some(report)) =
        tokio::time::timeout(Duration::from_secs(1), node.parts.reports.recv()).await
    {
        assert!(matches!(report, FromNode::Preflight { .. }), "{report:?}");
        answered += 1;
    }
    assert!(answered <= WAITING, "{answered}");
}

#[tokio::test]
async fn a_node_that_stops_answers_no_more() {
    let node = Node::open("").await;
    let stopping = services(&node.parts, "");
    stopping.stopping.cancel();
    let service = TaskService::new(stopping);
    service.preflight(Asked {
        ask: 1,
        signed: sign(&check_up()),
        parties: vec![crate::task::fixtures::node(1)],
    });
    let mut parts = node.parts;
    let heard = tokio::time::timeout(Duration::from_millis(300), parts.reports.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
}
