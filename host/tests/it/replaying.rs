//! A recorded decision replays the same, without network, keys, memory or clock; any difference is
//! explained.

use countersign_host::{
    Chain, Code, Grants, PluginSpec, PreInitLimits, Recorded, Recording, ReplayError, Verdict, With,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::callback;
use crate::guests::{closed_rules, host, keygen, open_rules, rogue, services, soon};
use crate::pre_init::{keeper, pre_init};
use crate::server::{Server, http, sound};

/// Evaluates, through the bytes that a journal would keep.
async fn record(spec: &PluginSpec) -> Recording {
    let chain = Chain::load(&host(), vec![spec.clone()], services())
        .await
        .unwrap();
    let decision = chain.decide(&keygen(), soon()).await;
    Recording::decode(&decision.recording(keygen()).encode(), keygen().raw).unwrap()
}

/// Replays the only evaluation; gives its verdict then and now.
async fn assert_same(spec: &PluginSpec) -> Recorded {
    let recording = record(spec).await;
    let question = recording.question.unwrap();
    let recorded = &recording.evaluations[0];
    assert_eq!(question, keygen());
    let replay = host()
        .replay(spec, &question, recorded, With::TheSame)
        .await
        .unwrap();
    assert!(
        replay.same,
        "{:?} is now {:?} ({:?})",
        recorded.verdict, replay.evaluation, replay.divergence
    );
    recorded.clone()
}

#[tokio::test]
async fn rules_say_the_same_again() {
    assert_eq!(assert_same(&open_rules()).await.verdict, Verdict::Approve);
    assert_eq!(
        assert_same(&closed_rules()).await.verdict.code(),
        Some("keygen-reject-all")
    );
}

#[tokio::test]
async fn whatever_a_guest_did_it_does_again() {
    let deeds = [
        json!("nothing"),
        json!("loop"),
        json!("allocate"),
        json!("recurse"),
        json!("panic"),
        json!("exit"),
        json!({"reason": 1000}),
        json!({"reason": 12 << 20}),
        json!({"log": [20, 300]}),
        json!({"log": [100_000, 3]}),
        json!({"print": 10}),
        json!({"sleep": 30}),
        json!({"sleep": 3_600_000}),
        json!({"wasi-sleep": 30}),
        json!({"sign": "callback"}),
        json!({"sign": "nobody's"}),
        json!({"sign-for-ever": "callback"}),
        json!({"verify": "cb"}),
        json!({"verify": "callback"}),
        json!({"request": ["http://127.0.0.1:9/allowed/", "x"]}),
        json!({"request": ["http://127.0.0.1:9/other/", "x"]}),
        json!("environment"),
        json!({"remember": 100}),
        json!({"remember": 5000}),
        json!({"fail": "unavailable"}),
        json!("clocks-and-dice"),
    ];
    for deed in deeds {
        let mut spec = rogue(json!({"evaluate": deed}));
        // On a crowded machine 100 ms of CPU time can take longer than the usual limit.
        spec.grants.wall_ms = if deed == json!({"sleep": 3_600_000}) {
            200
        } else {
            20_000
        };
        assert_same(&spec).await;
    }
}

/// The guest rejects with what its clocks and its dice say: only the recorded ones say it again.
#[tokio::test]
async fn clocks_and_dice_fall_as_they_fell() {
    let spec = rogue(json!({"evaluate": "clocks-and-dice"}));
    let first = assert_same(&spec).await;
    let second = assert_same(&spec).await;
    let reason = |recorded: &Recorded| recorded.verdict.refusal().unwrap().1.to_owned();
    assert_ne!(
        reason(&first),
        reason(&second),
        "the dice fell the same twice"
    );
}

#[tokio::test]
async fn an_approval_is_replayed_without_the_approver() {
    let server = Server::start(|_, received| http("200 OK", &sound(received, "APPROVE"))).await;
    let spec = callback::spec(&format!("http://{}/v2/check", server.address), 0);
    let recording = record(&spec).await;
    assert_eq!(recording.evaluations[0].verdict, Verdict::Approve);
    let question = recording.question.unwrap();
    let replay = host()
        .replay(&spec, &question, &recording.evaluations[0], With::TheSame)
        .await
        .unwrap();
    assert!(
        replay.same,
        "{:?} {:?}",
        replay.evaluation.verdict, replay.divergence
    );
    assert_eq!(server.received().len(), 1, "the replay asked the approver");
}

/// The entry's configuration has changed; the document that decided is taken as it was kept.
#[tokio::test]
async fn a_kept_configuration_stands_in_for_the_entrys() {
    let recording = record(&open_rules()).await;
    let question = recording.question.unwrap();
    let recorded = &recording.evaluations[0];
    let kept = open_rules().config.to_string();
    let replay = host()
        .replay(&closed_rules(), &question, recorded, With::Kept(&kept))
        .await
        .unwrap();
    assert!(replay.same, "{:?}", replay.evaluation.verdict);
    let other = kept.replace("true", "true ");
    let error = host()
        .replay(&closed_rules(), &question, recorded, With::Kept(&other))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::Configuration { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_decision_names_the_documents_that_decided() {
    let chain = Chain::load(&host(), vec![open_rules()], services())
        .await
        .unwrap();
    let decision = chain.decide(&keygen(), soon()).await;
    let documents: Vec<_> = decision
        .documents()
        .map(|(digest, document)| (digest, document.to_string()))
        .collect();
    let document = open_rules().config.to_string();
    assert_eq!(documents, [(Sha256::digest(&document).into(), document)]);
}

/// The recorded grants count, not those of the present entry: neither the entry nor the operator's
/// consent is needed.
#[tokio::test]
async fn a_replay_has_the_memory_of_then_and_needs_no_grants() {
    let mut spec = rogue(json!({"evaluate": "allocate"}));
    spec.grants.memory_bytes = 8 << 20;
    let recording = record(&spec).await;
    let question = recording.question.unwrap();
    let recorded = &recording.evaluations[0];
    let reason = recorded.verdict.refusal().unwrap().1.to_owned();
    let bare = PluginSpec {
        grants: Grants::default(),
        config: Value::Null,
        ..spec.clone()
    };
    let kept = spec.config.to_string();
    let replay = host()
        .replay(&bare, &question, recorded, With::Kept(&kept))
        .await
        .unwrap();
    assert!(replay.same);
    assert_eq!(replay.evaluation.verdict.refusal().unwrap().1, reason);
}

/// The guest says by its code how many calls its memory remembers: one if it was
/// pre-initialised after `check`.
#[tokio::test]
async fn a_pre_initialised_plugin_is_replayed_as_such() {
    let spec = keeper("nothing", 5000);
    for (host, code) in [
        (pre_init(PreInitLimits::default()), "kept-1"),
        (host(), "kept-0"),
    ] {
        let chain = Chain::load(&host, vec![spec.clone()], services())
            .await
            .unwrap();
        let decision = chain.decide(&keygen(), soon()).await;
        let bytes = decision.recording(keygen()).encode();
        let recording = Recording::decode(&bytes, keygen().raw).unwrap();
        let recorded = &recording.evaluations[0];
        assert_eq!(recorded.verdict.code(), Some(code));
        // It makes no difference if the replaying host would pre-initialise.
        for replaying in [pre_init(PreInitLimits::default()), crate::guests::host()] {
            let replay = replaying
                .replay(&spec, &keygen(), recorded, With::TheSame)
                .await
                .unwrap();
            assert!(replay.same, "{:?}", replay.evaluation.verdict);
        }
    }
}

#[tokio::test]
async fn another_configuration_or_component_is_told_and_not_taken() {
    let recording = record(&open_rules()).await;
    let question = recording.question.unwrap();
    let recorded = &recording.evaluations[0];
    let error = host()
        .replay(&closed_rules(), &question, recorded, With::TheSame)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::Configuration { .. }),
        "{error}"
    );
    let error = host()
        .replay(&rogue(json!({})), &question, recorded, With::TheSame)
        .await
        .unwrap_err();
    assert!(matches!(error, ReplayError::Component { .. }), "{error}");
    let what_if = host()
        .replay(&closed_rules(), &question, recorded, With::Another)
        .await
        .unwrap();
    assert!(!what_if.same);
    assert_eq!(what_if.evaluation.verdict.code(), Some("keygen-reject-all"));
}

#[tokio::test]
async fn the_first_import_that_differs_is_named() {
    let then = |deed: Value| rogue(json!({"evaluate": deed}));
    let recording = record(&then(json!({"verify": "cb"}))).await;
    let question = recording.question.unwrap();
    let recorded = &recording.evaluations[0];
    let now = then(json!({"remember": 10}));
    let replay = host()
        .replay(&now, &question, recorded, With::Another)
        .await
        .unwrap();
    assert!(!replay.same);
    let divergence = replay.divergence.unwrap();
    assert_eq!(
        (divergence.at, divergence.recorded.unwrap().import.as_ref()),
        (0, "keys.verify")
    );
    assert_eq!(
        (
            divergence.asked.import.as_ref(),
            divergence.asked.about.as_str()
        ),
        ("state.get", "entry")
    );
}

#[tokio::test]
async fn what_never_ran_or_was_too_large_is_not_replayed() {
    let mut recorded = record(&open_rules()).await.evaluations.remove(0);
    recorded.trace.cut = true;
    let error = host()
        .replay(&open_rules(), &keygen(), &recorded, With::TheSame)
        .await
        .unwrap_err();
    assert!(matches!(error, ReplayError::Cut), "{error}");
    recorded.trace.cut = false;
    recorded.trace.ran = false;
    recorded.verdict = Verdict::Failed {
        code: Code::Busy,
        reason: "busy".into(),
    };
    let error = host()
        .replay(&open_rules(), &keygen(), &recorded, With::TheSame)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::NeverRan(Code::Busy)),
        "{error}"
    );
}

#[tokio::test]
async fn a_question_that_is_too_large_leaves_the_verdict_on_record() {
    let chain = Chain::load(&host(), vec![open_rules()], services())
        .await
        .unwrap();
    let mut large = keygen();
    large.extra = vec![countersign_host::Statement {
        name: "reference".into(),
        value: "x".repeat(300 << 10),
        origin: countersign_host::Origin::Claim,
    }];
    let decision = chain.decide(&large, soon()).await;
    let bytes = decision.recording(large).encode();
    assert!(bytes.len() < 4096, "{}", bytes.len());
    let recording = Recording::decode(&bytes, Vec::new()).unwrap();
    assert!(recording.question.is_none() && recording.evaluations[0].trace.cut);
    assert_eq!(
        recording.evaluations[0].verdict,
        decision.evaluations()[0].verdict
    );
}
